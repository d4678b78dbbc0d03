"""Generated texts with scores, as files: data of a regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prunekit.data.demo import vocabulary
from tests.support.commands import TINY


def regression(folder: Path) -> list[str]:
    """Settings of a task of 96 and 40 rows, which are written to a folder, and of a tiny model."""
    random, files = np.random.default_rng(0), []
    for name, rows in (("train", 96), ("validation", 40)):
        texts = [" ".join(random.choice(vocabulary(), 6)) for _ in range(rows)]
        lines = [f"{text},{random.integers(0, 50) / 10}" for text in texts]
        (folder / f"{name}.csv").write_text("\n".join(["text,score", *lines]) + "\n")
        files.append(f"task.files.{name}={folder}/{name}.csv")
    columns = ["task.columns=[text]", "task.label=score", "task.labels=[]", "task.metrics=[spearman,pearson]"]
    return ["task=files", *files, *columns, "task.max_length=16", *(one for one in TINY if "_rows" not in one)]

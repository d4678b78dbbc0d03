"""Two processes that want the same run at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from experiments.cli.composition import CONF
from tests.support.commands import TINY


def test_one_trains_and_the_other_returns_its_record(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "experiments.finetune", *TINY, f"run.folder={tmp_path}", "run.threads=1"]
    both = [
        subprocess.Popen(arguments, cwd=CONF.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1]  # the seconds too: one of them has read what the other wrote
    assert len(list(tmp_path.glob("finetune/*/result.json"))) == 1
    assert not list(tmp_path.rglob("*.tmp"))

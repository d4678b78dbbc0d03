"""How many rows the splits of public data have, for whoever asks before anything is downloaded."""

from __future__ import annotations

from prunekit.config.task import TaskConfig
from prunekit.data.rows import load_rows

ROWS = {
    ("nyu-mll/glue", "mnli"): {"train": 392_702, "validation_matched": 9815, "validation_mismatched": 9832},
    ("nyu-mll/glue", "qqp"): {"train": 363_846, "validation": 40_430},
    ("nyu-mll/glue", "qnli"): {"train": 104_743, "validation": 5463},
    ("nyu-mll/glue", "sst2"): {"train": 67_349, "validation": 872},
    ("nyu-mll/glue", "cola"): {"train": 8551, "validation": 1043},
    ("nyu-mll/glue", "stsb"): {"train": 5749, "validation": 1500},
    ("nyu-mll/glue", "mrpc"): {"train": 3668, "validation": 408},
    ("nyu-mll/glue", "rte"): {"train": 2490, "validation": 277},
    ("stanfordnlp/snli", "plain_text"): {"train": 549_367, "validation": 9842},
    ("rajpurkar/squad", None): {"train": 87_599, "validation": 10_570},
    ("rajpurkar/squad_v2", None): {"train": 130_319, "validation": 11_873},
    ("bentrevett/multi30k", None): {"train": 29_000, "validation": 1014, "test": 1000},
    ("wmt/wmt14", "fr-en"): {"validation": 3000, "test": 3003},
    ("sacrebleu", "mtnt1.1"): {"valid": 852, "test": 1020},
}
"""By source and subset, as the Hub and sacreBLEU have them; of SNLI rows with a label."""


def split_rows(task: TaskConfig, split: str) -> int:
    """Rows of a split; where they are not known, and in files, they are counted."""
    if task.source == "demo":
        return task.train_rows if split == "train" else task.evaluation_rows
    known = ROWS.get((task.source, task.subset), {})
    return known[split] if split in known else len(load_rows(task, split))


def sampled_rows(task: TaskConfig, split: str, examples: int | None) -> int:
    """Rows of a split of which so many are taken; None for all."""
    there = split_rows(task, split)
    return there if examples is None else min(examples, there)

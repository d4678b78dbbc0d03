"""Raw rows of a task's split, read from wherever the task says and checked by its kind."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import Rows, source_name
from prunekit.data.kinds import KINDS, kind_of
from prunekit.data.kinds.translation import read_test_set
from prunekit.data.table_files import READERS
from prunekit.support.errors import UserError, first_line
from prunekit.support.extras import of_extra
from prunekit.support.hub_names import check_there

PARQUET = ".parquet"
PRESET_SPLITS = ("train", "validation", "test")
"""That ``conf/task/files.yaml`` names."""


def load_rows(task: TaskConfig, split: str, *, labelled: bool = True) -> Rows:
    """Rows of a split. Unlabelled rows (label -1, as SNLI marks pairs without agreement) are left out, and counted
    in a line of the log.

    Args:
        labelled: False where labels are not needed. The rows are the same nevertheless, so that whoever needs none
            draws from what others draw from; where no row has a label, they are all rows.

    Raises:
        UserError: the data cannot be reached or read, or a split, a column, a label or an answer is not as the
            task says.
    """
    if task.source == "demo":
        table: Any = _demo(task.kind, split, task.train_rows if split == "train" else task.evaluation_rows)
    elif task.source == "files":
        table = _read_file(task, split)
    elif task.source == "sacrebleu":
        table = read_test_set(task, split)
    else:
        table = _read_hub(task, split)
    kind = kind_of(task)
    read = kind.checked if labelled or kind.has_labels(task, table) else kind.unlabelled
    return read(task, split, table)


@functools.lru_cache(maxsize=4)  # generating takes seconds, and a reproduction asks for the same rows in every run
def _demo(kind: str, split: str, rows: int) -> dict[str, list[Any]]:
    made = KINDS[kind].demo(split, rows)
    return {name: [row[name] for row in made] for name in made[0]}


def _read_hub(task: TaskConfig, split: str) -> Any:
    with of_extra("data"):
        import datasets

    _quiet(datasets)
    name = source_name(task)
    check_there(task.source, "task.source", "dataset")
    try:
        splits = datasets.load_dataset(task.source, task.subset)
    except Exception as error:  # the libraries below raise many kinds for 'not there' and 'no network'
        raise UserError(f"task.source: {name} cannot be loaded: {first_line(error)}") from error
    if split not in splits:
        raise UserError(f"split {split!r} is not in {name} here, it has {', '.join(map(repr, splits))}")
    nested = any("." in column for column in task.columns)  # {"translation": {"de": ..., "en": ...}}, as of WMT
    return splits[split].flatten() if nested else splits[split]


def _read_file(task: TaskConfig, split: str) -> Any:
    files = {name: path for name, path in task.files.items() if path}
    if split not in files:
        names = ", ".join(files) or "no splits"
        new = "" if split in {*PRESET_SPLITS, *task.files} else "+"  # as Hydra wants names that no preset has
        raise UserError(f"split {split!r}: task.files has {names}, add {new}task.files.{split}=PATH")
    path, kind = Path(files[split]), kind_of(task)
    if path.suffix not in (*READERS, PARQUET) or path.suffix in kind.own_suffixes:
        table = kind.read(task, split, path)
        if table is not None:
            return table
        raise UserError(f"task.files.{split}: {path} should end in one of {', '.join((*READERS, PARQUET))}")
    if not path.is_file():
        raise UserError(f"task.files.{split}: there is no file {path}")
    if path.stat().st_size == 0:
        raise UserError(f"{task.name} {split}: the split is empty ({path})")
    if path.suffix in READERS:
        return READERS[path.suffix](path, f"task.files.{split}", [*task.columns, task.label])
    with of_extra("data"):
        import datasets

    _quiet(datasets)
    try:
        return datasets.load_dataset("parquet", data_files=str(path), split="train")
    except Exception as error:
        cause = error.__cause__ or error
        raise UserError(f"task.files.{split}: {path} cannot be read: {first_line(cause)}") from error


def _quiet(datasets: Any) -> None:
    """'Using the cached version' is no news to its user, and what it logs as an error it also raises."""
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(logging.CRITICAL)

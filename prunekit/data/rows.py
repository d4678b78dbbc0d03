"""Raw rows of a task's split, checked: texts, labels, how many there were, and a fingerprint of what was taken."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prunekit.config.checks import near
from prunekit.config.task import TaskConfig
from prunekit.support.errors import UserError
from prunekit.support.extras import of_extra

READERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
_SAMPLE_SEED = 20190525  # of evaluation samples: the same rows in every run


@dataclass(frozen=True)
class Rows:
    """Texts (one tuple of one or two strings a row) and labels: int, float for regression, for questions the gold
    answers (object, a tuple of :class:`prunekit.data.questions.Answer` a row), for translation the target (object, a
    string a row; the text is the source)."""

    task: TaskConfig
    split: str
    texts: list[tuple[str, ...]]
    labels: np.ndarray
    available: int

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        kept = [self.texts[int(i)] for i in indices]
        return Rows(self.task, self.split, kept, self.labels[np.asarray(indices, dtype=int)], self.available)

    def sample(self, examples: int | None, seed: int = _SAMPLE_SEED) -> Rows:
        """A seeded sample without replacement, in the original order; all rows if there are no more."""
        if examples is None or examples >= len(self):
            return self
        chosen = np.random.default_rng(seed).permutation(len(self))[:examples]
        return self.take(np.sort(chosen))

    def record(self, role: str) -> dict[str, Any]:
        """How the run record names this data."""
        return {
            "role": role, "name": self.task.name, "source": _source(self.task), "split": self.split,
            "rows": len(self), "rows_available": self.available, "fingerprint": self.fingerprint(),
        }  # fmt: skip

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for text, label in zip(self.texts, self.labels.tolist(), strict=True):
            digest.update("\x1f".join(text).encode() + f"\x1e{label}\x1d".encode())
        return digest.hexdigest()[:16]


def load_rows(task: TaskConfig, split: str, *, labelled: bool = True) -> Rows:
    """Rows of a split. Unlabelled rows (label -1, as SNLI marks pairs without agreement) are left out.

    Args:
        labelled: False for a classification task whose labels are not needed, be they there or not: every row is
            kept, with label 0.

    Raises:
        UserError: the data cannot be reached or read, or a split, a column, a label or an answer is not as the
            task says.
    """
    if task.source == "demo":
        table: Any = _demo(task.kind, split, task.train_rows if split == "train" else task.evaluation_rows)
    elif task.source == "files":
        table = _read_file(task, split)
    elif task.source == "sacrebleu":
        from prunekit.data.translation import read_test_set

        table = read_test_set(task, split)
    else:
        table = _read_hub(task, split)
    if task.translation:
        from prunekit.data.translation import checked_pairs

        return checked_pairs(task, split, table)
    return _checked(task, split, table, labelled or task.questions or task.regression)


@functools.lru_cache(maxsize=4)  # generating takes seconds, and a reproduction asks for the same rows in every run
def _demo(kind: str, split: str, rows: int) -> dict[str, list[Any]]:
    from prunekit.data import demo, demo_translation

    made = demo_translation.generate(split, rows) if kind == "translation" else demo.generate(split, rows)
    return _columns(made)


def _read_hub(task: TaskConfig, split: str) -> Any:
    with of_extra("data"):
        import datasets

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()  # 'using the cached version' is no news to its user
    name = _source(task)
    try:
        splits = datasets.load_dataset(task.source, task.subset)
    except Exception as error:  # the libraries below raise many kinds for 'not there' and 'no network'
        raise UserError(f"task.source: {name} cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    if split not in splits:
        raise UserError(f"split {split!r} is not in {name} here, it has {', '.join(map(repr, splits))}")
    nested = any("." in column for column in task.columns)  # {"translation": {"de": ..., "en": ...}}, as of WMT
    return splits[split].flatten() if nested else splits[split]


def _read_file(task: TaskConfig, split: str) -> Any:
    with of_extra("data"):
        import datasets

    datasets.disable_progress_bars()
    files = {name: path for name, path in task.files.items() if path}
    if split not in files:
        found = ", ".join(files) or "no splits"
        raise UserError(f"split {split!r}: task.files has {found}, add task.files.{split}=PATH")
    path = Path(files[split])
    if task.translation and path.suffix not in READERS:
        from prunekit.data.translation import read_aligned

        return read_aligned(task, split, path)
    if path.suffix not in READERS:
        raise UserError(f"task.files.{split}: {path} should end in one of {', '.join(READERS)}")
    if not path.is_file():
        raise UserError(f"task.files.{split}: there is no file {path}")
    if path.stat().st_size == 0:
        raise UserError(f"{task.name} {split}: the split is empty ({path})")
    options: dict[str, Any] = {}
    if READERS[path.suffix] == "csv":
        options = {"delimiter": "\t" if path.suffix == ".tsv" else ",", "keep_default_na": False}
        if path.suffix == ".tsv":
            options["quoting"] = 3  # GLUE's TSV files have bare quotation marks inside the text
    try:
        return datasets.load_dataset(READERS[path.suffix], data_files=str(path), split="train", **options)
    except Exception as error:
        if "corresponds to no data" in str(error):
            raise UserError(f"{task.name} {split}: the split is empty ({path})") from error
        cause = error.__cause__ or error
        raise UserError(f"task.files.{split}: {path} cannot be read: {str(cause).strip().splitlines()[0]}") from error


def _checked(task: TaskConfig, split: str, table: Any, labelled: bool) -> Rows:
    where = f"{task.name} {split}"
    check_columns(where, [*task.columns, task.label] if labelled else task.columns, table)
    texts = checked_texts(where, task.columns, table)
    if not labelled:
        return Rows(task, split, texts, np.zeros(len(texts), dtype=np.int64), len(texts))
    labels = list(table[task.label][:])
    if task.questions:
        from prunekit.data.questions import gold_answers

        return Rows(task, split, texts, gold_answers(task, where, texts, labels), len(texts))
    if task.regression:
        values = np.asarray([_number(label, where, row) for row, label in enumerate(labels)])
        return Rows(task, split, texts, values, len(texts))
    kept, numbers = [], []
    for row, label in enumerate(labels):
        number = task.labels.index(label) if isinstance(label, str) and label in task.labels else label
        if isinstance(number, str) and number.lstrip("-").isdigit():
            number = int(number)
        if not isinstance(number, int) or not -1 <= number < len(task.labels):
            names = ", ".join(f"{i}={name}" for i, name in enumerate(task.labels))
            raise UserError(f"{where}, row {row}: label {label!r} is out of range, right would be {names}")
        if number >= 0:
            kept.append(texts[row])
            numbers.append(number)
    if not kept:
        raise UserError(f"{where}: no row has a label (all are -1), evaluate on another split")
    return Rows(task, split, kept, np.asarray(numbers, dtype=np.int64), len(kept))


def check_columns(where: str, wanted: Sequence[str], table: Any) -> None:
    """Refuse a table without one of the columns that the task names."""
    found = list(table.column_names) if hasattr(table, "column_names") else list(table)
    for column in wanted:
        if column not in found:
            raise UserError(f"{where}: no column {column!r}, {near(column, found)} (columns: {', '.join(found)})")


def checked_texts(where: str, columns: Sequence[str], table: Any) -> list[tuple[str, ...]]:
    """The text columns of a table, row by row; refuses an empty table and whatever is no text."""
    texts: list[tuple[str, ...]] = list(zip(*(table[column][:] for column in columns), strict=True))
    if not texts:
        raise UserError(f"{where}: the split is empty")
    for row, text in enumerate(texts):
        if not all(isinstance(part, str) for part in text):
            raise UserError(f"{where}, row {row}: {list(columns)} should be text, found {text!r}")
    return texts


def _number(label: Any, where: str, row: int) -> float:
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{where}, row {row}: label {label!r} should be a finite number")
    return value


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _source(task: TaskConfig) -> str:
    if task.source == "files":
        return "files: " + ", ".join(Path(path).name for path in task.files.values() if path)
    return f"{task.source} {task.subset}" if task.subset else task.source

"""What the trivial answer scores on a run's evaluation rows, and whether its teacher is any better.

Records say both since version 3 of their schema. For older ones ``trivial_answers.csv`` has the scores by the
fingerprint of the rows; ``python -m experiments.cli.trivial_answers`` computes them from the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("trivial_answers.csv")
ACCURACY = "accuracy"
"""Beside F1 and Matthews of classification, which one answer to all can have a high score by."""
ANSWER = "one answer to all"
COPIED = "source copied"
AT_CHANCE = "teacher at chance"
"""Of a teacher whose 95 % band does not lie above the trivial answer's score."""


def trivial_score(record: Record, metric: str = "") -> float:
    """By one of the task's metrics, the first if none is named, as a share; NaN where nothing tells."""
    metric = metric or metric_of(record)
    known = record.metrics.get("trivial")
    if known is not None:
        return float(known.get(metric, math.nan))
    of_rows = (_of_older_records().get((item.fingerprint, metric)) for item in record.data if item.role == "evaluation")
    return next((value for value in of_rows if value is not None), math.nan)


def at_chance(record: Record) -> bool:
    """Is the teacher known not to be significantly better than the trivial answer? False where nothing tells."""
    if "above_trivial" in record.metrics:
        return not record.metrics["above_trivial"]
    return _lowest(record) <= trivial_score(record)  # False of NaN


def metric_of(record: Record) -> str:
    """Name of the task's first metric."""
    named = record.metrics.get("metric") or (record.config["task"].get("metrics") or [""])[0]
    return str(named)


def trivial_words(records: Iterable[Record]) -> str:
    """A sentence for captions; nothing where nothing is known."""
    scores = {(trivial_score(r), metric_of(r), COPIED if r.translation else ANSWER) for r in records}
    known = sorted((answer, 100 * value) for value, _, answer in scores if not math.isnan(value))
    return "".join(f"{answer[0].upper()}{answer[1:]}: {value:.1f}. " for answer, value in known)


def is_one_answer(records: Iterable[Record]) -> bool:
    """Does every run score exactly what one answer to all does, by the metric and by accuracy? False of NaN, and where
    no one answer is the best by both."""
    return all(
        math.isclose(float(record.metrics.get(name, math.nan)), trivial_score(record, of), abs_tol=1e-9)
        for record in records for name, of in (("value", ""), (ACCURACY, ACCURACY))
    )  # fmt: skip


def _lowest(record: Record) -> float:
    """The low end of the teacher's 95 % band; NaN where it is not recorded and cannot be computed."""
    low, score = record.metrics.get("baseline_low"), record.metrics.get("baseline")
    if low is not None:
        return float(low)
    rows = max((item.rows for item in record.data if item.role == "evaluation"), default=0)
    if not isinstance(score, int | float) or not rows or metric_of(record) != "accuracy":
        return math.nan
    import numpy as np

    from prunekit.support.statistics import accuracy_band

    return float(accuracy_band(np.arange(rows) < round(score * rows)).low)


@cache
def _of_older_records() -> dict[tuple[str, str], float]:
    import pandas as pd

    frame = pd.read_csv(FILE, dtype={"fingerprint": str})
    return dict(zip(zip(frame["fingerprint"], frame["metric"], strict=True), frame["value"].astype(float), strict=True))


def beside(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of tables beside the score: the trivial answer's, and accuracy where the score is by another metric."""
    rows = frame.to_dict("records")
    return {ANSWER: [trivial_cell(row) for row in rows], ACCURACY: [accuracy_text(row, row[ACCURACY]) for row in rows]}


def accuracy_words(frame: pd.DataFrame) -> str:
    """A sentence for captions of pictures: where accuracy is to be found of tasks that another metric is drawn of."""
    tasks = sorted(set(frame.loc[(frame["metric"] != ACCURACY) & frame[ACCURACY].notna(), "task"]))
    return f"Accuracy of {', '.join(tasks)}: in tables and the CSV file. " if tasks else ""


def trivial_cell(row: Mapping[Any, Any]) -> str:
    """What one answer to all scores by the metric of a row, and by accuracy where that is another."""
    accuracy = accuracy_text(row, row["trivial_accuracy"], f"{ACCURACY} ")
    return trivial_text(row["trivial"], row["at_chance"], accuracy)


def accuracy_text(row: Mapping[Any, Any], percent: float, words: str = "") -> str:
    """An accuracy beside the score of a row; empty where it is that score, or not known.

    >>> accuracy_text({"metric": "f1"}, 68.38, "accuracy "), accuracy_text({"metric": "accuracy"}, 68.38)
    ('accuracy 68.4', '')
    """
    return "" if math.isnan(percent) or row["metric"] == ACCURACY else f"{words}{percent:.1f}"


def trivial_text(percent: float, at_chance: bool, accuracy: str = "") -> str:
    """A cell of tables: the trivial answer's score, its accuracy, and whether the teacher is no better.

    >>> trivial_text(52.71, True), trivial_text(81.22, False, "accuracy 68.4"), trivial_text(math.nan, False)
    ('52.7 (teacher at chance)', '81.2 (accuracy 68.4)', '')
    """
    beside = ", ".join(filter(None, (accuracy, AT_CHANCE if at_chance else "")))
    return "" if math.isnan(percent) else f"{percent:.1f}" + (f" ({beside})" if beside else "")

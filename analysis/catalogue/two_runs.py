"""Compare two runs on the same rows, answer by answer.

    python -m analysis pair one=runs/prune_heads/ID other=runs/prune_fisher/ID [role=evaluation]

one, other  folders of run records that have answers.npz
role        of the rows: evaluation, or of some verbs second or selection
Models that both have (the same share, stage or head) are compared each with its like; where there are none, what the
one run ended with is compared with what the other did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.catalogue import options
from analysis.compare.pairs import Answered, Paired, compare_pair
from analysis.data.columns import DamagedRecordError
from analysis.data.recorded_answers import answers_of
from analysis.data.records import Record, read_record
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from prunekit.evaluation.row_answers import AnswerSheet

DEFAULTS = {"one": "", "other": "", "role": "evaluation"}


@dataclass(frozen=True)
class Compared:
    """A model of one run beside one of the other."""

    models: str
    """In words, of both where they differ."""
    one: float
    other: float
    """Scores of the two."""
    pair: Paired
    """The first less the second."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    return options.run(tell, __doc__, DEFAULTS, arguments)


def tell(chosen: Mapping[str, str]) -> None:
    """Print a line a pair of models.

    Raises:
        UserError: a folder has no record with answers, or the two are not of the same rows.
    """
    import numpy as np

    from prunekit.support.statistics import adjusted_p_values

    for name in ("one", "other"):
        if not chosen[name]:
            raise UserError(f"{name}: name the folder of a run, as in {name}=runs/prune_heads/ID")
    metric, found = compare_runs(Path(chosen["one"]), Path(chosen["other"]), chosen["role"])
    adjusted = adjusted_p_values(np.asarray([one.pair.p_value for one in found]))
    for one, p_value in zip(found, adjusted, strict=True):
        ends = f"{100 * one.pair.low:+z.2f} to {100 * one.pair.high:+z.2f}"
        print(
            f"{one.models}: {metric} {100 * one.one:.2f} and {100 * one.other:.2f}, difference "
            f"{100 * one.pair.difference:+z.2f} ({ends}), {one.pair.test} p = {one.pair.p_value:.3g}"
            + (f", adjusted {p_value:.3g}" if len(found) > 1 else "")
        )


def compare_runs(one: Path, other: Path, role: str = "evaluation") -> tuple[str, list[Compared]]:
    """The metric, and the models of two runs that are alike, or what they ended with.

    Raises:
        UserError: a folder has no record with answers, or the two are not of the same rows or metric.
    """
    from prunekit.evaluation.rescoring import rescored

    first, own = _read("one", one, role)
    second, others = _read("other", other, role)
    metric = _metric(first)
    if _metric(second) != metric:
        raise UserError(f"other: {other} has the metric {_metric(second)}, {one} has {metric}")
    if (own.answers.kind, own.answers.rows) != (others.answers.kind, others.answers.rows):
        raise UserError(
            f"other: {other} answers {len(others.answers)} rows {others.answers.rows}, {one} {len(own.answers)} rows "
            f"{own.answers.rows}; only answers to the same rows can be compared"
        )
    found = []
    for words, place, beside in _alike(own, others):
        runs = [Answered(record.run_id, "", sheet.answers, model)
                for record, sheet, model in ((first, own, place), (second, others, beside))]  # fmt: skip
        values = [rescored(run.answers, metric, run.model) for run in runs]
        found.append(Compared(words, values[0], values[1], compare_pair(metric, runs[:1], runs[1:])))
    return metric, found


def _alike(one: AnswerSheet, other: AnswerSheet) -> Iterator[tuple[str, int, int]]:
    """Words for a pair of models, and their places."""
    common = [model for model in one.models if model in other.models]
    for model in common:
        yield _spoken(model), one.models.index(model), other.models.index(model)
    if not common:
        yield f"{_spoken(one.models[-1])} and {_spoken(other.models[-1])}", len(one.models) - 1, len(other.models) - 1


def _spoken(model: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in model.items())


def _metric(record: Record) -> str:
    """The first of the task."""
    return str(record.config["task"]["metrics"][0])


def _read(setting: str, folder: Path, role: str) -> tuple[Record, AnswerSheet]:
    try:
        record = read_record(folder)
        sheet = None if record is None else answers_of(record, role)
    except DamagedRecordError as error:
        raise UserError(f"{setting}: {error}") from None
    if record is None:
        raise UserError(f"{setting}: {folder} has no finished run in it, there should be a result.json")
    if sheet is None:
        raise UserError(f"{setting}: {folder} has no answers to the rows of {role}; older records have none")
    return record, sheet

"""When do claims on pruning and 8 bits together hold? From scores, sizes and seconds of the same rounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.criteria.timings import OF_MEDIAN, QUARTILES
from analysis.claims.registry import criterion
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.intervals.estimates import fixed
from analysis.intervals.replicates import of_teachers
from analysis.intervals.row_errors import Scores
from analysis.quantization.runs import BEFORE, CONTROL, asked, quantization, usual_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from analysis.data.records import Record
    from analysis.intervals.row_errors import ScoreOnRows

GAINS = columns("quantize", "gains")
STAGES = columns("quantize", "stages", "stage", "value", "low", "high")
SIZES = columns("quantize", "stages", "stage", "precision")
Cell = tuple[str, int, float]
"""Teacher, seed and per cent of the MACs."""


@criterion
def gains_multiply(group: Group, journal: Journal) -> list[Outcome]:
    """Speed of both over the product of each, in per cent: the geometric mean over pruned models and batch sizes."""
    outcomes = []
    for one in usual_runs(group.records):
        ratios, errors, repeats = list[float](), list[float](), list[int]()
        pruned = [record for record in one.records if asked(record) < 100]
        for _, table in read_tables(pruned, "gains", GAINS, journal):
            for row in table.to_dict("records"):
                ratios.append(float(row["of_product"]))
                spread = (row["high"] - row["low"]) / QUARTILES
                errors.append(OF_MEDIAN * spread / row["repeats"] ** 0.5 / row["of_product"])
                repeats.append(int(row["repeats"]))
        if ratios:
            mean = 100 * math.exp(sum(map(math.log, ratios)) / len(ratios))
            error = mean * math.sqrt(sum(error**2 for error in errors)) / len(ratios)
            note = f"{100 * min(ratios):.0f} to {100 * max(ratios):.0f} % over {len(ratios)} models and batch sizes"
            outcomes.append(Outcome(fixed(mean, error, min(repeats)), note, one.title))
    return outcomes


@criterion
def losses_add(group: Group, journal: Journal, *, method: str) -> list[Outcome]:
    """Points that 8 bits cost pruned models beyond what they cost the whole one, the mean over shares of MACs."""

    def beyond(pruned: Any, pruned_8: Any, whole: Any, whole_8: Any) -> Any:
        return 100 * ((pruned - pruned_8) - (whole - whole_8))

    outcomes = []
    for one in usual_runs(group.records):
        exact, in_8 = _scores(one, journal, method)
        cells = [cell for cell in in_8 if cell[2] < 100 and {cell, _whole(cell)} <= exact.keys() & in_8.keys()]
        scores = [[exact[cell], in_8[cell], exact[_whole(cell)], in_8[_whole(cell)]] for cell in cells]
        if cells:
            outcomes.append(_outcome(one.title, cells, scores, beyond, _shares(cells)))
    return outcomes


@criterion
def cost_of_8_bits(group: Group, journal: Journal, *, method: str) -> list[Outcome]:
    """Points of the whole model in 8 bits over the same in float32; where it was trained for it, trained as long."""

    def points(exact: Any, in_8: Any) -> Any:
        return 100 * (in_8 - exact)

    outcomes = []
    for one in usual_runs(group.records):
        exact, in_8 = _scores(one, journal, method)
        cells = [cell for cell in in_8 if cell[2] == 100 and cell in exact]
        scores = [[exact[cell], in_8[cell]] for cell in cells]
        if cells:
            outcomes.append(_outcome(one.title, cells, scores, points, ""))
    return outcomes


@criterion
def worth_training_for(group: Group, journal: Journal) -> list[Outcome]:
    """Points of models in 8 bits that were trained for it over those that were trained as long without, the mean over
    shares of MACs."""

    def points(own: Any, control: Any) -> Any:
        return 100 * (own - control)

    outcomes = []
    for one in usual_runs(group.records):
        (_, own), (_, control) = (_scores(one, journal, method) for method in ("aware", "trained"))
        cells = [cell for cell in own if cell in control]
        scores = [[own[cell], control[cell]] for cell in cells]
        if cells:
            outcomes.append(_outcome(one.title, cells, scores, points, _shares(cells)))
    return outcomes


@criterion
def smaller(group: Group, journal: Journal) -> list[Outcome]:
    """Bytes of the whole model's graph in float32 over those in int8: counted."""
    outcomes = []
    for one in usual_runs(group.records):
        whole = [record for record in one.records if asked(record) == 100]
        for _, table in read_tables(whole[:1], "stages", SIZES, journal):
            sizes = dict(zip(table["stage"].astype(str), table["bytes"].astype(float), strict=True))
            before, after = sizes["dense"], sizes["quantized"]
            note = f"{before / 1e6:.1f} to {after / 1e6:.1f} MB"
            outcomes.append(Outcome(fixed(before / after), note, one.title))
    return outcomes


def _outcome(
    title: str, cells: list[Cell], scores: list[list[ScoreOnRows]], points: Callable[..., Any], note: str
) -> Outcome:
    """What the points of scores are over teachers, a list of scores a cell."""
    values = [float(points(*(score.value for score in own))) for own in scores]
    means = _by_teacher(cells, values)
    return Outcome(of_teachers(means, scores, points), note, title, tuple(means))


def _shares(cells: list[Cell]) -> str:
    return f"at {', '.join(f'{share:g}' for share in sorted({cell[2] for cell in cells}))} % of the MACs"


def _scores(group: Group, journal: Journal, method: str) -> tuple[dict[Cell, ScoreOnRows], dict[Cell, ScoreOnRows]]:
    """Of every model before and after 8 bits. One that was trained for 8 bits stands beside its control, which was
    trained as long in float32."""
    exact: dict[Cell, ScoreOnRows] = {}
    in_8: dict[Cell, ScoreOnRows] = {}
    beside = CONTROL.get(method, method)
    wanted = [record for record in group.records if quantization(record) in (method, beside)]
    for record, table in read_tables(wanted, "stages", STAGES, journal):
        rows, scores = {str(row["stage"]): row for row in table.to_dict("records")}, Scores(record, journal)
        if quantization(record) == method:
            in_8[_cell(record)] = scores.of(rows["quantized"], stage="quantized")
        if quantization(record) == beside:
            stages = ("trained",) if beside == "trained" else BEFORE
            stage = next(stage for stage in stages if stage in rows)
            exact[_cell(record)] = scores.of(rows[stage], stage=stage)
    return exact, in_8


def _cell(record: Record) -> Cell:
    return teacher_of(record), record.seed, asked(record)


def _whole(cell: Cell) -> Cell:
    return (*cell[:2], 100.0)


def _by_teacher(cells: list[Cell], values: list[float]) -> dict[str, float]:
    """The mean of each."""
    own: dict[str, list[float]] = {}
    for cell, value in zip(cells, values, strict=True):
        own.setdefault(cell[0], []).append(value)
    return {teacher: sum(some) / len(some) for teacher, some in own.items()}

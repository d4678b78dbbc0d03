"""When do claims on pruning and 8 bits together hold? From scores, sizes and seconds of the same rounds."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.trivial import trivial_score
from analysis.intervals.departures import Departure
from analysis.intervals.estimates import Largest, fixed
from analysis.intervals.medians import error_of_median
from analysis.intervals.positive import Positive, over_sessions, timed
from analysis.intervals.replicates import of_teachers
from analysis.intervals.row_errors import Scores
from analysis.quantization.runs import BEFORE, CONTROL, asked, quantization, usual_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet
    from typing import Any

    from analysis.data.records import Record
    from analysis.intervals.row_errors import ScoreOnRows

GAINS = columns("quantize", "gains")
STAGES = columns("quantize", "stages", "stage", "value", "low", "high")
SIZES = columns("quantize", "stages", "stage", "precision")
Cell = tuple[str, int, float]
"""Teacher, seed and per cent of the MACs."""


class _BeforeAndAfter(NamedTuple):
    exact: dict[Cell, ScoreOnRows]
    """In float32."""
    in_8: dict[Cell, ScoreOnRows]
    at_chance: set[Cell]
    """Whose 95 % band in float32 does not lie above one answer to all rows: 8 bits cannot cost them anything."""


@criterion
def gains_multiply(group: Group, journal: Journal) -> list[Outcome]:
    """How far the speed of both is from the product of each, in per cent of it: the farthest share of MACs and batch
    size, each over the runs that timed models of that share, with the rounds of each as the error within it."""
    outcomes = []
    for one in usual_runs(group.records):
        cells = _of_product(one, journal)
        if not cells:
            continue
        apart = {cell: Departure(over_sessions(own), 100.0) for cell, own in cells.items()}
        (share, batch), farthest = max(apart.items(), key=lambda item: item[1].value)
        mean = 100 * math.exp(statistics.mean(row.logs.value for own in cells.values() for row in own))
        note = f"{farthest.of.value:.0f} % at batch {batch} and {share:g} % of the MACs; mean {mean:.0f} %"
        outcomes.append(Outcome(Largest(list(apart.values())), note, one.title, cells=len(apart)))
    return outcomes


@criterion
def losses_add(group: Group, journal: Journal, *, method: str) -> list[Outcome]:
    """How far the points that 8 bits cost pruned models are from those that they cost the whole one: the farthest
    share of MACs."""

    def beyond(pruned: Any, pruned_8: Any, whole: Any, whole_8: Any) -> Any:
        return 100 * ((pruned - pruned_8) - (whole - whole_8))

    outcomes = []
    for one in usual_runs(group.records):
        exact, in_8, at_chance = _scores(one, journal, method)
        both = [cell for cell in in_8 if cell[2] < 100 and {cell, _whole(cell)} <= exact.keys() & in_8.keys()]
        cells, left_out = _without(at_chance, both)
        by_share = {share: [cell for cell in cells if cell[2] == share] for share in _shares(cells)}
        own = {
            share: _outcome("", members, [
                [exact[cell], in_8[cell], exact[_whole(cell)], in_8[_whole(cell)]] for cell in members
            ], beyond, "")
            for share, members in by_share.items()
        }  # fmt: skip
        if own:
            points = {share: outcome.effect.main for share, outcome in own.items()}
            share = max(points, key=lambda share: abs(points[share].value))
            mean = statistics.mean(point.value for point in points.values())
            note = f"{points[share].value:+z.1f} at {share:g} % of the MACs; mean {mean:+z.1f} at {_list(points)} %"
            note += left_out
            effect = Largest([Departure(point) for point in points.values()])
            outcomes.append(Outcome(effect, note, one.title, own[share].members, cells=len(points)))
    return outcomes


@criterion
def cost_of_8_bits(group: Group, journal: Journal, *, method: str) -> list[Outcome]:
    """Points of the whole model in 8 bits over the same in float32; where it was trained for it, trained as long."""

    def points(exact: Any, in_8: Any) -> Any:
        return 100 * (in_8 - exact)

    outcomes = []
    for one in usual_runs(group.records):
        exact, in_8, _ = _scores(one, journal, method)
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
        (_, own, at_chance), (_, control, _) = (_scores(one, journal, method) for method in ("aware", "trained"))
        cells, left_out = _without(at_chance, [cell for cell in own if cell in control])
        scores = [[own[cell], control[cell]] for cell in cells]
        if cells:
            note = f"at {_list(_shares(cells))} % of the MACs{left_out}"
            outcomes.append(_outcome(one.title, cells, scores, points, note))
    return outcomes


@criterion
def smaller(group: Group, journal: Journal) -> list[Outcome]:
    """Bytes of the whole model's graph in float32 over those in int8: counted, after training if that was run."""
    outcomes = []
    for one in usual_runs(group.records):
        whole = sorted((record for record in one.records if asked(record) == 100),
                       key=lambda record: quantization(record) != "dynamic")  # fmt: skip
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


def _of_product(group: Group, journal: Journal) -> dict[tuple[float, int], list[Positive]]:
    """Of pruned models, by share of MACs and batch size: speed of both over the product of each, in per cent, a run
    each, as sure as its rounds are."""
    cells: dict[tuple[float, int], list[Positive]] = {}
    pruned = [record for record in group.records if asked(record) < 100]
    for record, table in read_tables(pruned, "gains", GAINS, journal):
        for row in table.to_dict("records"):
            ratio, error = float(row["of_product"]), error_of_median(row["low"], row["high"], row["repeats"])
            one = timed(ratio, error / ratio, int(row["repeats"]))
            cells.setdefault((asked(record), int(row["batch_size"])), []).append(one)
    return dict(sorted(cells.items()))


def _without(at_chance: AbstractSet[Cell], cells: list[Cell]) -> tuple[list[Cell], str]:
    """The cells of shares at which every teacher's model can lose something by 8 bits, and a note on the others."""
    gone = _shares([cell for cell in cells if cell in at_chance])
    note = f"; left out, no better than one answer to all: {_list(gone)} %" if gone else ""
    return [cell for cell in cells if cell[2] not in gone], note


def _shares(cells: list[Cell]) -> list[float]:
    return sorted({cell[2] for cell in cells})


def _list(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:g}" for share in shares)


def _scores(group: Group, journal: Journal, method: str) -> _BeforeAndAfter:
    """Of every model before and after 8 bits. One that was trained for 8 bits stands beside its control, which was
    trained as long in float32."""
    found = _BeforeAndAfter({}, {}, set())
    beside = CONTROL.get(method, method)
    wanted = [record for record in group.records if quantization(record) in (method, beside)]
    for record, table in read_tables(wanted, "stages", STAGES, journal):
        rows, scores = {str(row["stage"]): row for row in table.to_dict("records")}, Scores(record, journal)
        if quantization(record) == method:
            found.in_8[_cell(record)] = scores.of(rows["quantized"], stage="quantized")
        if quantization(record) == beside:
            stages = ("trained",) if beside == "trained" else BEFORE
            stage = next(stage for stage in stages if stage in rows)
            found.exact[_cell(record)] = scores.of(rows[stage], stage=stage)
            if float(rows[stage]["low"]) <= trivial_score(record):  # False of NaN, where nothing tells
                found.at_chance.add(_cell(record))
    return found


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

"""Times that may share a panel: of one machine, and speed-ups at one batch size if the methods have one in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.compare.runs import EIGHT_BITS, Comparable
from analysis.compare.seconds import whole_training
from analysis.data.loading import Journal
from analysis.data.marks.quiet import MARKS, marks_of
from analysis.data.served import as_served, in_8_bits, runtime_tables, runtimes_text
from analysis.data.timings import latency_tables

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record


@dataclass(frozen=True)
class Timed:
    """The machine whose times are drawn, and at which batch size each verb's speed-ups are."""

    device: str
    elsewhere: int = 0
    """Runs on other machines, whose times are not drawn."""
    batches: dict[str, int] = field(default_factory=dict)
    """By verb; verbs without latency are not in it."""
    lengths: dict[str, list[int]] = field(default_factory=dict)
    """Of the sequences timed, by verb."""
    disturbed: int = 0
    """Runs that were timed beside other work."""
    unknown: int = 0
    """Runs that do not say."""


def add_times(points: pd.DataFrame, runs: Comparable, journal: Journal) -> tuple[pd.DataFrame, Timed]:
    """The points with ``batch_size`` and ``speedup``; NaN, as ``seconds``, where a run is of another machine.

    Where shapes were timed again in several runtimes, also ``served``, the speed-up with each model in its fastest, and
    ``served_in``, which those are, at which batch size: the smallest, 1 by default, because there runtimes differ most;
    of the longest sequences there.
    Of models in 8 bits it is that of the graph that was scored, over the whole model in float32.
    """
    device = _usual_device(runs)
    here = [record for record in runs.records if record.device == device]
    timed = [record for record in here if record.verb != "prune_heads"]
    in_torch = [record for record in timed if record.verb != EIGHT_BITS]
    tables = {record.run_id: (record, table) for record, table in latency_tables(in_torch, journal)}
    batches = _batches(list(tables.values()))
    speedups: dict[str, float] = {}
    lengths: dict[str, set[int]] = {}
    for run_id, (record, table) in tables.items():
        rows = table[table["batch_size"] == batches[record.verb]]
        if len(rows):
            speedups[run_id] = float(rows["speedup"].iloc[-1])
            lengths.setdefault(record.verb, set()).add(int(rows["length"].iloc[-1]))
    verbs = points["method"].str.split(" ").str[0]
    elsewhere = {record.run_id for record in runs.records if record.device != device}
    drawn = points.assign(
        speedup=points["run_id"].map(speedups).astype(float),
        batch_size=verbs.map(batches).astype(float),
        seconds=points["seconds"].mask(points["run_id"].isin(elsewhere)),
    )
    by_verb = {verb: sorted(values) for verb, values in lengths.items()}
    shown = {verb: batch for verb, batch in batches.items() if verb in by_verb}
    marks = {record.run_id: marks_of(record) for record, _ in tables.values()}
    counts = {mark: sum(bool(own[mark]) for own in marks.values()) for mark in MARKS}
    for mark in (mark for mark in MARKS if counts[mark]):
        of_run = {run_id: own[mark] for run_id, own in marks.items()}
        drawn = drawn.assign(**{mark: drawn["run_id"].map(of_run).astype(float)})
    drawn = _with_served(drawn, timed, journal)
    return whole_training(drawn), Timed(device, len(elsewhere), shown, by_verb, **counts)


def _with_served(points: pd.DataFrame, timed: list[Record], journal: Journal) -> pd.DataFrame:
    served = {}
    for record, table in runtime_tables(timed, journal):
        cells = as_served(in_8_bits(table) if record.verb == EIGHT_BITS else table)
        served[record.run_id] = cells[cells["batch_size"] == cells["batch_size"].min()].iloc[-1]
    if not served:
        return points
    return points.assign(
        served=points["run_id"].map({run: cell["served"] for run, cell in served.items()}).astype(float),
        served_in=points["run_id"].map({
            run: f"{runtimes_text(cell['dense_in'], cell['pruned_in'])}, batch {cell['batch_size']}"
            for run, cell in served.items()
        }),
    )


def _usual_device(runs: Comparable) -> str:
    """That of most verbs, then of most runs."""
    devices = Counter(record.device for record in runs.records)
    verbs = {device: len({r.verb for r in runs.records if r.device == device}) for device in devices}
    return max(sorted(devices), key=lambda device: (verbs[device], devices[device]))


def _batches(tables: list[tuple[Record, pd.DataFrame]]) -> dict[str, int]:
    """By verb the largest batch size that all verbs were timed at; each verb's own largest where there is none."""
    sizes: dict[str, set[int]] = {}
    for record, table in tables:
        sizes.setdefault(record.verb, set()).update(map(int, table["batch_size"]))
    common = set.intersection(*sizes.values()) if sizes else set()
    return {verb: max(common or own) for verb, own in sizes.items()}


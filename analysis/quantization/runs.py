"""Runs of `quantize` as frames: a row a model and precision, with what it scores, weighs and takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from analysis.data.columns import columns
from analysis.data.frames import means, run_rows
from analysis.data.groups import Group, by_condition, by_setting
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import MARKS, marks_of
from analysis.data.marks.trivial import ACCURACY
from analysis.data.records import Record
from analysis.intervals.replicates import with_each
from analysis.render.machines import each_machine
from analysis.render.output import Item, file_name

if TYPE_CHECKING:
    import pandas as pd

STAGES = columns("quantize", "stages", "stage", "value")
FLOAT = "float32"
LONGER = "longer"
"""Of models in float32 that were trained as long as those for 8 bits: what the control puts into 8 bits."""
BEFORE = ("pruned", "dense")
"""Stages of the model in float32 that 8 bits start from; the first that a run has."""
CONTROL = {"aware": "trained"}
"""By how a model came to 8 bits, the runs whose float32 it is held against, where they are not its own."""
BATCH = re.compile(r"speedup_both_batch_(\d+)")
CELL = ["panel", "task", "series", "asked"]


def each_average(
    group: Group, journal: Journal, part: str, make: Callable[[str, Group, pd.DataFrame, str], Item]
) -> list[Item]:
    """What ``make(name, runs, average of them, device in words)`` gives of every task and machine.

    Args:
        part: how the names begin.
    """
    items: list[Item] = []
    for usual in usual_runs(group.records):

        def made(name: str, groups: list[Group], device: str) -> Item | None:
            frame = averaged(groups[0], journal)
            return None if frame is None else make(name, groups[0], frame, device)

        items += each_machine(file_name(part, usual.records[0].task), [usual], made)
    return items


def usual_runs(records: Sequence[Record]) -> list[Group]:
    """A group a task: of its conditions that with the most evaluation rows, then the most runs."""
    return [by_condition(members)[0] for members in by_setting(records).values()]


def quantization(record: Record) -> str:
    """dynamic, aware, or trained."""
    return str(record.config["quantization"])


def asked(record: Record) -> float:
    """Per cent of the MACs that the model was to have; of one from elsewhere what it has."""
    whole = 100 * (float(record.config["remaining"]) if not record.config.get("source") else left(record))
    return round(whole, 1)


def left(record: Record) -> float:
    """Share of the MACs that the model really has."""
    return float(record.metrics["remaining_macs"])


def batches(records: Sequence[Record]) -> list[int]:
    """Batch sizes that all of the runs were timed at, the smallest first."""
    sizes = [{int(found[1]) for name in record.metrics if (found := BATCH.fullmatch(name))} for record in records]
    return sorted(set.intersection(*sizes)) if sizes else []


def stage_tables(records: Sequence[Record], journal: Journal) -> dict[str, pd.DataFrame]:
    """Value, accuracy (NaN where it is none) and bytes by stage, for each run id."""
    tables = read_tables(records, "stages", STAGES, journal)
    names = ["value", ACCURACY, "bytes"]
    return {
        record.run_id: table.set_index("stage").reindex(columns=names).astype(float) for record, table in tables
    }


def rows(group: Group, journal: Journal) -> pd.DataFrame | None:
    """A row a run and precision, quiet runs first: ``series`` is float32, :data:`LONGER` or how the model came to 8
    bits.

    ``megabytes`` are those of its graph, ``speedup_N`` is over the whole model in float32 at batch N, ``product_N``
    the product of what pruning and 8 bits gain there, each for itself. ``exact`` is the score in float32 of what was
    put into 8 bits, after all training.
    """
    import pandas as pd

    stages = stage_tables(group.records, journal)
    members = {record.run_id: record for record in group.records if record.run_id in stages}
    if not members:
        return None
    base = run_rows(
        [Group(list(members.values()), group.label)], run_id=lambda record: record.run_id, quantization=quantization,
        asked=asked, **{mark: lambda record, mark=mark: marks_of(record)[mark] for mark in MARKS},
    ).sort_values(list(MARKS), kind="stable")  # fmt: skip
    found = []
    for row in base.to_dict("records"):
        own, metrics = stages[str(row["run_id"])], members[str(row["run_id"])].metrics
        before = next(stage for stage in BEFORE if stage in own.index)
        last = "trained" if "trained" in own.index else before
        longer = [(LONGER, last)] if row["quantization"] in CONTROL.values() else []
        for series, stage in ((FLOAT, before), *longer, (str(row["quantization"]), "quantized")):
            value = 100 * float(own["value"][stage])
            found.append({**row, "series": series, "value": value, "change": value - row["value"] + row["change"],
                          ACCURACY: 100 * float(own[ACCURACY][stage]),
                          "exact": value if stage != "quantized" else 100 * float(own["value"][last]),
                          "megabytes": float(own["bytes"][stage]) / 1e6})  # fmt: skip
            for size in batches(list(members.values())):
                gains = {name: float(metrics[f"speedup_{name}_batch_{size}"]) for name in ("pruning", "int8", "both")}
                found[-1][f"speedup_{size}"] = gains["both" if stage == "quantized" else "pruning"]
                found[-1][f"product_{size}"] = gains["pruning"] * gains["int8"]
    return pd.DataFrame(found)


def averaged(group: Group, journal: Journal) -> pd.DataFrame | None:
    """The rows of :func:`rows` averaged over teachers and seeds, and ``sum``: the score in 8 bits if losses added, of
    models that were trained for it those from what the same training without it left."""
    frame = rows(group, journal)
    if frame is None:
        return None
    numbers = [str(name) for name in frame if str(name).startswith(("speedup_", "product_"))]
    cells = means(frame, CELL, ["change", "exact", "remaining_percent", "megabytes", *MARKS, *numbers])
    cells = with_each(cells, frame.drop_duplicates([*CELL, "teacher", "seed"]), CELL)
    indexed = cells.set_index(["series", "asked"])
    exact, in_8 = indexed["exact"].to_dict(), indexed["value"].to_dict()

    def expected(row: Any) -> float:
        series = row["series"]
        control = CONTROL.get(series, series)
        before, whole, whole_8 = (control, row["asked"]), (control, 100.0), (series, 100.0)
        pruned_in_8 = series not in (FLOAT, LONGER) and row["asked"] != 100
        if not pruned_in_8 or not {before, whole} <= exact.keys() or whole_8 not in in_8:
            return float("nan")
        return float(exact[before] + in_8[whole_8] - exact[whole])

    return cells.assign(sum=[expected(row) for row in cells.to_dict("records")])


"""Whole and pruned models in every runtime that could serve them, and each in its fastest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.compare.runs import chosen_by
from analysis.compare.words import method_look
from analysis.data.groups import Group, describe
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text, timed_by
from analysis.data.records import Record
from analysis.data.served import as_served, runtime_tables, runtimes_text
from analysis.render.machines import each_machine
from analysis.render.output import Item, Table, count_range

if TYPE_CHECKING:
    import pandas as pd

CELL = ["task", "model", "batch_size", "length"]


def draw_heads(group: Group, journal: Journal) -> list[Item]:
    """Of models with heads removed."""
    return _draw("runtimes", group, journal, _by_share)


def draw_methods(group: Group, journal: Journal) -> list[Item]:
    """Of the shapes that methods left, where they were timed again in several runtimes."""
    return _draw("served", group, journal, _by_method)


def _draw(name: str, group: Group, journal: Journal, model: Callable[[Record], str]) -> list[Item]:
    def make(title: str, groups: list[Group], device: str) -> Item | None:
        records = [record for one in groups for record in one.records]
        tables = runtime_tables(records, journal)
        if not tables:
            return None
        timed = [record for record, _ in tables]
        frame = speeds(tables, model)
        repeats = count_range(frame["repeats"])
        return Table(
            name=title,
            title="As served: whole and pruned models in every runtime",
            frame=frame,
            display=display(frame),
            caption="Milliseconds of a forward pass without padding, whole \u2192 pruned, and how many times faster; "
            "as served: each in its fastest runtime. In onnx-int8 answers differ, which scores elsewhere do not show. "
            f"Medians of {repeats} repeats, in turn; {device}. {disturbed_text(timed, 'Among these')}"
            f"{describe(timed)}",
        )

    return each_machine(name, [group], make)


def speeds(tables: list[tuple[Record, pd.DataFrame]], model: Callable[[Record], str]) -> pd.DataFrame:
    """A row a model, batch size, length and runtime: medians and the speed-up within the runtime; and, the same in all
    rows of a cell, the speed-up as served with its runtimes."""
    import pandas as pd

    parts = []
    for record, table in tables:
        cell = ["batch_size", "length", "runtime"]
        sides = [
            table.loc[table["variant"] == variant, [*cell, "median_ms", "repeats"]]
            .drop_duplicates(cell).rename(columns={"median_ms": f"{name}_ms"})
            for name, variant in (("dense", "original"), ("pruned", "pruned"))
        ]  # fmt: skip
        both = sides[0].merge(sides[1].drop(columns="repeats"), on=cell)
        both = both.assign(speedup=both["dense_ms"] / both["pruned_ms"])
        served = as_served(table).drop(columns=["dense_ms", "pruned_ms"])
        both = both.merge(served, on=["batch_size", "length"]).sort_values(["length", "batch_size"], kind="stable")
        parts.append(both.assign(task=record.task, model=model(record), run_id=timed_by(record).run_id))
    frame = pd.concat(parts, ignore_index=True).drop_duplicates([*CELL, "runtime"])
    return frame[[*CELL, *(column for column in frame if column not in CELL)]]


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a model, batch size and length, a column a runtime."""
    import pandas as pd

    runtimes = list(dict.fromkeys(frame["runtime"]))
    rows = []
    for (task, model, batch, length), cells in frame.groupby(CELL, sort=False):
        by_runtime = {row["runtime"]: row for row in cells.to_dict("records")}
        first = cells.iloc[0]
        rows.append({
            "task": task, "model": model, "batch": str(batch), "length": str(length),
            **{runtime: _cell(by_runtime.get(runtime)) for runtime in runtimes},
            "as served": f"{first['served']:.2f} x ({runtimes_text(first['dense_in'], first['pruned_in'])})",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _cell(row: Mapping[Any, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['dense_ms']:.3g} \u2192 {row['pruned_ms']:.3g} ({row['speedup']:.2f} x)"


def _by_share(record: Record) -> str:
    return f"{100 * float(record.config['share']):.0f} % of heads gone"


def _by_method(record: Record) -> str:
    left = 100 * float(record.metrics["remaining_macs"])
    return f"{method_look(f'{record.verb} {chosen_by(record)}')[0].label}, {left:.0f} % of MACs"

"""The benchmarks: how much faster a computation is than the plain one it replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, evaluation_rows
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import disturbed_text
from analysis.render.output import Item, Table

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

REPEATS = columns("benchmark", "repeats")


def draw(group: Group, journal: Journal) -> list[Item]:
    frame = ratios(group, journal)
    if frame is None:
        return []
    shown = frame.assign(
        plain_seconds=frame["plain_seconds"].map("{:.4g}".format),
        fast_seconds=frame["fast_seconds"].map("{:.4g}".format),
        ratio=[f"{r.ratio:.2f} ({r.lowest:.2f} to {r.highest:.2f})" for r in frame.itertuples()],
    ).drop(columns=["lowest", "highest"])
    return [
        Table(
            name="benchmark",
            title="Benchmarks: times faster than the plain computation",
            frame=frame,
            display=shown.rename(columns={
                "plain_seconds": "plain (s)", "fast_seconds": "ours (s)", "ratio": "ratio (least to most)",
            }),
            caption="Medians over paired repeats in one process. "
            f"{disturbed_text(group.records, 'Among these')}{group.caption}",
        )
    ]


def ratios(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a comparison, number of rows and device: medians, and the ratio's range over repeats."""
    import pandas as pd

    compared = [record for record in group.records if record.config.get("benchmark") != "estimate"]
    tables = [
        table.assign(
            benchmark=_name(record),
            rows=evaluation_rows([record]),
            device=record.device,
        )
        for record, table in read_tables(compared, "repeats", REPEATS, journal)
    ]
    if not tables:
        return None
    keys = ["benchmark", "rows", "comparison", "device"]
    grouped = pd.concat(tables, ignore_index=True).groupby(keys, sort=False, as_index=False)
    summary = grouped.agg(
        repeats=("ratio", "size"),
        plain_seconds=("plain_seconds", "median"),
        fast_seconds=("fast_seconds", "median"),
        ratio=("ratio", "median"),
        lowest=("ratio", "min"),
        highest=("ratio", "max"),
    )
    # Comparisons stay in the order of their benchmark: the whole, then its stages.
    return summary.sort_values(["benchmark", "rows", "device"], kind="stable", ignore_index=True)


def _name(record: Record) -> str:
    """Of a benchmark, and in which runtime its models ran where that is not PyTorch."""
    name, runtime = str(record.config.get("benchmark", "")), record.config.get("runtime") or "torch"
    return name if runtime == "torch" else f"{name} in {runtime}"

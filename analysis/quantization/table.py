"""Pruning and 8 bits in numbers: score, megabytes and milliseconds by share of the MACs and precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.averages import SCORES, mean_text
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import disturbed_text
from analysis.data.marks.trivial import beside
from analysis.data.served import RUNTIMES
from analysis.quantization.quantized import LOOKS
from analysis.quantization.runs import FLOAT, each_average, quantization
from analysis.quantization.runs import asked as asked_of
from analysis.render.output import Item, Table

if TYPE_CHECKING:
    import pandas as pd


def draw(group: Group, journal: Journal) -> list[Item]:
    """A table a task and machine."""

    def make(name: str, own: Group, frame: pd.DataFrame, device: str) -> Item:
        frame = with_milliseconds(frame, own, journal)
        return Table(
            name,
            title=f"Pruning and 8 bits: {own.records[0].task}",
            frame=frame,
            display=display(frame),
            caption=f"Graphs of ONNX Runtime. {SCORES}. MB of the graph's file, ms of a forward pass without padding, "
            f"means over runs of their medians; {device}. {disturbed_text(own.records, 'Among these')}{own.caption}",
        )

    return each_average(group, journal, "sizes", make)


def with_milliseconds(frame: pd.DataFrame, group: Group, journal: Journal) -> pd.DataFrame:
    """The frame with a column ``ms_N`` a batch size: of the graph of each row, the mean of the medians of its runs."""
    taken: dict[tuple[str, float, int], list[float]] = {}
    for record, table in read_tables(group.records, "runtimes", RUNTIMES, journal):
        series = {"onnx": FLOAT, "onnx-int8": quantization(record)}
        for row in table[table["variant"] == "pruned"].to_dict("records"):
            if row["runtime"] == "onnx" and quantization(record) != "dynamic":
                continue  # of what was trained further, which has no row in float32
            key = series[str(row["runtime"])], asked_of(record), int(row["batch_size"])
            taken.setdefault(key, []).append(float(row["median_ms"]))
    for size in sorted({batch for _, _, batch in taken}):
        own = [taken.get((row["series"], row["asked"], size), []) for row in frame.to_dict("records")]
        frame = frame.assign(**{f"ms_{size}": [sum(ms) / len(ms) if ms else float("nan") for ms in own]})
    return frame


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a share of MACs and precision."""
    import pandas as pd

    order = {series: place for place, series in enumerate(LOOKS)}
    cells = frame.assign(place=frame["series"].map(order)).sort_values(["asked", "place"], ascending=[False, True])
    times = [str(name) for name in frame if str(name).startswith("ms_")]
    return pd.DataFrame([
        {
            "MACs": f"{row['asked']:g} %", "precision": LOOKS[row["series"]].label,
            row["metric"]: mean_text(row["each"]), "MB": f"{row['megabytes']:.1f}",
            **{f"ms, batch {name.removeprefix('ms_')}": "" if pd.isna(row[name]) else f"{row[name]:.3g}"
               for name in times},
            "runs": str(row["runs"]),
        }
        for row in cells.to_dict("records")
    ]).assign(**beside(cells))  # fmt: skip

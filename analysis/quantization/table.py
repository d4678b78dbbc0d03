"""Pruning and 8 bits in numbers: score, megabytes and measured gain in speed by share of the MACs and precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.data.averages import SCORES, mean_text
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import BESIDE, UNKNOWN, disturbed_text
from analysis.data.marks.trivial import beside
from analysis.quantization.quantized import LOOKS
from analysis.quantization.runs import FLOAT, LONGER, each_average
from analysis.render.output import Item, Table

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    FLOAT: LOOKS[FLOAT].label,
    LONGER: f"{LOOKS[FLOAT].label}, trained as long",
    **{series: look.label for series, look in LOOKS.items() if series != FLOAT},
}
"""Of a series, in the order of the rows."""
GAIN = "speedup_"
"""Before a batch size: columns of the gain over the whole model in float32."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """A table a task and machine."""

    def make(name: str, own: Group, frame: pd.DataFrame, device: str) -> Item:
        return Table(
            name,
            title=f"Pruning and 8 bits: {own.records[0].task}",
            frame=frame,
            display=display(frame),
            caption=f"Graphs of ONNX Runtime. {SCORES}. MB of the graph's file; times faster than the whole model in "
            f"float32 of the same session, paired by rounds, medians (of means over runs their mean), without padding; "
            f"{device}. {disturbed_text(own.records, 'Among these')}{own.caption}",
        )

    return each_average(group, journal, "sizes", make)


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a share of MACs and precision."""
    import pandas as pd

    order = {series: place for place, series in enumerate(NAMES)}
    cells = frame.assign(place=frame["series"].map(order)).sort_values(["asked", "place"], ascending=[False, True])
    gains = [str(name) for name in frame if str(name).startswith(GAIN)]
    return pd.DataFrame([
        {
            "MACs": f"{row['asked']:g} %", "precision": NAMES[row["series"]],
            "score": f"{row['metric']} {mean_text(row['each'])}", "MB": f"{row['megabytes']:.1f}",
            **{f"times faster, batch {name.removeprefix(GAIN)}": f"{row[name]:.2f}" for name in gains},
            "timed": timed_text(row), "runs": str(row["runs"]),
        }
        for row in cells.to_dict("records")
    ]).assign(**beside(cells))  # fmt: skip


def timed_text(row: Mapping[Any, Any]) -> str:
    """Whether the machine was quiet, by the shares of runs that were disturbed and that do not say.

    >>> timed_text({"disturbed": 0.5, "unknown": 0}), timed_text({"disturbed": 0, "unknown": 0})
    ('beside other work in part', 'quiet')
    """
    for share, words in ((row["disturbed"], BESIDE), (row["unknown"], UNKNOWN)):
        if share > 0:
            return words if share == 1 else f"{words} in part"
    return "quiet"

"""How many calibration examples are enough: the metric against their number."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

from analysis.data.averages import unpruned
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows
from analysis.render.curves import draw_series
from analysis.render.output import Drawing, Item
from analysis.render.panels import draw_panels
from analysis.render.style import MARKERS, TEACHERS, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))


def draw(group: Group, journal: Journal) -> list[Item]:
    """The tasks and constraints that were pruned with more than one number of examples."""
    groups = [swept for one in default_runs(group.records, free=["calibration_examples"]) if (swept := _swept(one))]
    if not groups:
        return []
    frame = curves(groups)
    return [Drawing("kwon_calibration", plot(frame), frame, caption(groups))]


def curves(groups: list[Group]) -> pd.DataFrame:
    """A row a task, constraint and number of examples, in per cent."""
    import pandas as pd

    parts = []
    for group in groups:
        rows = fisher_rows([group], calibration_examples=lambda record: int(record.config["calibration_examples"]))
        averaged = means(rows, ["panel", "task", "constraint", "calibration_examples"], ["change"])
        dense = {"panel": group.title, "task": group.records[0].task, "metric": averaged["metric"].iloc[0]}
        dense |= {"series": "unpruned", "change": 0.0} | unpruned(group.records)
        parts += [averaged.assign(series="pruned"), pd.DataFrame([dense])]
    return pd.concat(parts, ignore_index=True)


def plot(frame: pd.DataFrame) -> Figure:
    numbers = sorted(frame["calibration_examples"].dropna().unique())
    constraints = sorted(frame["constraint"].dropna().unique(), reverse=True)
    looks = {
        constraint: Look(f"constraint {constraint:g}", color, marker, line)
        for constraint, color, marker, line in zip(constraints, cycle(TEACHERS), cycle(MARKERS), cycle(LINES))
    }

    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        for constraint, curve in rows.dropna(subset=["constraint"]).groupby("constraint"):
            draw_series(axes, curve, "calibration_examples", looks[float(str(constraint))], bars=len(constraints) > 1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [f"{number:.0f}" for number in numbers], rotation=45)
        axes.minorticks_off()

    intervals = "Bars" if len(constraints) > 1 else "Bands"
    key = "Every draw has examples of its own."
    return draw_panels(frame, "calibration examples", panel, key, drawn_anew=DRAWS, intervals=intervals)


def _swept(group: Group) -> Group | None:
    """The runs at constraints that have several numbers of examples."""
    numbers: dict[float, set[int]] = {}
    for record in group.records:
        numbers.setdefault(record.config["constraint"], set()).add(record.config["calibration_examples"])
    members = [record for record in group.records if len(numbers[record.config["constraint"]]) > 1]
    return Group(members, group.label) if members else None

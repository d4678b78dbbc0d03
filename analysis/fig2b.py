"""Fig. 2b: does a head that matters on one evaluation set matter on another one too?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.groups import Group, teacher_of
from analysis.loading import Journal, read_tables
from analysis.output import Drawing, Item
from analysis.style import MARKERS, TEACHERS, add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EFFECTS = {"kind": "str", "layer": "int", "head": "int", "first_delta": "float", "second_delta": "float"}


def draw(group: Group, journal: Journal) -> list[Item]:
    frame = effects(group, journal)
    if frame is None:
        return []
    return [Drawing("fig2b", plot(frame, group.caption), frame)]


def effects(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a head and teacher: both changes in points, and that teacher's Pearson r with its p-value."""
    import pandas as pd

    from prunekit.statistics import pearson

    parts = []
    for record, table in read_tables(group.records, "effects", EFFECTS, journal):
        first, second = 100 * table["first_delta"], 100 * table["second_delta"]
        r, p = pearson(first.to_numpy(), second.to_numpy())
        parts.append(
            pd.DataFrame(
                {
                    "teacher": teacher_of(record),
                    "kind": table["kind"],
                    "layer": table["layer"] + 1,
                    "head": table["head"] + 1,
                    "first": str(record.metrics.get("first", "first set")),
                    "second": str(record.metrics.get("second", "second set")),
                    "first_delta_points": first,
                    "second_delta_points": second,
                    "pearson_r": r,
                    "p_value": p,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else None


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    import numpy as np

    with figure_style():
        figure = new_figure(4.0, 3.7)
        axes = figure.subplots()
        axes.axhline(0, color="#BBBBBB", linewidth=0.7)
        axes.axvline(0, color="#BBBBBB", linewidth=0.7)
        several = frame["teacher"].nunique() > 1
        for number, (teacher, rows) in enumerate(frame.groupby("teacher")):
            color, marker = TEACHERS[number % len(TEACHERS)], MARKERS[number % len(MARKERS)]
            x, y = rows["first_delta_points"].to_numpy(), rows["second_delta_points"].to_numpy()
            r, p = rows["pearson_r"].iloc[0], rows["p_value"].iloc[0]
            axes.scatter(
                x, y, s=13, color=color, marker=marker, alpha=0.75, linewidths=0,
                label=(f"{teacher}: " if several else "") + correlation_text(r, p),
            )  # fmt: skip
            if np.ptp(x) > 0:
                slope, intercept = np.polyfit(x, y, 1)
                ends = np.array([x.min(), x.max()])
                axes.plot(ends, slope * ends + intercept, color=color, linewidth=1.1)
        first, second = (str(frame[column].iloc[0]).replace("/", " ") for column in ("first", "second"))
        axes.set_xlabel(f"change on {first} (points)")
        axes.set_ylabel(f"change on\n{second} (points)")
        figure.legend(loc="outside upper center", ncols=2 if several else 1, columnspacing=1.2, handletextpad=0.3)
        add_caption(figure, f"One point a head, least-squares line. {caption}")
    return figure


def correlation_text(r: float, p: float) -> str:
    """Pearson's r and its p-value, short enough for a legend.

    >>> correlation_text(0.681, 1e-9), correlation_text(0.1, 0.03)
    ('r = 0.68, p < 0.001', 'r = 0.10, p = 0.030')
    """
    if r != r:  # NaN: one of the two sides is constant
        return "r undefined"
    return f"r = {r:.2f}, " + ("p < 0.001" if p < 0.001 else f"p = {p:.3f}")

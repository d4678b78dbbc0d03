"""What sparsity costs: the metric against the parameters that are really gone, a panel a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.cofi.panels import any_missed, draw_structures, structure_label
from analysis.cofi.runs import SEEDS, caption, cofi_means, cofi_rows, default_runs, missed_text, structure
from analysis.data.averages import unpruned
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.render.output import Drawing, Item
from analysis.render.panels import draw_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ASIDE = 0.9
"""Per cent of the parameters that the points of two baselines are set apart by; CoFi itself stays where it is."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """CoFi and its baselines, every other setting at its default."""
    groups = default_runs(group.records, free=["structure"])
    if not groups:
        return []
    frame = curves(groups)
    beside = f"{missed_text(frame, 'Starred', structure_label)}{caption(groups)}"
    return [Drawing("cofi_sparsity", plot(frame), frame, beside)]


def curves(groups: list[Group]) -> pd.DataFrame:
    """A row a task, structure and requested sparsity, in per cent, and one a task for the unpruned teacher.

    ``counted`` is the share of the prunable parameters that is gone, ``change`` the points against the teacher.
    """
    import pandas as pd

    parts = []
    for group in groups:
        rows = cofi_rows([group], series=structure)
        parts.append(cofi_means(rows, ["panel", "task", "series", "requested"], ["speedup"]))
        dense = {"panel": group.title, "task": group.records[0].task, "metric": rows["metric"].iloc[0]}
        dense |= {"series": "unpruned", "counted": 0.0, "change": 0.0, "speedup": 1.0}
        parts.append(pd.DataFrame([dense | unpruned(group.records)]))
    return pd.concat(parts, ignore_index=True)


def plot(frame: pd.DataFrame) -> Figure:
    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        draw_structures(axes, _set_apart(rows), "counted")
        axes.set_xlim(least - 5, 100)

    least = frame.loc[frame["series"] != "unpruned", "counted"].min()
    key = f"{any_missed(frame)}Embeddings are not prunable and not counted. Baselines are set apart sideways."
    return draw_panels(frame, "parameters gone (%)", panel, key, drawn_anew=SEEDS, intervals="Bars", size=(2.25, 1.95))


def _set_apart(rows: pd.DataFrame) -> pd.DataFrame:
    """The structures of a panel side by side, as they are gone by nearly the same share: baselines by turns to the left
    and to the right of CoFi."""
    baselines = [series for series in rows["series"].unique() if series not in ("learned", "unpruned")]
    steps = {series: (number // 2 + 1) * (1 if number % 2 else -1) for number, series in enumerate(baselines)}
    return rows.assign(counted=rows["counted"] + ASIDE * rows["series"].map(steps).fillna(0))

"""Fig. 3: the metric against the share of heads pruned, one curve an order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.data.averages import average, unpruned
from analysis.data.columns import columns
from analysis.data.groups import Group, of_all_kinds, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.michel import published
from analysis.render.curves import (
    DARK,
    SINGLE,
    any_single,
    draw_limit,
    draw_line,
    draw_trivial,
    draw_unpruned,
    runs_text,
)
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    GREY,
    ORDERS,
    Look,
    add_caption,
    add_legend,
    figure_style,
    looks_of,
    metric_axis,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = columns(
    "prune_heads", "points", "share", "heads_kept", "heads_total", "achieved_heads", "metric", "value"
)
NLI_TASKS = ("mnli", "snli", "demo")
"""Three-way inference, where the published MNLI curve has the same chance level."""
PUBLISHED_LINES = {"importance": "-", "oracle": (0, (3, 1))}
RUN = "run"
"""The ``source`` of rows that are of one run each."""
RUN_COLUMNS = ("series", "source", "metric", "share", "pruned_percent", "value", "teacher", "seed")
FEW = 2
"""So many orders may have their runs in one panel; of more, each has a small panel of its own."""
ACROSS = 3
"""Small panels in a row."""


def draw(group: Group, journal: Journal, name: str = "fig3b") -> list[Item]:
    group = of_all_kinds(group)
    points = replicates(group.records, journal)
    if points is None:
        return []
    frame = with_runs(curves(group.records, points), points)
    task = group.records[0].task
    if frame["metric"].iloc[0] == "accuracy" and task.startswith(NLI_TASKS):
        frame = with_published(frame)
    if group.records[0].translation:
        frame = with_limit(frame, "")
    return [Drawing(name, plot(frame), frame, f"{_printed_text(frame)}{group.caption}")]


def order_of(record: Record) -> str:
    return str(record.config["order"])


def replicates(records: list[Record], journal: Journal) -> pd.DataFrame | None:
    """One row an order, teacher, seed and share, in per cent; a sweep's single-share runs are joined."""
    points = join_tables(
        records, "points", POINTS, journal, order=order_of, teacher=teacher_of, seed=lambda record: record.seed
    )
    if points is None:
        return None
    points["value"] *= 100
    # Every run of a sweep repeats the unpruned point.
    cell = ["order", "teacher", "seed", "share"]
    return points.drop_duplicates(cell).sort_values(cell, ignore_index=True)


def curves(records: list[Record], points: pd.DataFrame) -> pd.DataFrame:
    """The drawn numbers."""
    return with_unpruned(order_curves(points), records)


def with_unpruned(frame: pd.DataFrame, records: list[Record]) -> pd.DataFrame:
    """Add the series ``unpruned``: the unpruned metric with its sampling interval over the evaluation examples."""
    import pandas as pd

    dense = {"series": "unpruned", "source": "measured", "metric": frame["metric"].iloc[0], "share": 0.0}
    whole = pd.DataFrame([dense | {"pruned_percent": 0.0} | unpruned(records)])
    return pd.concat([frame, whole], ignore_index=True)


def order_curves(points: pd.DataFrame) -> pd.DataFrame:
    """A row an order (``series``) and share, with a 95 % interval of the mean where runs repeat."""
    import pandas as pd

    rows = []
    for (order, share), members in points.groupby(["order", "share"], sort=True):
        rows.append(
            {
                "series": order,
                "source": "measured",
                "metric": members["metric"].iloc[0],
                "share": share,
                "pruned_percent": 100 * members["achieved_heads"].mean(),
                **average(members),
            }
        )
    frame = pd.DataFrame(rows)
    frame["rank"] = frame["series"].map({order: number for number, order in enumerate(ORDERS)})
    return frame.sort_values(["rank", "series", "share"], ignore_index=True).drop(columns="rank")


def run_curves(points: pd.DataFrame) -> pd.DataFrame:
    """A row a run and share of the orders that several runs repeat, marked :data:`RUN`."""
    runs = points.groupby("order")[["teacher", "seed"]].transform(lambda column: column.map(str)).agg(" ".join, axis=1)
    several = runs.groupby(points["order"]).transform("nunique") > 1
    rows = points[several]
    rows = rows.assign(source=RUN, pruned_percent=100 * rows["achieved_heads"])
    return rows.rename(columns={"order": "series"})[list(RUN_COLUMNS)]


def with_runs(frame: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Add the curves of single runs, where there are several of an order."""
    import pandas as pd

    each = run_curves(points)
    return pd.concat([frame, each], ignore_index=True) if len(each) else frame


def with_published(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the independent rerun's curves, marked ``published``."""
    import pandas as pd

    rerun = published.pruning_curves().rename(columns={"order": "series"})
    rerun = rerun.assign(source="published", metric="accuracy", pruned_percent=100 * rerun["share"])
    return pd.concat([frame, rerun], ignore_index=True)


def with_limit(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Add the share that the paper names for translation, the series ``limit``."""
    import pandas as pd

    limits = published.prunable_heads()
    return pd.concat([frame, limits[limits["kind"] == kind]], ignore_index=True)


def plot(frame: pd.DataFrame) -> Figure:
    """All orders in one panel, as means; every run is a thin line, in small panels where many would hide one another.
    """
    measured = frame[(frame["source"] == "measured") & (frame["series"] != "unpruned")]
    each, whole = frame[frame["source"] == RUN], frame[frame["series"] == "unpruned"].iloc[0]
    looks = looks_of(ORDERS, measured["series"])
    repeated = [order for order in looks if order in set(each["series"])]
    small = repeated if len(repeated) > FEW else []
    with figure_style():
        figure = new_figure(8.6 if small else 6.2, 3.6)
        axes, panels = _layout(figure, len(small))
        draw_unpruned(axes, whole)
        for order, look in looks.items():
            rows = measured[measured["series"] == order]
            if not small:
                draw_runs(axes, each[each["series"] == order], look)
            draw_line(axes, rows, "pruned_percent", look, label=f"{look.label}{runs_text(rows['runs'])}")
        draw_trivial(axes, whole)
        _draw_published(axes, frame[frame["source"] == "published"])
        axes.set_xlabel("heads pruned (%)")
        axes.set_ylabel(metric_axis(frame["metric"].iloc[0]))
        axes.set_xlim(-2, 102)
        axes.xaxis.set_ticks(range(0, 101, 20 if small else 10))
        for panel, order in zip(panels, small, strict=True):
            rows, look = measured[measured["series"] == order], looks[order]
            draw_runs(panel, each[each["series"] == order], look)
            panel.plot(rows["pruned_percent"], rows["value"], color=look.color, linewidth=1.3)
            panel.axhline(whole["value"], color="#777777", linewidth=0.7)
            panel.axhline(whole["trivial"], color=DARK, linewidth=0.7, linestyle=(0, (6, 2.5)))
            panel.set_title(look.label, fontsize=6.5)
            if panel.xaxis.get_tick_params()["labelbottom"]:
                panel.set_xlabel("heads pruned (%)", fontsize=6)
            if panel.yaxis.get_tick_params()["labelleft"]:
                panel.set_ylabel(metric_axis(frame["metric"].iloc[0]), fontsize=6)
        add_legend(figure, [axes])
        add_caption(figure, explain_runs(frame, small=bool(small)))
    return figure


def draw_runs(axes: Axes, each: pd.DataFrame, look: Look) -> None:
    """A thin line a run, for rows of :func:`run_curves`."""
    if each.empty:  # and without columns of runs
        return
    for _, rows in each.groupby(["teacher", "seed"], sort=True):
        axes.plot(rows["pruned_percent"], rows["value"], color=look.color, linewidth=0.6, alpha=0.55, zorder=1.8)


def explain_runs(frame: pd.DataFrame, *, small: bool = False) -> str:
    """For the caption: what thin lines and hollow markers are.

    Arguments:
        small: runs are in small panels of their own, the large one has means alone.
    """
    each = frame[frame["source"] == RUN]
    teachers = each["teacher"].nunique() if len(each) else 0
    words = ["Thin: every draw, for one teacher; thick: their mean."] if teachers == 1 else []
    words = [f"Thin: every run, of {teachers} teachers; thick: the mean over teachers."] if teachers > 1 else words
    words = ["Large panel: means; small panels: the runs of each order.", *words] if small else words
    drawn = frame[(frame["source"] == "measured") & (frame["series"] != "unpruned")]
    return " ".join([*words, *([SINGLE] if any_single(drawn) else [])])


def _layout(figure: Figure, small: int) -> tuple[Axes, list[Axes]]:
    """The large panel, and small ones of the same axes beside it."""
    from matplotlib.gridspec import GridSpec

    if not small:
        return figure.subplots(), []
    down = math.ceil(small / ACROSS)
    across = math.ceil(small / down)
    grid = GridSpec(down, 1 + across, figure=figure, width_ratios=(1.05 * across, *[1.0] * across))
    large = figure.add_subplot(grid[:, 0])
    panels = [figure.add_subplot(grid[n // across, 1 + n % across], sharex=large, sharey=large) for n in range(small)]
    for number, panel in enumerate(panels):
        panel.tick_params(labelsize=6, labelleft=number % across == 0, labelbottom=number + across >= small)
    return large, panels


def _printed_text(frame: pd.DataFrame) -> str:
    """Beside the figure: whose published numbers are drawn."""
    printed = frame[frame["source"] == "published"]
    if printed.empty:
        return ""
    if (printed["series"] == "limit").any():
        return "Published: WMT14 En-Fr, another model. "
    return "Published: an independent rerun of BERT-base on MNLI-m. "


def _draw_published(axes: Axes, printed: pd.DataFrame) -> None:
    """The independent rerun's curves, and the share of heads that the paper names for translation."""
    for series, rows in printed[printed["series"] != "limit"].groupby("series", sort=True):
        axes.plot(
            rows["pruned_percent"], rows["value"], color=GREY, linewidth=0.9, linestyle=PUBLISHED_LINES[str(series)],
            label=f"published: BERT-base, {series}", zorder=1.7,
        )  # fmt: skip
    for percent in printed.loc[printed["series"] == "limit", "pruned_percent"]:
        draw_limit(axes, percent, "published: no noticeable\nloss up to here")

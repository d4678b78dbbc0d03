"""Fig. 5: how much of the metric the model keeps when it is pruned as it was after each of several epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.data.averages import average
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_score
from analysis.michel import published
from analysis.render.curves import draw_trivial
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    BLUE,
    GREY,
    MARKERS,
    VERMILLION,
    add_caption,
    figure_style,
    metric_axis,
    metric_name,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = columns("head_dynamics", "points", "epoch", "share", "metric", "value", "achieved_heads")
AGREEMENT = columns("head_dynamics", "agreement", "epoch", "rank_correlation")
HIGHEST = 130.0
"""Per cent of the unpruned metric that the axis shows at most: a model that has learnt nothing yet has any."""


def draw(group: Group, journal: Journal) -> list[Item]:
    points, agreement = replicates(group, journal), agreements(group, journal)
    if points is None or agreement is None:
        return []
    frame = drawn(points, agreement, with_published=group.records[0].translation)
    unpruned = (frame["series"] == "unpruned") & (frame["source"] == "measured")
    frame.loc[unpruned, "trivial"] = 100 * trivial_score(group.records[0])
    return [Drawing("fig5", plot(frame, group.caption), frame)]


def replicates(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a teacher, seed, epoch and share: the metric in per cent or points, and in per cent of the unpruned one.

    The latter, ``relative``, is empty where the unpruned model scores 0.
    """
    points = join_tables(
        group.records, "points", POINTS, journal, teacher=teacher_of, seed=lambda record: record.seed
    )
    if points is None:
        return None
    points["value"] *= 100
    model = ["teacher", "seed", "epoch"]
    whole = points.loc[points["share"] == 0, [*model, "value"]].rename(columns={"value": "whole"})
    points = points.merge(whole, on=model, how="left")
    return points.assign(relative=100 * points["value"] / points.pop("whole").replace(0, float("nan")))


def agreements(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a teacher, seed and epoch: Spearman's correlation of the heads' importance with the last epoch's."""
    return join_tables(
        group.records, "agreement", AGREEMENT, journal, teacher=teacher_of, seed=lambda record: record.seed
    )


def drawn(points: pd.DataFrame, agreement: pd.DataFrame, *, with_published: bool) -> pd.DataFrame:
    """A row a point of the figure, named in ``series``, averaged over teachers and seeds.

    ``relative`` holds the curves of the epochs, ``unpruned`` and ``rank_correlation`` what is drawn over epochs. What
    is published is of another language pair and model: the unpruned BLEU, and what is kept late in training.
    """
    import pandas as pd

    metric = points["metric"].iloc[0]
    rows: list[dict[str, Any]] = []
    for (epoch, share), members in points.groupby(["epoch", "share"]):
        place = {"epoch": epoch, "share": share, "pruned_percent": 100 * members["achieved_heads"].mean()}
        relative = average(members, "relative") | {"metric_value": members["value"].mean()}
        rows.append({"series": "relative", **place, **relative})
        if share == 0:
            rows.append({"series": "unpruned", "epoch": epoch, **average(members)})
    for epoch, members in agreement.groupby("epoch"):
        rows.append({"series": "rank_correlation", "epoch": epoch, **average(members, "rank_correlation")})
    frame = pd.DataFrame(rows).sort_values(["series", "epoch", "share"], ignore_index=True)
    frame = frame.assign(source="measured", metric=metric)
    if not with_published:
        return frame
    theirs = published.unpruned_by_epoch().assign(series="unpruned", source="published", metric="bleu")
    late = published.kept_late().assign(series="relative", source="published", metric="bleu")
    return pd.concat([frame, theirs, late], ignore_index=True)


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    from matplotlib.gridspec import GridSpec

    ours, theirs = (frame[frame["source"] == source] for source in ("measured", "published"))
    metric = str(ours["metric"].iloc[0])
    with figure_style():
        figure = new_figure(7.4, 3.6)
        grid = GridSpec(2, 2, figure=figure, width_ratios=(1.5, 1))
        left, above = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
        below = figure.add_subplot(grid[1, 1], sharex=above)
        _draw_curves(left, ours[ours["series"] == "relative"])
        late = theirs[theirs["series"] == "relative"]
        if len(late):
            left.vlines(
                late["pruned_percent"], late["low"], late["high"], color=GREY, linewidth=4,
                label="published, from epoch 10 on",
            )  # fmt: skip
        left.set_ylabel(f"{metric_name(metric)}, relative to the unpruned model (%)")
        _draw_epochs(above, ours[ours["series"] == "unpruned"], BLUE)
        printed = theirs[theirs["series"] == "unpruned"]
        above.plot(printed["epoch"], printed["value"], color=GREY, linestyle=(0, (3, 1)), marker="s", markersize=3)
        draw_trivial(above, ours[ours["series"] == "unpruned"].iloc[0])
        above.set_ylabel(f"unpruned\n{metric_axis(metric)}")
        above.tick_params(labelbottom=False)
        _draw_epochs(below, ours[ours["series"] == "rank_correlation"], VERMILLION)
        below.set_ylabel("rank correlation with\nthe last epoch")
        below.set_ylim(min(-0.05, ours.loc[ours["series"] == "rank_correlation", "value"].min() - 0.05), 1.05)
        ticks = sorted({*ours["epoch"], *printed["epoch"].tail(1)})
        below.set_xscale("log")
        below.set_xticks(ticks, [str(epoch) for epoch in ticks])
        below.minorticks_off()
        below.set_xlabel("epoch")
        entries = [panel.get_legend_handles_labels() for panel in (left, above)]
        figure.legend(
            *([entry for both in entries for entry in both[part]] for part in (0, 1)),
            loc="outside upper center", ncols=5, columnspacing=1.4, handlelength=2.0,
        )  # fmt: skip
        bands = "Bands: 95 % interval of the mean. " if ours["low"].notna().any() else ""
        grey = "Grey: published, IWSLT14 De-En and another model. " if len(theirs) else ""
        words = "Each model is pruned as it was after the epoch, in the order of its own scores."
        add_caption(figure, f"{words} {bands}{grey}{caption}")
    return figure


def _draw_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """A curve an epoch, from light to dark, so that the order of epochs shows in grey too."""
    from matplotlib import colormaps

    epochs = sorted(set(rows["epoch"]))
    shades = colormaps["viridis_r"]
    for number, epoch in enumerate(epochs):
        curve = rows[(rows["epoch"] == epoch) & rows["value"].notna()]
        color = shades(0.12 + 0.88 * number / max(len(epochs) - 1, 1))
        axes.plot(
            curve["pruned_percent"], curve["value"], color=color, marker=MARKERS[number % len(MARKERS)],
            label=f"epoch {epoch}",
        )  # fmt: skip
        axes.fill_between(curve["pruned_percent"], curve["low"], curve["high"], color=color, alpha=0.15, linewidth=0)
    axes.axhline(100, color="#777777", linewidth=0.7)
    axes.set_xlabel("heads pruned (%)")
    axes.set_xlim(-2, max(92, rows["pruned_percent"].max() + 2))
    axes.xaxis.set_ticks(range(0, 101, 10))
    axes.set_ylim(-3, min(HIGHEST, max(105, rows["value"].max() + 5)))


def _draw_epochs(axes: Axes, rows: pd.DataFrame, color: str) -> None:
    """A value over epochs."""
    axes.plot(rows["epoch"], rows["value"], color=color, marker="o")
    axes.fill_between(rows["epoch"], rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)

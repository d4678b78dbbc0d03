"""Fig. 5: how much of the metric the model keeps when it is pruned as it was after each of several epochs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from analysis.data.averages import average, resampled_text
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_score
from analysis.michel import published
from analysis.render.curves import SINGLE, any_single, draw_series, draw_trivial
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    BLUE,
    GREY,
    MARKERS,
    VERMILLION,
    Look,
    add_caption,
    add_legend,
    figure_style,
    metric_axis,
    metric_name,
    metric_range,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = columns("head_dynamics", "points", "epoch", "share", "metric", "value", "achieved_heads")
AGREEMENT = columns("head_dynamics", "agreement", "epoch", "rank_correlation")
LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))
"""Of epochs: shades of neighbours are hard to tell apart."""
LEARNT = 0.25
"""Of what the best epoch has above the trivial answer: with less, a model's per cent of its own score say nothing."""


def draw(group: Group, journal: Journal) -> list[Item]:
    points, agreement = replicates(group, journal), agreements(group, journal)
    if points is None or agreement is None:
        return []
    frame = drawn(points, agreement, with_published=group.records[0].translation)
    unpruned = (frame["series"] == "unpruned") & (frame["source"] == "measured")
    frame.loc[unpruned, "trivial"] = 100 * trivial_score(group.records[0])
    return [Drawing("fig5", plot(frame), frame, f"{_grey(frame)}{group.caption}")]


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


def unlearnt(unpruned: Mapping[int, float], trivial: float) -> dict[int, float]:
    """Of the unpruned metric by epoch, the mean over teachers, the epochs after which the models had next to nothing
    that pruning could take.

    Arguments:
        trivial: what one answer to all rows has; NaN where it is not known.
    """
    floor = 0.0 if math.isnan(trivial) else trivial
    best = max((value - floor for value in unpruned.values()), default=0.0)
    return {epoch: value for epoch, value in unpruned.items() if value - floor < LEARNT * best}


def left_out(frame: pd.DataFrame) -> dict[int, float]:
    """The unpruned metric of epochs that have no curve."""
    whole = frame[(frame["series"] == "unpruned") & (frame["source"] == "measured")]
    unpruned = {int(epoch): float(value) for epoch, value in zip(whole["epoch"], whole["value"], strict=True)}
    return unlearnt(unpruned, float(whole["trivial"].iloc[0]))


def left_out_text(frame: pd.DataFrame) -> str:
    """Which epochs have no curve, and why."""
    epochs = left_out(frame)
    metric = metric_name(str(frame["metric"].iloc[0]))
    names = ", ".join(f"epoch {epoch} ({metric} {value:.1f})" for epoch, value in epochs.items())
    return f"Without a curve, as it had learnt next to nothing: {names}." if epochs else ""


def _grey(frame: pd.DataFrame) -> str:
    published_too = (frame["source"] == "published").any()
    return "Grey: published, IWSLT14 De-En and another model. " if published_too else ""


def plot(frame: pd.DataFrame) -> Figure:
    from matplotlib.gridspec import GridSpec

    ours, theirs = (frame[frame["source"] == source] for source in ("measured", "published"))
    metric = str(ours["metric"].iloc[0])
    with figure_style():
        figure = new_figure(7.4, 3.6)
        grid = GridSpec(2, 2, figure=figure, width_ratios=(1.5, 1))
        left, above = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
        below = figure.add_subplot(grid[1, 1], sharex=above)
        _draw_curves(left, ours[ours["series"] == "relative"], left_out(frame))
        late = theirs[theirs["series"] == "relative"]
        if len(late):
            left.vlines(
                late["pruned_percent"], late["low"], late["high"], color=GREY, linewidth=4,
                label="published, from epoch 10 on",
            )  # fmt: skip
        left.set_ylabel(f"{metric_name(metric)}, relative to the unpruned model (%)")
        _draw_epochs(above, ours[ours["series"] == "unpruned"], BLUE, metric_range(metric))
        printed = theirs[theirs["series"] == "unpruned"]
        above.plot(printed["epoch"], printed["value"], color=GREY, linestyle=(0, (3, 1)), marker="s", markersize=3)
        draw_trivial(above, ours[ours["series"] == "unpruned"].iloc[0])
        above.set_ylabel(f"unpruned\n{metric_axis(metric)}")
        above.tick_params(labelbottom=False)
        agreeing = ours[ours["series"] == "rank_correlation"]
        # With itself the last epoch agrees wholly, whatever it has learnt.
        _draw_epochs(below, agreeing[agreeing["epoch"] < agreeing["epoch"].max()], VERMILLION, (-1.0, 1.0))
        below.set_ylabel(f"rank correlation\nwith epoch {agreeing['epoch'].max()}")
        below.set_ylim(min(-0.05, agreeing["value"].min() - 0.05), 1.05)
        ticks = sorted({*ours["epoch"], *printed["epoch"].tail(1)})
        below.set_xscale("log")
        below.set_xticks(ticks, [str(epoch) for epoch in ticks])
        below.minorticks_off()
        below.set_xlabel("epoch")
        add_legend(figure, [left, above])
        words = ["Each model is pruned as it was after the epoch, in the order of its own scores."]
        over = resampled_text(ours, "draws")
        words += [f"Bands: 95 % interval of the mean over {over}."] if over else []
        words += [SINGLE if any_single(ours) else "", left_out_text(frame)]
        add_caption(figure, " ".join(filter(None, words)))
    return figure


def _draw_curves(axes: Axes, rows: pd.DataFrame, without: Collection[int]) -> None:
    """A curve an epoch, from light to dark, so that the order of epochs shows in grey too, with a line of its own.

    An epoch of ``without`` keeps its place among them and has no curve.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    epochs = sorted(set(rows["epoch"]))
    shades = colormaps["viridis_r"]
    for number, epoch in enumerate(epochs):
        if epoch in without:
            continue
        curve = rows[(rows["epoch"] == epoch) & rows["value"].notna()]
        color = shades(0.12 + 0.88 * number / max(len(epochs) - 1, 1))
        look = Look(f"epoch {epoch}", str(to_hex(color)), MARKERS[number % len(MARKERS)], LINES[number % len(LINES)])
        draw_series(axes, curve, "pruned_percent", look, limits=(0.0, math.inf))
    axes.axhline(100, color="#777777", linewidth=0.7)
    axes.set_xlabel("heads pruned (%)")
    axes.set_xlim(-2, max(92, rows["pruned_percent"].max() + 2))
    axes.xaxis.set_ticks(range(0, 101, 10))
    axes.set_ylim(-3, max(105, rows.loc[~rows["epoch"].isin(without), "value"].max() + 3))


def _draw_epochs(axes: Axes, rows: pd.DataFrame, color: str, limits: tuple[float, float]) -> None:
    """A value over epochs."""
    draw_series(axes, rows, "epoch", Look("_", color, "o", "-"), limits=limits)

"""Curves over repeated runs with their intervals, and the unpruned model they start from, as lines of a panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from analysis.data.marks.quiet import BESIDE, CROSS
from analysis.data.marks.trivial import ANSWER, AT_CHANCE, COPIED
from analysis.render.style import GREY, METRICS, Look, metric_range

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DARK = "#666666"
"""Of the trivial answer's line; published lines are of a lighter grey."""
DASHES = (0, (6, 2.5))
"""Of that line."""
ROOM = 0.6
"""A panel may grow downwards by so much of its height to show the trivial answer."""
NOTE = (0.95, 0.2)
"""Inches that the number of a trivial answer takes, with its dash."""
BETWEEN = 16
"""Points looked at for each piece of a curve."""
SINGLE = "Hollow: a single run."
"""For the captions of figures with such points (:func:`any_single`)."""
SIGNS = {
    "disturbed": (CROSS, f"{CROSS}: timed {BESIDE}"),
    "unknown": ("?", "?: not known"),
}
"""Beside points of times that may not be those of a quiet machine, and what captions say of them; the first counts."""


def draw_line(
    axes: Axes, rows: pd.DataFrame, x: str, look: Look, *, y: str = "value", label: str | None = None, **style: Any
) -> None:
    """The curve of ``rows`` over the column ``x``.

    Markers are filled where several runs were averaged and hollow where there is a single one (``runs``), in every
    figure.
    """
    style = {"color": look.color, "marker": look.marker, "linestyle": look.line} | style
    single = rows["runs"] == 1
    face = "white" if single.all() else style["color"]
    axes.plot(rows[x], rows[y], label=look.label if label is None else label, markerfacecolor=face, **style)
    if single.any() and not single.all():
        hollow = style | {"linestyle": "", "markerfacecolor": "white"}
        axes.plot(rows.loc[single, x], rows.loc[single, y], **hollow)


def outlined() -> list[Any]:
    """White around small letters (``path_effects``), so that no curve strikes them out."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.6, foreground="white")]


def any_single(frame: pd.DataFrame) -> bool:
    """Is a point of it that of a single run?"""
    return bool((frame["runs"] == 1).any())


def runs_text(runs: pd.Series) -> str:
    """For a legend: how many runs the points of a curve are the mean of; nothing of single runs, which are hollow.

    >>> import pandas as pd
    >>> runs_text(pd.Series([3, 3])), runs_text(pd.Series([1, 3])), runs_text(pd.Series([1, 1]))
    (' (3 runs)', ' (1 to 3 runs)', '')
    """
    least, most = int(runs.min()), int(runs.max())
    return "" if most == 1 else f" ({most} runs)" if least == most else f" ({least} to {most} runs)"


def draw_series(
    axes: Axes, rows: pd.DataFrame, x: str, look: Look, *, label: str | None = None, bars: bool = False,
    limits: tuple[float, float] | None = None, **style: Any,
) -> None:  # fmt: skip
    """The curve of ``rows`` over the column ``x``, and its intervals where there are some.

    Arguments:
        bars: draw intervals as bars: where several series of a panel have some, bands hide one another.
        limits: of what the axis can have; those of the metric if none are given. No interval is drawn beyond.
    """
    draw_line(axes, rows, x, look, label=label, **style)
    known = rows.dropna(subset=["low"])
    if known.empty:
        return
    lowest, highest = limits or metric_range(str(rows["metric"].iloc[0]))
    low, high = known["low"].clip(lowest, highest), known["high"].clip(lowest, highest)
    if bars:
        axes.errorbar(known[x], known["value"], yerr=[known["value"] - low, high - known["value"]], fmt="none",
                      ecolor=look.color, elinewidth=0.8, capsize=1.6, zorder=style.get("zorder", 2))  # fmt: skip
    else:
        axes.fill_between(known[x], low, high, color=look.color, alpha=0.15, linewidth=0)


def draw_limit(axes: Axes, percent: float, label: str) -> None:
    """A grey line at a share of heads that the paper names."""
    axes.axvline(percent, color=GREY, linewidth=1.0, linestyle=(0, (5, 2, 1, 2)), label=label)


def draw_trivial(axes: Axes, row: Any) -> None:
    """A dashed line at what the trivial answer scores, once all else is drawn; nothing where that is not known.

    Where it lies so far below that it would flatten the curves, a dash and its number stand in the panel instead.

    Arguments:
        row: with ``trivial``, in the unit of the axis, and the ``metric``.
    """
    value = float(row["trivial"])
    if value != value:  # NaN
        return
    style: dict[str, Any] = {"color": DARK, "linewidth": 1.0, "linestyle": DASHES}
    low, high = axes.get_ylim()
    near = low - value <= ROOM * (high - low)
    entry = axes.axhline(value, zorder=1.5, **style) if near else axes.plot([], [], **style)[0]
    if not near:
        note = f"{value:.1f}, below"
        axes.legend([entry], [note], fontsize=6.5, handlelength=2.2, borderpad=0.1, **_lower_corner(axes))
    entry.set_label(COPIED if row["metric"] in METRICS else ANSWER)


def _lower_corner(axes: Axes) -> dict[str, Any]:
    """Where a legend says that something is below: above the words in a corner of the panel, else in a lower corner
    that the curves leave, for which the panel grows downwards where they leave none."""
    for text in axes.texts:
        if text.get_transform() == axes.transAxes:
            (x, y), side = text.get_position(), text.get_horizontalalignment()
            return {"loc": f"lower {side}", "bbox_to_anchor": (x, y + 0.1), "borderaxespad": 0}
    width, height = (inches / size for inches, size in zip(NOTE, _inches(axes), strict=True))
    drawn = [(x if side == "left" else 1 - x, y, side) for x, y in _drawn(axes) for side in ("left", "right")]
    hidden = {side for x, y, side in drawn if 0 <= x < width and y < height}
    if len(hidden) == 2:
        low, high = axes.get_ylim()
        axes.set_ylim(low - height / (1 - height) * (high - low), high)
    return {"loc": "lower left" if len(hidden) == 2 or "left" not in hidden else "lower right"}


def _inches(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel, about: the layout comes later."""
    figure, place = axes.figure, axes.get_position()
    wide, high = figure.get_size_inches()  # type: ignore[union-attr]
    return place.width * float(wide), place.height * float(high)


def _drawn(axes: Axes) -> Iterator[tuple[float, float]]:
    """Points along all curves, bands and bars, in shares of the panel."""
    import numpy as np

    curves = [(line.get_path(), line.get_transform()) for line in axes.lines]
    curves += [(path, group.get_transform()) for group in axes.collections for path in group.get_paths()]
    for path, transform in curves:
        if np.size(path.vertices) and transform == axes.transData:  # else a line across the panel
            points = path.interpolated(BETWEEN).vertices
            for x, y in axes.transAxes.inverted().transform(axes.transData.transform(points)):
                yield float(x), float(y)


def draw_unpruned(axes: Axes, row: Any, title: str = "") -> None:
    """A line at the unpruned metric on its sampling band, and the title, which says where the model is at chance.

    All panels that show a task's score begin with it, and end with :func:`draw_trivial`.

    Arguments:
        row: of :func:`analysis.data.averages.unpruned`, with the ``metric``.
    """
    axes.set_title("\n".join(filter(None, [title, f"({AT_CHANCE})" if row["at_chance"] else ""])))
    axes.axhspan(row["low"], row["high"], color="#D9D9D9", alpha=0.6, linewidth=0, label="unpruned, 95 % sampling band")
    axes.axhline(row["value"], color="#777777", linewidth=0.7)


def signs_text(frame: pd.DataFrame) -> str:
    """A sentence for the caption where :func:`mark_disturbed` marks something."""
    words = [text for name, (_, text) in SIGNS.items() if name in frame and (frame[name] > 0).any()]
    return f"{'; '.join(words)}. " if words else ""


def mark_disturbed(axes: Axes, rows: pd.DataFrame, x: str, y: str = "value") -> None:
    """A small sign beside points of runs that were timed beside other work (``disturbed``, where there are some), or
    that do not say (``unknown``)."""
    for row in rows.to_dict("records"):
        sign = next((sign for name, (sign, _) in SIGNS.items() if row.get(name, 0) > 0), "")
        if sign:
            axes.annotate(sign, (row[x], row[y]), xytext=(2, 1.5), textcoords="offset points", fontsize=6.5,
                          color="#444444", zorder=6, path_effects=outlined())  # fmt: skip

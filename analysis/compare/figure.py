"""All methods from one teacher: the score against parameters, MACs, measured speed-up and what pruning took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.compare.front import Panel, draw_front
from analysis.compare.runs import EIGHT_BITS, Comparable, comparisons, lengths, run_points, way_of
from analysis.compare.table import table
from analysis.compare.timed import Timed, add_times
from analysis.compare.within import LEVELS, less_the_best
from analysis.compare.words import (
    FAMILIES,
    LETTERS,
    beside_text,
    caption,
    has_bars,
    intervals_text,
    letter_of,
    letters_text,
    looks_in,
    macs_text,
    rank,
)
from analysis.data.averages import unpruned
from analysis.data.frames import means
from analysis.data.groups import Group, by_setting
from analysis.data.loading import Journal
from analysis.data.marks.quiet import MARKS
from analysis.data.marks.trivial import accuracy_words
from analysis.data.timings import count_timed, timed_first
from analysis.render.curves import (
    SINGLE,
    any_single,
    draw_line,
    draw_series,
    draw_trivial,
    draw_unpruned,
    mark_disturbed,
    outlined,
    signs_text,
)
from analysis.render.output import Drawing, Item, file_name
from analysis.render.panels import MACS_LEFT
from analysis.render.style import add_caption, add_legend, figure_style, metric_axis, panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = {"parameters_percent": "parameters that remain (%)", "macs_percent": MACS_LEFT}
TICKS = {4.0: (1, 1.5, 2, 3, 4), math.inf: (1, 2, 4, 8, 16, 32, 64)}
"""Of speed-ups, by the largest up to which they are used."""
NEAR = 0.05
"""Letters so close, in shares of a panel, are set apart."""
LEFT = 0.15
"""Share of a panel's width in which what stands beside a curve is to its right."""
ROOM = 0.05
"""Of a panel's height, beyond what it must show."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """A figure a comparison, of which a task may have several, and one table of all of them."""
    items: list[Item] = []
    cells: list[pd.DataFrame] = []
    compared: list[Comparable] = []
    differences: list[pd.DataFrame] = []
    macs: dict[str, str] = {}
    alone: list[str] = []
    for setting, records in by_setting(group.records).items():
        found = comparisons(records)
        if not found and len({way_of(record) for record in records if record.verb != EIGHT_BITS}) > 1:
            alone.append(setting.task)
        for runs in found:
            points, timed = add_times(run_points(runs, journal), runs, journal)
            frame, counted = cells_of(points), lengths(runs, journal)
            chosen = panels(points, counted, timed, quiet=not beside_text([runs]))
            words = caption(runs, frame, timed, counted, level_of(chosen))
            figure = plot(frame, runs, chosen)
            items.append(Drawing(file_name("compare", runs.name), figure, with_fronts(frame, chosen, runs),
                                 accuracy_words(frame) + words))  # fmt: skip
            cells.append(frame)
            compared.append(runs)
            differences.append(less_the_best(points, runs, journal))
            macs[runs.name] = macs_text(counted)
    if alone:
        journal.missing.append(
            f"{group.records[0].model.name}/compare: no two of prune_heads, prune_fisher, prune_cofi and methods of "
            f"compress with the same teacher and evaluation rows on {', '.join(alone)}"
        )
    return [*items, *([table(cells, compared, differences, macs)] if cells else [])]


def cells_of(points: pd.DataFrame) -> pd.DataFrame:
    """A row a method and what was asked of it, averaged over seeds and teachers; times NaN where not recorded."""
    by = ["panel", "task", "method", "asked"]
    costs = ["change", "parameters_percent", "macs_percent", "speedup", "batch_size", "seconds"]
    points = timed_first(points)
    cells = means(points, by, [*costs, *(name for name in (*MARKS, "served") if name in points)])
    cells = count_timed(cells, points, by)
    if "served" in points:
        names = points.dropna(subset=["served_in"]).groupby(by)["served_in"]
        cells = cells.join(names.agg(lambda own: "; ".join(sorted({*own}))), on=by)
    cells = cells.assign(rank=cells["method"].map(rank))
    return cells.sort_values(["rank", "asked"], ignore_index=True).drop(columns="rank")


def panels(
    points: pd.DataFrame, counted: Mapping[str, list[int]], timed_at: Timed, *, quiet: bool
) -> list[Panel]:
    """What is recorded of any run: sizes always, speed-up by batch size, and seconds where two methods have some.

    Arguments:
        counted: by verb, the lengths that MACs are counted for.
        quiet: all seconds of pruning were taken without other work.
    """
    shown = [
        Panel(cost, label.split(" ")[0], label, lengths=counted if cost == "macs_percent" else {})
        for cost, label in SIZES.items() if points[cost].notna().any()
    ]  # fmt: skip
    timed = points.dropna(subset=["speedup"])
    shown += [
        Panel("speedup", f"measured speed-up, batch {batch:.0f}", "measured speed-up (x)", batch=batch,
              lengths={verb: timed_at.lengths[verb] for verb, own in timed_at.batches.items() if own == batch})
        for batch in sorted(timed["batch_size"].unique())
    ]
    level = _level_of_all(points.dropna(subset=["seconds"]))
    if level is not None:
        title = f"what pruning took, at most {level:.0f} % of MACs"
        axis = "seconds of pruning" + ("" if quiet else ", not all without other work")
        shown.append(Panel("seconds", title, axis, level=level, fronted=quiet))
    return shown


def level_of(chosen: Sequence[Panel]) -> float | None:
    """The share of MACs that the panel of seconds allows; None without one."""
    return next((panel.level for panel in chosen if panel.level is not None), None)


def with_fronts(frame: pd.DataFrame, chosen: Sequence[Panel], runs: Comparable) -> pd.DataFrame:
    """The drawn numbers: the cells with what is on each front, and a row for the unpruned model."""
    import pandas as pd

    for panel in chosen:
        column = f"front_{panel.cost}"
        marked = panel.of(frame)[column].reindex(frame.index, fill_value=False)
        frame = frame.assign(**{column: marked | frame[column] if column in frame else marked})
    return pd.concat([frame, pd.DataFrame([_dense(frame, runs)])], ignore_index=True)


def plot(frame: pd.DataFrame, runs: Comparable, chosen: Sequence[Panel]) -> Figure:
    """A panel a cost. The score's axis is of the methods themselves and of those that stand by their name: baselines
    may leave it below."""
    dense, looks = _dense(frame, runs), looks_in(frame["method"].unique())
    with figure_style():
        figure, all_axes = panel_grid(len(chosen), width=3.35, height=2.35, columns=2)
        for letter, axes, panel in zip("abcdef", all_axes, chosen, strict=False):
            rows = panel.of(frame)
            draw_unpruned(axes, dense, f"({letter}) {panel.title}")
            draw_front(axes, rows, panel.cost, more_is_better=panel.more_is_better)
            by_method = rows.sort_values(panel.cost).groupby("method", sort=False)
            methods = sorted(((str(method), cells) for method, cells in by_method), key=lambda pair: rank(pair[0]))
            itself = [(method, cells) for method, cells in methods if looks[method][1]]
            for method, cells in itself:
                draw = partial(draw_series, bars=True) if has_bars(method) else draw_line
                draw(axes, cells, panel.cost, looks[method][0], markersize=4.4, zorder=3)
            if itself and panel.level is None:  # what the curves of baselines must not stretch
                low, high = axes.get_ylim()
                entered = [score for method, cells in methods if _is_entered(method) for score in cells["value"]]
                room = ROOM * (high - low)
                axes.set_ylim(min([low, *(score - room for score in entered)]),
                              max([high, *(score + room for score in entered)]))  # fmt: skip
            _scale(axes, rows, panel)
            _draw_baselines(axes, [pair for pair in methods if not looks[pair[0]][1]], panel.cost)
            if panel.cost == "speedup":
                mark_disturbed(axes, rows, panel.cost)
            axes.set_xlabel(panel.axis)
            axes.set_ylabel(metric_axis(dense["metric"]))
            draw_trivial(axes, dense)
        add_legend(figure, all_axes)
        add_caption(figure, key(frame, any(panel.of(frame)[f"front_{panel.cost}"].any() for panel in chosen)))
    return figure


def key(frame: pd.DataFrame, front: bool) -> str:
    """The caption: how to read it.

    Arguments:
        front: some panel has one.
    """
    looks = looks_in(frame["method"].unique())
    with_bars = frame[[looks[method][1] and has_bars(method) for method in frame["method"]]]
    words = [signs_text(frame).strip(), intervals_text(with_bars), SINGLE if any_single(frame) else ""]
    words.append(letters_text(method for method, (_, itself) in looks.items() if not itself))
    words.append("Front: of mean scores of several runs, at one length." if front else "")
    return " ".join(filter(None, words))


def _is_entered(method: str) -> bool:
    """Is it one of `compress` that stands in the figure by its own name?"""
    verb, _, choice = method.partition(" ")
    return verb == "compress" and choice not in LETTERS


def _draw_baselines(axes: Axes, baselines: Sequence[tuple[str, pd.DataFrame]], cost: str) -> None:
    """Thin curves in the colours of their methods, each with its letter beside the point that is nearest to the middle
    of the panel's height, or at its lower edge if all of it is below."""
    for method, rows in baselines:
        draw_line(axes, rows, cost, FAMILIES[method.partition(" ")[0]][2], markersize=3, linewidth=0.7, zorder=2.5)
    low, high = axes.get_ylim()
    taken: list[tuple[float, float]] = []
    for method, rows in baselines:
        inside = rows[rows["value"].between(low, high)]
        from_middle = (inside["value"] - (low + high) / 2).abs().to_numpy()
        place = rows.iloc[0] if inside.empty else inside.iloc[int(from_middle.argmin())]
        point = (float(place[cost]), max(float(place["value"]), low))
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(point))
        aside = 3 + 7 * sum(abs(x - a) < NEAR and abs(y - b) < NEAR for a, b in taken)
        taken.append((x, y))
        side = (-aside, "right") if x > LEFT else (aside, "left")  # not across the axis
        axes.annotate(
            letter_of(method) + ("" if len(inside) else "\u2193"), point, xytext=(side[0], 3), fontsize=6.5,
            textcoords="offset points", ha=side[1], va="bottom", color=FAMILIES[method.partition(" ")[0]][2].color,
            path_effects=outlined(),
        )  # fmt: skip


def _scale(axes: Axes, rows: pd.DataFrame, panel: Panel) -> None:
    low, high = rows[panel.cost].min(), rows[panel.cost].max()
    if panel.cost in SIZES:
        axes.set_xlim(low - 4, 102)
    elif panel.cost == "speedup":
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(0.93, 0.93 * low), 1.2 * max(2.0, high))
        usual = next(marks for most, marks in TICKS.items() if high <= most)
        drawn = [tick for tick in usual if tick <= 1.2 * max(2.0, high)]
        axes.set_xticks(drawn, [f"{tick:g}" for tick in drawn])
        axes.minorticks_off()
    else:
        axes.set_xscale("log")
        axes.set_xlim(0.5 * low, 2 * high)
        steps = (1, 3) if high > 20 * low else (1, 2, 3, 5, 7)
        ticks = [step * 10**power for power in range(-2, 7) for step in steps]
        shown = [tick for tick in ticks if 0.5 * low <= tick <= 2 * high]
        axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
        axes.minorticks_off()


def _dense(frame: pd.DataFrame, runs: Comparable) -> dict[str, Any]:
    whole: dict[str, Any] = {"panel": runs.name, "task": runs.task, "method": "unpruned"}
    whole |= {"metric": frame["metric"].iloc[0], "speedup": 1.0, "change": 0.0}
    sizes = {"parameters_percent": 100.0, "macs_percent": 100.0}
    return whole | sizes | unpruned(runs.records)


def _level_of_all(points: pd.DataFrame) -> float | None:
    """The lowest share of MACs that every method with seconds reaches, else the highest; None below two methods."""
    fewest = points.groupby("method")["macs_percent"].min()
    if len(fewest) < 2:
        return None
    reached = [level for level in LEVELS if fewest.max() <= level]
    return min(reached, default=max(LEVELS))

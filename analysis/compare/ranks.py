"""The methods of `compress` ranked at every budget: a table, and a figure of how far each is from one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import isnan, nan
from statistics import fmean
from typing import TYPE_CHECKING, Any

from analysis.compare.pairs import Paired, p_text
from analysis.compare.ranking import Contest, Entrant, contests
from analysis.compare.seconds import seconds_text, stages_of
from analysis.compare.within import BOLD
from analysis.data.groups import Group, describe
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text
from analysis.data.marks.trivial import (
    ACCURACY,
    ANSWER,
    AT_CHANCE,
    accuracy_words,
    beside,
    is_one_answer,
    trivial_score,
)
from analysis.render.curves import DARK, DASHES, SINGLE, any_single, draw_series
from analysis.render.output import Drawing, Item, Table, count_range
from analysis.render.panels import WIDEST
from analysis.render.points_axis import is_near, scale, scale_text
from analysis.render.style import (
    METHODS,
    Look,
    add_caption,
    add_legend,
    figure_style,
    looks_of,
    metric_name,
    panel_grid,
)
from prunekit.config.method_names import named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_ANSWER = " (one answer)"
"""Behind a score that is exactly that of one answer to all."""
REFERENCE = "fisher"
"""Which method the figure holds the others to, where it is among them."""
SIZE = (3.2, 2.3)
BREADTH = 0.84
"""Of a budget's methods, as a share of the room that the budget has."""
CAPTION = (
    "Differences in points of the metric on the same evaluation rows, with their 95 % interval: over rows and, where "
    "there are several, calibration draws pair by pair or teachers (Student); of single runs over rows alone, which "
    "says nothing of another draw. Intervals are not corrected for how many there are, unlike those of claims. "
)
BEST = (
    "The best is chosen by the scores shown, on these rows: differences from it are too large on average, by the luck "
    "that made it the best. "
)
UNPAIRED = "Where two methods have other draws than one another, the draws of each are a sample of their own (Welch). "


def draw(group: Group, journal: Journal) -> list[Item]:
    """A table of all tasks and a figure with a panel a task; nothing where no two methods share a budget."""
    import pandas as pd

    fields = list(contests(group.records, journal))
    if not fields:
        return []
    frame = adjusted(pd.DataFrame([row for contest in fields for row in _rows(contest)]))
    drawn = held_to_reference(frame)
    records = [record for contest in fields for one in contest.entrants for record in one.records]
    unpaired = any(not contest.paired(one, rival) for contest in fields for one in contest.entrants
                   for rival in contest.entrants)  # fmt: skip
    caption = CAPTION + (UNPAIRED if unpaired else "")
    words = describe(records)
    same = any(is_one_answer(one.records) for contest in fields for one in contest.entrants)
    answered = f'"{ONE_ANSWER.strip(" ()")}": every run scores exactly what one answer to all does. ' if same else ""
    return [
        Drawing("ranks", plot(frame), drawn, f"{caption}{gaps_text(frame)}{accuracy_words(frame)}{words}"),
        Table(
            name="rank_table",
            title="Methods by their score, each minus every other one at the same budget",
            frame=frame,
            display=display(fields, frame),
            caption=f"{caption}p: after Benjamini-Hochberg over the {frame['p_adjusted'].count()} differences from the "
            f"best together. {BOLD}{BEST}{gaps_text(frame)}{answered}Every pair is in the CSV. Seconds: of pruning, "
            "the mean of its runs, least to most where these are more than a third apart or a run was timed beside "
            "other work; teacher and evaluation not counted. "
            f"{disturbed_text(records, 'Among these', stages_of(records))}"
            "Memory: most of the whole process, the least of its runs, an upper bound where one process made several. "
            f"{words}",
            narrow=("task", "MACs", "rank", "method", "score"),
        ),
    ]


def display(fields: Sequence[Contest], frame: pd.DataFrame) -> pd.DataFrame:
    """A row a method and budget, beside the best, the one that is next below and what one answer to all scores."""
    import pandas as pd

    pairs = {(row["task"], row["constraint"], row["method"], row["rival"]): row for row in frame.to_dict("records")}
    rows = []
    for contest in fields:
        first = contest.entrants[0]
        for rank, one in enumerate(contest.entrants, 1):
            below = contest.entrants[rank] if rank < len(contest.entrants) else None
            place = contest.task, contest.constraint, one.method
            best = None if one is first else pairs[*place, first.method]
            score = f"{100 * one.value:.1f}{ONE_ANSWER if is_one_answer(one.records) else ''}"
            in_bold = not contest.at_chance and (best is None or best["low"] <= 0 <= best["high"])
            rows.append({
                "task": contest.task, "MACs": f"{100 * contest.constraint:g} %", "rank": f"{rank}",
                "method": named(one.method).name, "score": f"**{score}**" if in_bold else score,
                "minus the best": "" if best is None else _tested(best),
                "minus the next": (
                    f"{_difference(pairs[*place, below.method])}, {named(below.method).name}" if below else ""
                ),
                "seconds": seconds_text(one.records), "memory (GB)": f"{one.memory / 1e9:.1f}",
                "runs": f"{len(one.records)}",
            })  # fmt: skip
    each = frame.drop_duplicates(["task", "constraint", "method"])  # in the order of the rows
    return pd.DataFrame(rows).assign(**beside(each))


def adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``p_adjusted`` of each method against the best at its budget, after Benjamini-Hochberg over all of these;
    NaN of other pairs, and of methods that answer every row as the best does."""
    from prunekit.support.statistics import adjusted_p_values

    budget = ["task", "constraint"]
    best = frame[frame["rank"] == 1].drop_duplicates(budget)[[*budget, "method"]]
    against = frame[budget].merge(best, on=budget)["method"].to_numpy() == frame["rival"]
    tested = against & ((frame["low"] != 0) | (frame["high"] != 0))
    whole = frame.assign(p_adjusted=nan)
    if tested.any():
        whole.loc[tested, "p_adjusted"] = adjusted_p_values(frame.loc[tested, "p_value"].to_numpy())
    return whole


def plot(frame: pd.DataFrame) -> Figure:
    """A panel a task: at each budget that was run, every other method minus the reference, which is the line at 0.

    The line is broken, with words in its place, at budgets to which the reference was not run.

    Arguments:
        frame: a row a method and rival, of every budget.
    """
    panels = list(frame.groupby("task", sort=False))
    looks = looks_of(METHODS, frame["method"].unique())
    with figure_style():
        figure, all_axes = panel_grid(len(panels), width=SIZE[0], height=SIZE[1], columns=int(WIDEST / SIZE[0]))
        for axes, (task, rows) in zip(all_axes, panels, strict=True):
            title = f"{task} ({metric_name(str(rows['metric'].iloc[0]))})"
            axes.set_title(f"{title}\n({AT_CHANCE})" if rows["at_chance"].any() else title)
            _panel(axes, rows, looks)
        add_legend(figure, all_axes)
        add_caption(figure, key(frame))
    return figure


def key(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    drawn = held_to_reference(frame)
    words = [f"Means of {count_range(drawn['runs'])} runs." if drawn["runs"].max() > 1 else ""]
    words += ["Bars: 95 % interval of the difference.", SINGLE if any_single(drawn) else ""]
    words += [scale_text([str(task) for task, own in frame.groupby("task", sort=False) if not is_near(_shown(own))])]
    return " ".join(filter(None, words))


def held_to_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows against the reference of each task."""
    return frame[frame["rival"] == frame["task"].map(references(frame))]


def references(frame: pd.DataFrame) -> dict[str, str]:
    """By task: :data:`REFERENCE` where it is among the methods; else, of those that were run to the most budgets, the
    best on average over them."""
    chosen = {}
    for task, rows in frame.groupby("task", sort=False):
        of_method = rows.drop_duplicates(["method", "constraint"]).groupby("method")["value"].agg(["count", "mean"])
        best = of_method.sort_values(["count", "mean"], ascending=False, kind="stable").index[0]
        chosen[str(task)] = REFERENCE if REFERENCE in of_method.index else str(best)
    return chosen


def gaps_text(frame: pd.DataFrame) -> str:
    """Which methods were not run to which budgets, of those that others were run to; empty where all were to all."""
    words = []
    for task, reference in references(frame).items():
        rows = frame[frame["task"] == task]
        for method in looks_of(METHODS, frame["method"].unique()):
            if gaps := _gaps(rows, method):
                budgets = " and ".join(f"{100 * constraint:g} %" for constraint in gaps)
                none = ", so no difference there" if method == reference else ""
                words.append(f"No run of {named(method).name} on {task} at {budgets}{none}. ")
    return "".join(words)


def _panel(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """One task; budgets are categories, in which every method has its own place."""
    [reference] = references(rows).values()
    budgets = sorted(set(rows["constraint"]))
    gaps = _gaps(rows, reference)
    others = [method for method in looks if method != reference and (rows["method"] == method).any()]
    drawn = held_to_reference(rows)
    for place, method in enumerate(others):
        own = drawn[drawn["method"] == method]
        if len(own):
            aside = BREADTH * ((place + 0.5) / len(others) - 0.5)
            own = own.assign(value=own["difference"], place=own["constraint"].map(budgets.index) + aside)
            draw_series(axes, own, "place", looks[method], bars=True, limits=(-200.0, 200.0), linestyle="", zorder=3)
    ends = [place + end for place, budget in enumerate(budgets) if budget not in gaps for end in (-0.5, 0.5)]
    axes.hlines([0] * (len(ends) // 2), ends[::2], ends[1::2], color=looks[reference].color, linewidth=1.5, zorder=2,
                label=f"{looks[reference].label} (line at 0)")  # fmt: skip
    trivial = _trivial(drawn)
    if trivial:
        places = [budgets.index(budget) for budget in trivial]
        axes.hlines(list(trivial.values()), [place - 0.5 for place in places], [place + 0.5 for place in places],
                    label=ANSWER, color=DARK, linewidth=1.0, linestyle=DASHES, zorder=1.5)  # fmt: skip
    for budget in gaps:
        axes.text(budgets.index(budget), 0, f"no run of\n{named(reference).name}", fontsize=6, color=DARK, ha="center",
                  va="center", rotation=90 if len(budgets) > 3 else 0)  # fmt: skip
    for place in range(1, len(budgets)):
        axes.axvline(place - 0.5, color="#D0D0D0", linewidth=0.6, zorder=1)
    axes.grid(False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(budgets) - 0.5)
    axes.set_xticks(range(len(budgets)), [f"{100 * budget:g}" for budget in budgets])
    axes.set_xlabel("MACs that may remain (%)")
    axes.set_ylabel(f"points minus {named(reference).name}")
    scale(axes, _shown(rows))


def _trivial(drawn: pd.DataFrame) -> dict[float, float]:
    """By budget, points of one answer to all less those of the reference; of a budget where both are known."""
    points = drawn["trivial"] - (drawn["value"] - drawn["difference"])
    return {float(budget): float(own.iloc[0]) for budget, own in points.dropna().groupby(drawn["constraint"])}


def _shown(rows: pd.DataFrame) -> list[float]:
    """All that the panel of a task must show."""
    drawn = held_to_reference(rows)
    return [*drawn["low"], *drawn["high"], *_trivial(drawn).values()]


def _gaps(rows: pd.DataFrame, method: str) -> list[float]:
    """Budgets of one task to which a method was not run, rising."""
    return sorted(set(rows["constraint"]) - set(rows.loc[rows["method"] == method, "constraint"]))


def _rows(contest: Contest) -> Iterator[dict[str, Any]]:
    """A row a method and rival."""
    pairs = {(one.method, rival.method): contest.less(one, rival) for one, rival in combinations(contest.entrants, 2)}
    pairs |= {(rival, one): pair.reversed for (one, rival), pair in pairs.items()}
    for rank, one in enumerate(contest.entrants, 1):
        for rival in contest.entrants:
            if rival is not one:
                yield _row(contest, rank, one, rival, pairs[one.method, rival.method])


def _row(contest: Contest, rank: int, one: Entrant, rival: Entrant, pair: Paired) -> dict[str, Any]:
    macs = [100 * float(record.metrics["remaining_macs"]) for record in one.records]
    return {
        "task": contest.task, "metric": contest.metric, "constraint": contest.constraint,
        "macs_percent": sum(macs) / len(macs), "rank": rank, "method": one.method, "value": 100 * one.value,
        "rival": rival.method, "difference": 100 * pair.difference, "low": 100 * pair.low, "high": 100 * pair.high,
        "p_value": pair.p_value, "test": pair.test, "seconds": one.seconds, "memory_bytes": one.memory,
        "runs": len(one.records), "teachers": pair.teachers, "accuracy": _accuracy(one),
        "trivial": 100 * trivial_score(one.records[0]),
        "trivial_accuracy": 100 * trivial_score(one.records[0], ACCURACY), "at_chance": contest.at_chance,
    }  # fmt: skip


def _accuracy(one: Entrant) -> float:
    """In per cent, the mean of its runs; NaN where they say none."""
    return 100 * fmean(float(record.metrics.get("accuracy", nan)) for record in one.records)


def _tested(row: dict[Any, Any]) -> str:
    return _difference(row) + ("" if isnan(row["p_adjusted"]) else f", {p_text(row['p_adjusted'])}")


def _difference(row: dict[Any, Any]) -> str:
    return f"{_signed(row['difference'])} ({_signed(row['low'])} to {_signed(row['high'])})"


def _signed(points: float) -> str:
    """Nothing has no sign.

    >>> _signed(-0.04), _signed(-0.06), _signed(2.25)
    ('0.0', '-0.1', '+2.2')
    """
    text = f"{points:+.1f}"
    return text[1:] if float(text) == 0 else text

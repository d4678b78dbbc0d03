"""The methods of `compress` ranked at every budget: a table, and a figure of how far each is from one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from analysis.compare.pairs import Paired
from analysis.compare.ranking import Contest, Entrant, contests
from analysis.data.groups import Group, describe
from analysis.data.loading import Journal
from analysis.render.curves import draw_series, runs_text
from analysis.render.output import Drawing, Item, Table
from analysis.render.panels import MACS_LEFT, WIDEST
from analysis.render.style import METHODS, add_caption, add_legend, figure_style, looks_of, panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REFERENCE = "fisher"
"""Which method the figure holds the others to, where it is among them; else the best on average."""
SIZE = (2.6, 2.1)
CAPTION = (
    "Differences in points of the metric on the same evaluation rows, with their 95 % interval: paired bootstrap over "
    "rows, and over teachers and calibration draws where there are several; not corrected for their number. "
)


def draw(group: Group, journal: Journal) -> list[Item]:
    """A table of all tasks and a figure with a panel a task; nothing where no two methods share a budget."""
    import pandas as pd

    fields = list(contests(group.records, journal))
    if not fields:
        return []
    frame = pd.DataFrame([row for contest in fields for row in _rows(contest)])
    drawn = frame[frame["rival"] == frame["task"].map({task: _reference(own) for task, own in frame.groupby("task")})]
    records = [record for contest in fields for one in contest.entrants for record in one.records]
    words = describe(records)
    return [
        Drawing("ranks", plot(drawn), drawn, f"{CAPTION}The line at 0 is the method that the axis names. {words}"),
        Table(
            name="rank_table",
            title="Methods by their score, each less every other one at the same budget",
            frame=frame,
            display=display(fields, frame),
            caption=f"{CAPTION}Every pair is in the CSV. Seconds: of pruning, the mean of its runs, teacher and "
            "evaluation not counted. Memory: most of the whole process, the least of its runs, an upper bound where "
            f"one process made several. {words}",
            narrow=("task", "MACs", "rank", "method", "score"),
        ),
    ]


def display(fields: Sequence[Contest], frame: pd.DataFrame) -> pd.DataFrame:
    """A row a method and budget, beside the best and the one that is next below."""
    import pandas as pd

    pairs = {(row["task"], row["constraint"], row["method"], row["rival"]): row for row in frame.to_dict("records")}
    rows = []
    for contest in fields:
        first = contest.entrants[0]
        for rank, one in enumerate(contest.entrants, 1):
            below = contest.entrants[rank] if rank < len(contest.entrants) else None
            place = contest.task, contest.constraint, one.method
            rows.append({
                "task": contest.task, "MACs": f"{100 * contest.constraint:g} %", "rank": f"{rank}",
                "method": label(one.method), "score": f"{100 * one.value:.1f}",
                "less the best": _difference(pairs[*place, first.method]) if one is not first else "",
                "less the next": f"{_difference(pairs[*place, below.method])}, {label(below.method)}" if below else "",
                "seconds": f"{one.seconds:,.0f}", "memory (GB)": f"{one.memory / 1e9:.1f}",
                "runs": f"{len(one.records)}",
            })  # fmt: skip
    return pd.DataFrame(rows)


def plot(frame: pd.DataFrame) -> Figure:
    """Each method less the reference, against the share of MACs that may remain."""
    panels = list(frame.groupby("task", sort=False))
    looks = looks_of(METHODS, frame["method"].unique())
    with figure_style():
        figure, all_axes = panel_grid(len(panels), width=SIZE[0], height=SIZE[1], columns=int(WIDEST / SIZE[0]))
        for axes, (task, rows) in zip(all_axes, panels, strict=True):
            axes.set_title(str(task))
            axes.axhline(0, color="#777777", linewidth=0.7)
            for method, look in looks.items():
                own = rows[rows["method"] == method]
                if len(own):
                    text = f"{look.label}{runs_text(frame.loc[frame['method'] == method, 'runs'])}"
                    draw_series(axes, own.assign(value=own["difference"]), "macs_percent", look, label=text, bars=True,
                                limits=(-200.0, 200.0))  # fmt: skip
            axes.set_xlabel(MACS_LEFT)
            axes.set_ylabel(f"{rows['metric'].iloc[0]}, points less {label(str(rows['rival'].iloc[0]))}")
        add_legend(figure, all_axes)
        add_caption(figure, "Bars: 95 % interval of the difference. Hollow: a single run.")
    return figure


def label(method: str) -> str:
    """A method in words; its own name where it has none."""
    return METHODS[method].label if method in METHODS else method


def _rows(contest: Contest) -> Iterator[dict[str, Any]]:
    """A row a method and rival."""
    for rank, one in enumerate(contest.entrants, 1):
        for rival in contest.entrants:
            if rival is not one:
                yield _row(contest, rank, one, rival, contest.less(one, rival))


def _reference(rows: pd.DataFrame) -> str:
    """Of one task."""
    best = rows.groupby("method")["value"].mean().idxmax()
    return REFERENCE if REFERENCE in set(rows["method"]) else str(best)


def _row(contest: Contest, rank: int, one: Entrant, rival: Entrant, pair: Paired) -> dict[str, Any]:
    macs = [100 * float(record.metrics["remaining_macs"]) for record in one.records]
    return {
        "task": contest.task, "metric": contest.metric, "constraint": contest.constraint,
        "macs_percent": sum(macs) / len(macs), "rank": rank, "method": one.method, "value": 100 * one.value,
        "rival": rival.method, "difference": 100 * pair.difference, "low": 100 * pair.low, "high": 100 * pair.high,
        "p_value": pair.p_value, "test": pair.test, "seconds": one.seconds, "memory_bytes": one.memory,
        "runs": len(one.records), "teachers": pair.teachers,
    }  # fmt: skip


def _difference(row: dict[Any, Any]) -> str:
    return f"{row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"

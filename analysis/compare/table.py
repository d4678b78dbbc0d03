"""The best that each method does with at most so many of the MACs: only runs that are there, nothing in between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.compare.runs import EIGHT_BITS, Comparable
from analysis.compare.words import ORACLE, beside_text, method_look
from analysis.data.averages import unpruned
from analysis.data.groups import describe
from analysis.data.marks.trivial import ANSWER, trivial_text
from analysis.data.served import INT8, OWN_INT8
from analysis.render.output import Table

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (75.0, 50.0, 25.0, 10.0)
"""Per cent of the MACs that may remain. Heads alone reach only the first: the FFNs hold most MACs."""

SERVED = "as served"
SERVED_TEXT = (
    "As served: measured speed-up of the smallest of these models that was timed so, whole and pruned each in its "
    f"fastest runtime, at the smallest batch that was timed. {INT8} "
)
SERVED_8_TEXT = f"{OWN_INT8} "
SECONDS = (
    "Seconds: of pruning itself, the mean of its runs, of what is distilled the longest, as runs of a seed share their "
    "warm-up; empty where not recorded or of another machine. "
)


def best_within(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Each method's row of the highest score among those with at most ``level`` per cent of the MACs."""
    inside = frame[frame["macs_percent"] <= level + 1e-9]
    return frame.loc[inside.groupby("method", sort=False)["value"].idxmax()]


def table(frames: Sequence[pd.DataFrame], compared: Sequence[Comparable], macs: Mapping[str, str]) -> Table:
    """One table for all tasks.

    Arguments:
        macs: how those of each task are counted, in words.
    """
    import pandas as pd

    parts = [best_within(frame, level).assign(level=level) for frame in frames for level in LEVELS]
    best = pd.concat(parts, ignore_index=True).drop(columns="panel")
    first = ["task", "method", "level"]
    records = [record for runs in compared for record in runs.records]
    served = SERVED_TEXT if "served" in best else ""
    beside = beside_text(compared)
    served_8 = SERVED_8_TEXT if served and any(EIGHT_BITS in runs.members for runs in compared) else ""
    return Table(
        name="compare",
        title="All methods: the best score with at most so many of the MACs",
        frame=best[[*first, *(name for name in best if name not in first)]],
        display=display(best, frames, compared),
        caption="Cells: mean score (points against the unpruned model of the same teacher; MACs that it really has). "
        "Bold: the best of a task, never the oracle, which knows the evaluation data. The best is chosen by the scores "
        "shown, among runs that exist; where a method has none so small, its fewest MACs are told. "
        f"{SECONDS}{beside}{served}{served_8}{_of_tasks(macs)} {describe(records)}",
        narrow=("task", "method", *map(_heading, LEVELS)),
        of_other_columns=tuple(filter(None, (SECONDS, beside, SERVED_TEXT, SERVED_8_TEXT))),
    )  # fmt: skip


def display(top: pd.DataFrame, frames: Sequence[pd.DataFrame], compared: Sequence[Comparable]) -> pd.DataFrame:
    """A row a task and method, a column a level."""
    import pandas as pd

    best = top[top["method"] != ORACLE].groupby(["task", "level"])["value"].max()
    rows = []
    for frame, runs in zip(frames, compared, strict=True):
        whole = unpruned(runs.records)
        dense, trivial = whole["value"], trivial_text(whole["trivial"], whole["at_chance"])
        for method, cells in frame.groupby("method", sort=False):
            row = {"task": f"{runs.task} ({frame['metric'].iloc[0]} {dense:.1f})",
                   "method": method_look(str(method))[0].label}  # fmt: skip
            for level in LEVELS:
                own = top[(top["task"] == runs.task) & (top["method"] == method) & (top["level"] == level)]
                if own.empty:
                    row[_heading(level)] = f"none, fewest {cells['macs_percent'].min():.0f} %"
                    continue
                cell = own.iloc[0]
                text = f"{cell['value']:.1f} ({cell['change']:+.1f}; {cell['macs_percent']:.0f} %)"
                is_best = method != ORACLE and cell["value"] >= best[runs.task, level]
                row[_heading(level)] = f"**{text}**" if is_best else text
            took = cells["seconds"].mean()
            row["seconds"] = "" if math.isnan(took) else f"{took:,.0f}"
            if "served" in top:
                row[SERVED] = _served(top[(top["task"] == runs.task) & (top["method"] == method)])
            rows.append(row | {"models": str(cells["runs"].sum()), ANSWER: trivial})
    return pd.DataFrame(rows)


def _of_tasks(texts: Mapping[str, str]) -> str:
    """The words of all tasks, once where they are the same for all.

    >>> _of_tasks({"a": "MACs: x.", "b": "MACs: x."}), _of_tasks({"a": "MACs: x.", "b": "MACs: y.", "c": "MACs: x."})
    ('MACs: x.', 'On a and c MACs: x. On b MACs: y.')
    """
    tasks: dict[str, list[str]] = {}
    for task, text in texts.items():
        tasks.setdefault(text, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return " ".join(f"On {' and '.join(own)} {text}" for text, own in tasks.items())


def _served(cells: pd.DataFrame) -> str:
    """Of one method's best within each level, the smallest that was timed in several runtimes."""
    timed = cells.dropna(subset=["served"])
    if timed.empty:
        return ""
    smallest = timed.sort_values("macs_percent", kind="stable").iloc[0]
    return f"{smallest['served']:.2f} x ({smallest['served_in']}; {smallest['macs_percent']:.0f} %)"


def _heading(level: float) -> str:
    return f"at most {level:.0f} %"

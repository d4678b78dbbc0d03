"""The best that each method does with at most so many of the MACs: only runs that are there, nothing in between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.compare.runs import EIGHT_BITS, Comparable
from analysis.compare.within import BOLD, FULLER, LEVELS, best_within
from analysis.compare.words import beside_text, method_look, numbered_text
from analysis.data.averages import unpruned
from analysis.data.columns import DamagedRecordError
from analysis.data.groups import by_teacher, describe
from analysis.data.marks.trivial import ACCURACY, ANSWER, accuracy_text, trivial_cell
from analysis.data.records import Record
from analysis.data.served import INT8, OWN_INT8
from analysis.intervals.row_errors import DENSE
from analysis.render.output import Table

if TYPE_CHECKING:
    import pandas as pd

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


def table(
    frames: Sequence[pd.DataFrame], compared: Sequence[Comparable], differences: Sequence[pd.DataFrame],
    macs: Mapping[str, str],
) -> Table:  # fmt: skip
    """One table for all tasks.

    Arguments:
        differences: of :func:`~analysis.compare.within.less_the_best`, which says what is bold.
        macs: how those of each task are counted, in words.
    """
    import pandas as pd

    parts = [best_within(frame, level).assign(level=level) for frame in frames for level in LEVELS]
    best = pd.concat(parts, ignore_index=True).rename(columns={"panel": "comparison"})
    first = ["comparison", "task", "method", "level"]
    records = [record for runs in compared for record in runs.records]
    served = SERVED_TEXT if "served" in best else ""
    beside = beside_text(compared)
    served_8 = SERVED_8_TEXT if served and any(EIGHT_BITS in runs.members for runs in compared) else ""
    return Table(
        name="compare",
        title="All methods: the best score with at most so many of the MACs",
        frame=best[[*first, *(name for name in best if name not in first)]],
        display=display(best, frames, compared, differences),
        caption="Cells: mean score (points against the unpruned model of the same teacher; accuracy where the score is "
        f"by another metric; MACs that it really has). {BOLD}The best is chosen by the scores shown, among runs that "
        f"exist, never the oracle, which knows the evaluation data. {FULLER}Where a method has none so small, its "
        "fewest MACs are told. "
        f"{SECONDS}{beside}{served}{served_8}{_of_tasks(macs)} {numbered_text(compared)} {describe(records)}",
        narrow=("task", "method", *map(heading, LEVELS)),
        of_other_columns=tuple(filter(None, (SECONDS, beside, SERVED_TEXT, SERVED_8_TEXT))),
    )  # fmt: skip


def display(
    top: pd.DataFrame, frames: Sequence[pd.DataFrame], compared: Sequence[Comparable],
    differences: Sequence[pd.DataFrame],
) -> pd.DataFrame:  # fmt: skip
    """A row a task and method, a column a level."""
    import pandas as pd

    rows = []
    for frame, runs, pairs in zip(frames, compared, differences, strict=True):
        bold = {(row["level"], row["method"]) for row in pairs.to_dict("records") if row["bold"]}
        first = {**frame.iloc[0], "at_chance": frame["at_chance"].any()}
        scores = f"{first['metric']} {unpruned(runs.records)['value']:.1f}"
        own_accuracy = accuracy_text(first, 100 * _unpruned_accuracy(runs.records), f"{ACCURACY} ")
        task = f"{runs.name} ({', '.join(filter(None, (scores, own_accuracy)))})"
        for method, cells in frame.groupby("method", sort=False):
            row = {"task": task, "method": method_look(str(method))[0].label}
            for level in LEVELS:
                own = top[(top["comparison"] == runs.name) & (top["method"] == method) & (top["level"] == level)]
                if own.empty:
                    row[heading(level)] = f"none, fewest {cells['macs_percent'].min():.0f} %"
                    continue
                [cell] = own.to_dict("records")
                accuracy = accuracy_text(cell, cell[ACCURACY], f"{ACCURACY} ")
                beside = filter(None, (f"{cell['change']:+z.1f}", accuracy, f"{cell['macs_percent']:.0f} %"))
                text = f"{cell['value']:.1f} ({'; '.join(beside)})"
                row[heading(level)] = f"**{text}**" if (level, method) in bold else text
            took = cells["seconds"].mean()
            row["seconds"] = "" if math.isnan(took) else f"{took:,.0f}"
            if "served" in top:
                row[SERVED] = _served(top[(top["comparison"] == runs.name) & (top["method"] == method)])
            rows.append(row | {"models": str(cells["runs"].sum()), ANSWER: trivial_cell(first)})
    return pd.DataFrame(rows)


def _unpruned_accuracy(records: Sequence[Record]) -> float:
    """A share, averaged over teachers; NaN where the stages of none of a teacher's runs say it."""
    known = [next((share for record in own if not math.isnan(share := _dense_accuracy(record))), math.nan)
             for own in by_teacher(records).values()]  # fmt: skip
    return sum(known) / len(known)


def _dense_accuracy(record: Record) -> float:
    try:
        stages = record.table("stages", {"stage": "str"})
    except DamagedRecordError:  # also of a verb that has no such table
        return math.nan
    own = stages[stages["stage"] == DENSE]
    return float(own[ACCURACY].iloc[0]) if ACCURACY in own and len(own) else math.nan


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


def heading(level: float) -> str:
    """Of the column of a level."""
    return f"at most {level:.0f} %"

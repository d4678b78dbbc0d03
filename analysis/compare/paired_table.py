"""Each method beside the best one with at most so many of the MACs, on the same rows: is it worse, and by how much?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analysis.compare.pairs import Answered, compare_pair
from analysis.compare.runs import Comparable, comparable, run_points
from analysis.compare.table import LEVELS, best_within
from analysis.compare.words import ORACLE, method_look
from analysis.data.frames import means
from analysis.data.groups import Group, by_setting, describe, teacher_of
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_words
from analysis.data.recorded_answers import usable_answers
from analysis.data.records import Record
from analysis.render.output import Item, Table, file_name

if TYPE_CHECKING:
    import pandas as pd

    from prunekit.evaluation.row_answers import AnswerSheet


def draw(group: Group, journal: Journal) -> list[Item]:
    """A table a task that two methods share and whose runs have recorded their answers."""
    tables: list[Item] = []
    for records in by_setting(group.records).values():
        runs = comparable(records) if any(record.answers for record in records) else None
        if runs is not None and (made := table(runs, journal)) is not None:
            tables.append(made)
    return tables


def table(runs: Comparable, journal: Journal) -> Table | None:
    """Of the runs of one task; None where no two methods have answers at any level of MACs."""
    import pandas as pd

    sheets = _sheets(runs, journal)
    points = run_points(runs, journal)
    points = points[points["run_id"].isin(sheets)]
    rows = list(_rows(points, runs, sheets)) if len(points) else []
    if not rows:
        return None
    frame = _adjusted(pd.DataFrame(rows))
    shown = [record for record in runs.records if record.run_id in sheets]
    without = len(runs.records) - len(shown)
    left_out = f" Runs without recorded answers, not in it: {without} of {len(runs.records)}." if without else ""
    return Table(
        name=file_name("paired", runs.task),
        title=f"{runs.task}: each method less the best one with at most so many of the MACs, on the same rows",
        frame=frame,
        display=display(frame),
        caption="Points of the metric and their 95 % interval, as that of claims: over the rows, on which both are "
        "paired, and over teachers (Student), else seeds, pair by pair (Student) or as two samples (Welch); where "
        "either has a single run over rows alone, which says nothing of another training. p: exact McNemar's test of "
        "one run each where the metric is accuracy, else of the same estimate; adjusted after "
        "Benjamini-Hochberg over the table. The best is chosen by the scores shown, on these rows, never the oracle, "
        "which knows them: differences from it are too large on average."
        f"{left_out} {trivial_words(shown)}{describe(shown)}",
    )  # fmt: skip


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """The numbers as text."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "at most": f"{row['level']:.0f} %",
                "best": f"{method_look(row['best'])[0].label} ({row['best_value']:.1f})",
                "method": f"{method_look(row['method'])[0].label} ({row['value']:.1f})",
                "difference": f"{row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})",
                "p": f"{row['p_value']:.2g}",
                "p adjusted": f"{row['p_adjusted']:.2g}",
                "runs": f"{row['runs']} and {row['best_runs']}",
            }
            for row in frame.to_dict("records")
        ]
    )


def _sheets(runs: Comparable, journal: Journal) -> dict[str, AnswerSheet]:
    """Answers by run; a run whose answers cannot be used, or are to other rows, is named."""
    sheets = {record.run_id: usable_answers(record, journal) for record in runs.records}
    return {run: sheet for run, sheet in sheets.items() if sheet is not None}


def _rows(points: pd.DataFrame, runs: Comparable, sheets: Mapping[str, AnswerSheet]) -> Iterator[dict[str, Any]]:
    """A row a level and method other than the best."""
    records = {record.run_id: record for record in runs.records}
    cells = means(points, ["task", "method", "asked"], ["macs_percent"])
    for level in LEVELS:
        inside = best_within(cells, level)
        rivals = inside[inside["method"] != ORACLE]
        if rivals.empty:
            continue
        best = rivals.iloc[int(rivals["value"].to_numpy().argmax())]
        own = _answered(points, best, records, sheets)
        for _, row in inside.drop(best.name).iterrows():
            others = _answered(points, row, records, sheets)
            if not {run.teacher for run in own} & {run.teacher for run in others}:
                continue
            pair = compare_pair(str(row["metric"]), others, own)
            yield {
                "task": runs.task, "metric": row["metric"], "level": level, "method": row["method"],
                "asked": row["asked"], "best": best["method"], "best_asked": best["asked"],
                "value": row["value"], "best_value": best["value"], "difference": 100 * pair.difference,
                "low": 100 * pair.low, "high": 100 * pair.high, "p_value": pair.p_value, "test": pair.test,
                "rows": len(own[0].answers), "teachers": pair.teachers, "runs": len(others), "best_runs": len(own),
            }  # fmt: skip


def _answered(
    points: pd.DataFrame, cell: pd.Series, records: Mapping[str, Record], sheets: Mapping[str, AnswerSheet]
) -> list[Answered]:
    """The models that a cell is the mean of."""
    own = points[(points["method"] == cell["method"]) & (points["asked"] == cell["asked"])]
    own = own.drop_duplicates(["teacher", "seed"])
    return [
        Answered(str(run), teacher_of(records[run]), sheets[run].answers, _place(records[run], sheets[run], asked),
                 records[run].seed)
        for run, asked in zip(own["run_id"], own["asked"], strict=True)
    ]  # fmt: skip


def _place(record: Record, sheet: AnswerSheet, asked: float) -> int:
    """Of the model that a point is of: of a curve the one at its share, else what the run ended with."""
    if record.verb == "prune_heads":
        return sheet.of(share=float(asked))
    return len(sheet.models) - 1


def _adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``p_adjusted``; a pair that is at two levels is one test."""
    from prunekit.support.statistics import adjusted_p_values

    pair = ["method", "asked", "best", "best_asked"]
    tests = frame.drop_duplicates(pair)
    adjusted = tests[pair].assign(p_adjusted=adjusted_p_values(tests["p_value"].to_numpy()))
    return frame.merge(adjusted, on=pair, how="left")

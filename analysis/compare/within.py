"""The best that each method does within a budget, and what tells it from the best of all methods there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analysis.compare.pairs import Banded, compare_pair, with_answers
from analysis.compare.runs import Comparable
from analysis.compare.words import ORACLE
from analysis.data.columns import DamagedRecordError, columns
from analysis.data.frames import means
from analysis.data.groups import teacher_of
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.intervals.row_errors import ScoreOnRows, Scores, stage_score

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (75.0, 50.0, 25.0, 10.0)
"""Per cent of the MACs that may remain. Heads alone reach only the first: the FFNs hold most MACs."""
BOLD = (
    "Bold: the best, and all that cannot be told from it: the 95 % interval of the difference from the best, not "
    "corrected for how many there are and of single runs over rows alone, contains 0; nothing where the teacher is at "
    "chance or a method stands alone. "
)
"""What is bold in every table that has a best."""
FULLER = "A budget with fewer runs than a larger one of the same method there is passed over. "
"""What :func:`best_within` does, in words."""
CURVE = columns("prune_heads", "points", "share", "value", "low", "high")
CALIBRATED = ("prune_fisher", "compress")
"""Verbs whose runs of the same seed have the same calibration draw; of others a seed is one of their own."""


def best_within(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Each method's row of the highest score among those with at most ``level`` per cent of the MACs.

    A row of fewer ``runs`` than one with more MACs there is passed over: a lucky run is no better budget.
    """
    inside = frame[frame["macs_percent"] <= level + 1e-9].sort_values("macs_percent", ascending=False, kind="stable")
    fullest = inside.groupby("method", sort=False)["runs"].cummax()
    found = inside[inside["runs"] >= fullest].groupby("method", sort=False)["value"].idxmax()
    return frame[frame.index.isin(found)]


def less_the_best(points: pd.DataFrame, runs: Comparable, journal: Journal) -> pd.DataFrame:
    """A row a level and method: the best that it does there, less the best that any method does.

    That is the best by the scores shown; the oracle is in no row. Without rows of a level that one method alone
    reaches, of models with neither answers nor a band, and of those that share no teacher with the best.

    Arguments:
        points: of :func:`~analysis.compare.runs.run_points`.

    Returns:
        Columns :data:`OWN`, those of the best (``best``, its method, and ``best_...``), ``difference`` (points, 0 of
        the best itself) with ``low``, ``high``, ``p_value`` (NaN where both answer every row alike, which the best does
        as it does), ``test``, ``by``, ``teachers``, ``rows``, and ``bold``: whether :data:`BOLD` means it.
    """
    import pandas as pd

    rivals = points[points["method"] != ORACLE]
    models = _Models({record.run_id: record for record in runs.records}, rivals, journal)
    cells = means(rivals, ["panel", "task", "method", "asked"], ["macs_percent"])
    return pd.DataFrame([row for level in LEVELS for row in _of_level(level, best_within(cells, level), models)])


OWN = (
    "panel", "task", "metric", "level", "method", "asked", "value", "accuracy", "trivial", "trivial_accuracy",
    "at_chance", "runs",
)  # fmt: skip
"""What is known of each without the others."""


def _of_level(level: float, cells: pd.DataFrame, models: _Models) -> list[dict[str, Any]]:
    known = [(row, own) for row in cells.assign(level=level).to_dict("records") if (own := models.of(row))]
    if len(known) < 2:
        return []
    best, of_best = max(known, key=lambda one: float(one[0]["value"]))
    rows = []
    for row, own in known:
        named = {name: row[name] for name in OWN}
        named |= {"best": best["method"], **{f"best_{name}": best[name] for name in ("asked", "value", "accuracy")}}
        named |= {"best_runs": len(of_best), "rows": own[0].on_rows.rows}
        if row is best:
            rows.append(named | {"difference": 0.0, "p_value": math.nan, "bold": not row["at_chance"]})
            continue
        if not {run.teacher for run in own} & {run.teacher for run in of_best}:
            continue
        sides = with_answers(own, of_best)
        if any(isinstance(run, Banded) and math.isnan(run.on_rows.error) for side in sides for run in side):
            continue  # answers on one side alone, where they are all that is known
        pair = compare_pair(str(row["metric"]), *sides)
        rows.append(named | {
            "difference": 100 * pair.difference, "low": 100 * pair.low, "high": 100 * pair.high,
            "p_value": math.nan if pair.same_answers else pair.p_value, "test": pair.test, "by": pair.by,
            "teachers": pair.teachers, "bold": pair.undecided and not row["at_chance"],
        })  # fmt: skip
    return rows if len(rows) > 1 else []


@dataclass(frozen=True)
class _Models:
    """The models that cells are the means of."""

    records: Mapping[str, Record]
    points: pd.DataFrame
    journal: Journal
    read: dict[tuple[str, float], ScoreOnRows] = field(default_factory=dict)

    def of(self, cell: Mapping[Any, Any]) -> list[Banded]:
        """Without those that have neither answers nor a band."""
        own = self.points[(self.points["method"] == cell["method"]) & (self.points["asked"] == cell["asked"])]
        own = own.drop_duplicates(["teacher", "seed"])
        found = [(self.records[run], self._score(self.records[run], float(asked)))
                 for run, asked in zip(own["run_id"], own["asked"], strict=True)]  # fmt: skip
        return [
            Banded(record.run_id, teacher_of(record), score, _draw(record))
            for record, score in found
            if score.answers is not None or not math.isnan(score.error)
        ]

    def _score(self, record: Record, asked: float) -> ScoreOnRows:
        """Of the model that a point is of: of a curve the one at its share, else what the run ended with."""
        place = record.run_id, asked
        if place not in self.read:
            at_share = record.verb == "prune_heads"
            self.read[place] = _of_curve(record, asked, self.journal) if at_share else _final(record, self.journal)
        return self.read[place]


def _of_curve(record: Record, share: float, journal: Journal) -> ScoreOnRows:
    scores = Scores(record, journal)
    try:
        table = record.table("points", CURVE)
    except DamagedRecordError as error:
        journal.warn(f"no band over rows: {error}")
        table = record.table("points", {"share": "float", "value": "float"})
    return scores.of(table[table["share"] == share].iloc[0].to_dict(), share=share)


def _final(record: Record, journal: Journal) -> ScoreOnRows:
    if record.verb == "prune_cofi":
        return Scores(record, journal).of(record.metrics, stage="final")
    return stage_score(record, journal, last=True)


def _draw(record: Record) -> tuple[str, int]:
    """What makes runs of two methods a pair beside their teacher."""
    return ("calibration" if record.verb in CALIBRATED else record.verb), record.seed

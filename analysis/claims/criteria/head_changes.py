"""Changes of the metric by single heads, each with its 95 % interval over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.intervals.estimates import ANSWERS, TESTS
from analysis.intervals.row_errors import Scores, difference, errors_by_test, row_error
from analysis.michel import fig1b, table3

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
WHOLE = {"ablation": "none"}
"""What tells the answers of the model with all of its heads."""


def single_head_changes(group: Group, journal: Journal) -> pd.DataFrame | None:
    """As :func:`~analysis.michel.fig1b.single_head_effects`, with ``error``, ``low`` and ``high`` in points, and what
    they were taken ``by``."""
    effects = fig1b.single_head_effects(group, journal)
    return None if effects is None else _with_intervals(effects.assign(choices=1), group, journal, "one_off")


def layer_changes(group: Group, journal: Journal) -> pd.DataFrame | None:
    """As :func:`~analysis.michel.table3.kept_one_head`, the same; heads chosen on the evaluation rows are corrected for
    all heads of their layer."""
    layers, heads = table3.kept_one_head(group, journal), fig1b.single_head_effects(group, journal)
    if layers is None:
        return None
    if heads is None:
        return _with_intervals(layers.assign(choices=1), group, journal, "all_but_one")
    place = ["teacher", "kind", "layer"]
    numbers = heads.groupby(place).size().rename("choices").reset_index()
    layers = layers.merge(numbers, on=place, how="left")
    layers["choices"] = layers["choices"].where(layers["protocol"] == "dev").fillna(1)
    return _with_intervals(layers, group, journal, "all_but_one")


def _with_intervals(changes: pd.DataFrame, group: Group, journal: Journal, ablation: str) -> pd.DataFrame:
    import pandas as pd
    from scipy import stats

    records = {teacher_of(record): record for record in reversed(group.records)}
    parts = []
    for teacher, rows in changes.groupby("teacher", sort=False):
        errors, by = _from_answers(rows, records[str(teacher)], journal, ablation), ANSWERS
        if errors is None:
            by, errors = TESTS, errors_by_test(rows["delta_points"].tolist(), rows["p_value"].tolist())
        half = stats.norm.isf(LEVEL / 2 / rows["choices"].to_numpy()) * errors
        low, high = rows["delta_points"] - half, rows["delta_points"] + half
        parts.append(rows.assign(error=errors, low=low, high=high, by=by))
    return pd.concat(parts, ignore_index=True)


def _from_answers(rows: pd.DataFrame, record: Record, journal: Journal, ablation: str) -> list[float] | None:
    """Paired errors in points; None where the record has no answers."""
    scores = Scores(record, journal)
    if scores.sheet is None:
        return None
    whole = scores.of({"value": record.metrics["baseline"]}, **WHOLE)
    errors = []
    for row in rows.to_dict("records"):
        words = {"ablation": ablation, "kind": row["kind"], "layer": row["layer"] - 1, "head": row["head"] - 1}
        errors.append(row_error([[scores.of({"value": row["baseline"]}, **words), whole]], difference).error)
    return errors

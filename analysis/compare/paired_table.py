"""Each method beside the best one with at most so many of the MACs: is it worse, by how much, and is that chance?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.compare.pairs import LONE, p_text
from analysis.compare.runs import comparisons, run_points
from analysis.compare.table import heading
from analysis.compare.within import BOLD, LEVELS, less_the_best
from analysis.compare.words import method_look, numbered_text, rank
from analysis.data.groups import Group, by_setting, describe
from analysis.data.loading import Journal
from analysis.data.marks.trivial import ACCURACY, ANSWER, accuracy_text, trivial_cell
from analysis.intervals.estimates import ANSWERS, BANDS, CONFIDENCE
from analysis.render.output import Item, Table, count_range, listed

if TYPE_CHECKING:
    import pandas as pd

SIGN = "\u00b0"
"""Behind a difference of which either side has a single run."""
PAIR = ["panel", "method", "asked", "best", "best_asked"]
"""What is one comparison, at however many levels it stands."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One table of all comparisons; nothing where there is no pair."""
    import pandas as pd

    compared = [runs for records in by_setting(group.records).values() for runs in comparisons(records)]
    differences = [less_the_best(run_points(runs, journal), runs, journal) for runs in compared]
    if not any(map(len, differences)):
        return []
    frame = adjusted(pd.concat(differences, ignore_index=True))
    pairs = frame[frame["method"] != frame["best"]].drop(columns="bold").reset_index(drop=True)
    compared = [runs for runs in compared if runs.name in set(frame["panel"])]
    records = [record for runs in compared for record in runs.records]
    shown = display(frame)
    return [Table(
        name="paired",
        title="Each method minus the best one with at most so many of the MACs",
        frame=pairs.rename(columns={"panel": "comparison"}),
        display=shown,
        caption=" ".join(filter(None, (caption(pairs), numbered_text(compared), describe(records)))),
        narrow=tuple(str(name) for name in shown if name not in ("runs", ANSWER)),
    )]  # fmt: skip


def adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``p_adjusted``, after Benjamini-Hochberg over all pairs of which something was tested."""
    from prunekit.support.statistics import adjusted_p_values

    tests = compared_once(frame).assign(p_adjusted=math.nan)
    if len(tests):
        tests["p_adjusted"] = adjusted_p_values(tests["p_value"].to_numpy())
    return frame.merge(tests[[*PAIR, "p_adjusted"]], on=PAIR, how="left")


def compared_once(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a comparison that tests something, wherever it stands."""
    return frame.dropna(subset=["p_value"]).drop_duplicates(PAIR)


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a task and method, a column a level at which something is compared."""
    import pandas as pd

    levels = [level for level in LEVELS if (frame["level"] == level).any()]
    rows = []
    for name, compared in frame.groupby("panel", sort=False):
        first = compared.iloc[0].to_dict()
        for method in sorted(compared["method"].unique(), key=rank):
            own = compared[compared["method"] == method]
            cells = {row["level"]: row for row in own.to_dict("records")}
            rows.append({
                "task": f"{name} ({first['metric']})", "method": method_look(method)[0].label,
                **{heading(level): _cell(cells[level]) if level in cells else "" for level in levels},
                "runs": count_range(own["runs"]), ANSWER: trivial_cell(first),
            })  # fmt: skip
    return pd.DataFrame(rows)


def caption(pairs: pd.DataFrame) -> str:
    """How to read it, and which comparisons are corrected together.

    Arguments:
        pairs: a row a level and method other than the best, with ``p_adjusted``.
    """
    tests = compared_once(pairs)
    by = {name: sorted(set(tests.loc[tests["by"] == name, "panel"])) for name in (ANSWERS, BANDS)}
    words = [
        in_short(tests),
        "Points minus the best, with their 95 % interval and p after Benjamini-Hochberg over the "
        f"{len(tests)} comparisons of this table together; one that stands in two columns counts once.",
        BOLD.strip(),
        "Intervals are over the evaluation rows and over teachers, else draws or seeds, pair by pair where both are of "
        "the same calibration draws (Student) or as two samples (Welch), and are not corrected for how many there are; "
        "p: of the same estimate, or exact McNemar's of one run each where rows are paired and the metric is accuracy.",
        f"{SIGN}: over rows alone, as either has a single run, which says nothing of another."
        if tests["test"].isin(LONE).any() else "",
        f"Rows are paired by recorded answers on {listed(by[ANSWERS])}." if by[ANSWERS] else "",
        f"{'Of some comparisons on' if set(by[ANSWERS]) & set(by[BANDS]) else 'On'} {listed(by[BANDS])} answers were "
        "not recorded: scores are taken to be independent, which is too wide." if by[BANDS] else "",
        "The best is chosen by the scores shown, on these rows, never the oracle, which knows them: differences from "
        "it are too large on average.",
    ]  # fmt: skip
    return " ".join(filter(None, words))


def in_short(tests: pd.DataFrame) -> str:
    """Which methods are worse than the best for all that runs, rows and the number of comparisons may do."""
    surely = tests[(tests["p_adjusted"] < 1 - CONFIDENCE) & ~tests["test"].isin(LONE) & (tests["difference"] < 0)]
    places = [
        f"on {own['panel'].iloc[0]} with {heading(own['level'].iloc[0])} "
        f"{listed([method_look(method)[0].label for method in own['method']])}"
        for _, own in surely.groupby(["panel", "level"], sort=False)
    ]
    return f"Worse than the best with p < {1 - CONFIDENCE:.2g}, of several runs each: {'; '.join(places) or 'none'}."


def _cell(row: Mapping[Any, Any]) -> str:
    text = _best(row) if row["method"] == row["best"] else _difference(row)
    return f"**{text}**" if row["bold"] else text


def _best(row: Mapping[Any, Any]) -> str:
    accuracy = accuracy_text(row, row[ACCURACY], f"{ACCURACY} ")
    return f"best: {row['value']:.1f}" + (f", {accuracy}" if accuracy else "")


def _difference(row: Mapping[Any, Any]) -> str:
    if math.isnan(row["p_value"]):
        return "no difference on any row"
    lone = SIGN if row["test"] in LONE else ""
    text = f"{row['difference']:+z.1f}{lone} ({row['low']:+z.1f} to {row['high']:+z.1f}), {p_text(row['p_adjusted'])}"
    apart = row[ACCURACY] - row[f"best_{ACCURACY}"]
    return text + ("" if row["metric"] == ACCURACY or math.isnan(apart) else f"; {ACCURACY} {apart:+z.1f}")

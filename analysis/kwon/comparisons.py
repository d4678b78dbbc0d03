"""Settings side by side under the same MAC budget: scores, the paper's and the released procedure, labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.data.averages import unpruned
from analysis.data.frames import means
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows, option, stages_run
from analysis.kwon.stages import at_stage, stage_values
from analysis.render.curves import draw_series, runs_text
from analysis.render.output import Drawing, Item
from analysis.render.panels import MACS_LEFT, draw_panels
from analysis.render.style import COMPARED, looks_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHEN = {"search": "mask search alone", "tune": "tuned"}
"""The stages at which settings are compared: every score has a search, and tuning may even scores out."""
NOT_COMPARED = {"variant": ("target", "on_failure")}
"""Fields that belong to the choice of another one: the released procedure has its own target."""


def draw_scores(group: Group, journal: Journal) -> list[Item]:
    """Fisher information against importance, magnitude and random."""
    return _draw("kwon_scores", "score", group, journal)


def draw_variants(group: Group, journal: Journal) -> list[Item]:
    """The paper's formulas against what the released code computes."""
    return _draw("kwon_variants", "variant", group, journal)


def draw_labels(group: Group, journal: Journal) -> list[Item]:
    """Gold labels against the model's own predictions."""
    return _draw("kwon_labels", "labels", group, journal)


def _draw(name: str, field: str, group: Group, journal: Journal) -> list[Item]:
    groups = compared(group, field)
    frame = curves(groups, field, journal)
    if frame is None:
        return []
    return [Drawing(name, plot(frame, field), frame, rearranged(groups, field) + caption(groups))]


def rearranged(groups: list[Group], field: str) -> str:
    """A word where only some of the compared runs had a stage between search and tuning."""
    done = {(option(record, field), stages_run(record)[1]) for one in groups for record in one.records}
    yes = {value for value, was in done if was}
    if {value for value, _ in done} == yes or not yes:
        return ""
    names = [look.label for look in looks_of(COMPARED[field], yes).values()]
    return f"Masks are rearranged before tuning with {', '.join(names)} only. "


def compared(group: Group, field: str) -> list[Group]:
    """The tasks that have runs of at least two values of ``field``, everything else at its default."""
    groups = default_runs(group.records, free=[field, *NOT_COMPARED.get(field, ()), "stages"])
    return [one for one in groups if len({option(record, field) for record in one.records}) > 1]


def paired(group: Group, field: str) -> Group:
    """Its runs that differ from another one in ``field`` alone."""
    values: dict[tuple[float, str, int], set[str]] = {}
    for record in group.records:
        values.setdefault(_cell(record), set()).add(option(record, field))
    return replace(group, records=[record for record in group.records if len(values[_cell(record)]) > 1])


def _cell(record: Record) -> tuple[float, str, int]:
    return float(record.config["constraint"]), teacher_of(record), record.seed


def curves(groups: list[Group], field: str, journal: Journal) -> pd.DataFrame | None:
    """A row a task, stage, value of ``field`` and constraint, in per cent; only stages that two values share."""
    import pandas as pd

    parts = []
    for group in groups:
        values = stage_values(group.records, journal)
        for stage, when in WHEN.items():
            members = [record for record in group.records if stage in values.get(record.run_id, {})]
            # Of two runs that differ only in later stages the search is the same: the fuller one counts.
            members.sort(key=stages_run, reverse=True)
            if len({option(record, field) for record in members}) < 2:
                continue
            one = Group(members, group.label)
            rows = fisher_rows([one], series=lambda r: option(r, field), run_id=lambda r: r.run_id)
            averaged = means(at_stage(rows, values, stage), ["panel", "task", "series", "constraint"],
                          ["remaining_percent", "change"])  # fmt: skip
            dense = {"panel": group.title, "task": members[0].task, "metric": averaged["metric"].iloc[0]}
            dense |= {"series": "unpruned", "remaining_percent": 100.0, "change": 0.0} | unpruned(members)
            both = pd.concat([averaged, pd.DataFrame([dense])], ignore_index=True)
            parts.append(both.assign(stage=stage, panel=both["panel"] + f": {when}"))
    return pd.concat(parts, ignore_index=True) if parts else None


def plot(frame: pd.DataFrame, field: str) -> Figure:
    values = frame["series"].unique()
    looks = looks_of(COMPARED[field], [value for value in values if value != "unpruned"])
    repeated = frame[(frame["series"] != "unpruned") & frame["low"].notna()]["series"].nunique() > 1

    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        for value, look in looks.items():
            curve = rows[rows["series"] == value]
            if len(curve):
                of_all = frame.loc[frame["series"] == value, "runs"]
                label = f"{look.label}{runs_text(of_all)}"
                draw_series(axes, curve, "remaining_percent", look, label=label, bars=repeated)

    return draw_panels(frame, MACS_LEFT, panel, drawn_anew=DRAWS, intervals="Bars" if repeated else "Bands")

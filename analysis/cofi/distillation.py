"""Table 5: what each part of the distillation is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.cofi import published
from analysis.cofi.pairs import against, compared
from analysis.cofi.runs import caption, cofi_means, cofi_rows, default_runs, missed_text, option
from analysis.cofi.tables import apart, counted, in_order, score, signed
from analysis.data.averages import SCORES
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import beside
from analysis.render.output import Item, Table

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

FULL, NONE = "full (dynamic layers)", "none"
SETTINGS = {
    ("teacher", "paper"): FULL,
    ("teacher", "fixed"): "fixed layers",
    ("teacher", "none"): "predictions only",
    ("labels", "paper"): "layers only",
    ("labels", "none"): NONE,
}
"""By what takes the place of the teacher's predictions, and how layers are matched."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One table."""
    groups = ablated(group)
    if not groups:
        return []
    frame = ablations(groups)
    starred = missed_text(frame, "Starred", lambda row: row.distillation)
    return [Table(
        name="cofi_distillation",
        title="Table 5: CoFi without parts of the distillation",
        frame=frame,
        display=display(frame),
        caption="Without the teacher's predictions a student learns from gold labels. "
        f"Gone: of the prunable parameters. {SCORES}; "
        "against full: in points, with the same teacher and seed. "
        "Published: BERT-base at 95 %, mean of SST-2, QNLI, MNLI and SQuAD, in points against full. "
        f"{starred}{caption(groups)}",
    )]  # fmt: skip


def ablated(group: Group) -> list[Group]:
    """The tasks that have runs with more than one kind of distillation."""
    groups = default_runs(group.records, free=["matching", "learn_from"])
    return [one for one in groups if len({distillation(record) for record in one.records}) > 1]


def ablations(groups: list[Group]) -> pd.DataFrame:
    """A row a task, requested sparsity and kind of distillation; ``difference`` is against the full one, in points."""
    rows = compared(cofi_rows(groups, distillation=distillation), "distillation", FULL)
    rows = against(rows, "distillation", FULL)
    averaged = cofi_means(rows, ["panel", "task", "distillation", "requested"], ["difference", "speedup"])
    averaged = averaged.assign(published_95=averaged["distillation"].map(published.distillation()))
    return in_order(averaged, "distillation", list(SETTINGS.values()))


def distillation(record: Record) -> str:
    """What a student learns from, in a word or two."""
    source, matching = str(option(record, "learn_from")), str(option(record, "matching"))
    return SETTINGS.get((source, matching)) or f"{matching} layers" + (" only" if source == "labels" else "")


def display(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "task": frame["panel"],
        "requested (%)": frame["requested"].map("{:g}".format),
        "distillation": frame["distillation"],
        "gone (%)": counted(frame),
        "score": score(frame),
        "against full": apart(frame, "distillation", FULL),
        "published at 95 %": signed(frame["published_95"]),
        "runs": frame["runs"].map(str),
        **beside(frame),
    })  # fmt: skip

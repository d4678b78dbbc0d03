"""Table 4: what is lost when some kinds of unit have no masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.cofi import published
from analysis.cofi.pairs import against, compared
from analysis.cofi.runs import caption, cofi_means, cofi_rows, default_runs, missed_text, option
from analysis.cofi.tables import apart, counted, in_order, score, signed, times
from analysis.data.averages import SCORES
from analysis.data.frames import by_device
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import beside
from analysis.data.timings import NO_SPREAD, timed_text
from analysis.render.output import Item, Table, file_name
from prunekit.config.choices import UNITS

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

ALL = "all"
ORDER = [ALL, *published.UNITS.values(), "heads only", "neurons only"]
COARSE = ("layers", "hidden")
PUBLISHED = ("mnli", "qnli", "squad")
"""The tasks of the paper's table."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One table a machine."""
    items: list[Item] = []
    for groups in map(ablated, by_device(default_runs(group.records, free=["units"]))):
        if not groups:
            continue
        frame = ablations(groups)
        device = groups[0].records[0].device
        starred = missed_text(frame, "Starred", lambda row: row.units)
        items.append(Table(
            name=file_name("cofi_units", device) if items else "cofi_units",
            title="Table 4: CoFi without masks of some units",
            frame=frame,
            display=display(frame),
            caption=f"Gone: of the prunable parameters. {SCORES}; "
            "against all: in points, with the same teacher and seed. Speed-ups are measured at the largest batch. "
            f"{NO_SPREAD}{timed_text(frame)}"
            f"Published: BERT-base, in points against all units. {starred}{device}. {caption(groups)}",
        ))  # fmt: skip
    return items


def ablated(groups: list[Group]) -> list[Group]:
    """Those that have runs with more than one set of units."""
    return [one for one in groups if len({option(record, "units") for record in one.records}) > 1]


def ablations(groups: list[Group]) -> pd.DataFrame:
    """A row a task, requested sparsity and set of units; ``difference`` is against all units, in points.

    ``published_TASK`` is the paper's difference at the same requested sparsity.
    """
    rows = against(compared(cofi_rows(groups, units=units_text), "units", ALL), "units", ALL)
    averaged = cofi_means(rows, ["panel", "task", "units", "requested"], ["difference", "speedup"])
    printed = published.pruning_units().pivot(index=["units", "requested"], columns="task", values="change")
    printed = printed.rename(columns=lambda task: f"published_{task.lower()}").reset_index()
    return in_order(averaged.merge(printed, on=["units", "requested"], how="left"), "units", ORDER)


def units_text(record: Record) -> str:
    """The kinds of unit that have masks, in a word or two."""
    units = option(record, "units")
    without = [unit for unit in (*COARSE, "heads", "neurons") if unit not in units]
    if units == UNITS:
        return ALL
    if len(units) == 1:
        return f"{units[0]} only"
    if set(without) <= set(COARSE):
        return ", ".join(f"no {unit}" for unit in without)
    return " and ".join(units)


def display(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    shown = {
        "task": frame["panel"],
        "requested (%)": frame["requested"].map("{:g}".format),
        "units": frame["units"],
        "gone (%)": counted(frame),
        "score": score(frame),
        "against all": apart(frame, "units", ALL),
        "speed-up": times(frame["speedup"]),
        "published, MNLI / QNLI / SQuAD": [" / ".join(texts).strip("/ ") for texts in zip(
            *(signed(frame[f"published_{task}"]) for task in PUBLISHED), strict=True)],
        "runs": frame["runs"].map(str),
        **beside(frame),
    }  # fmt: skip
    return pd.DataFrame(shown)

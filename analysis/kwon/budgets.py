"""What was asked for and what came of it: budget, MACs, parameters and latency that remain, and the metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.data.averages import SCORES, mean_text
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text
from analysis.data.marks.trivial import beside
from analysis.data.timings import NO_SPREAD
from analysis.intervals.replicates import with_each
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows, option
from analysis.render.machines import each_machine
from analysis.render.output import Item, Table
from prunekit.runs.schema.seconds import LATENCIES

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

SHARES = {
    "achieved_macs": "MACs",
    "achieved_parameters": "parameters",
    "achieved_latency_by_table": "latency by table",
    "achieved_latency": "measured latency",
}
"""What a record says is gone, and the heading of what is left."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One table a machine."""

    def make(name: str, groups: list[Group], device: str) -> Item:
        frame = budgets(groups)
        records = [record for one in groups for record in one.records]
        over = f"teachers and {DRAWS}" if (frame["teachers"] > 1).any() else DRAWS
        return Table(
            name=name,
            title="Requested and achieved: per cent that remain of the unpruned model",
            frame=frame,
            display=display(frame),
            caption="MACs and parameters are counted on the saved model, parameters with embeddings; latency is the "
            "whole model's at the largest batch timed and the run's own length, as in latency tables; by table that of "
            "its layers, measured that over the unpruned model's, paired by rounds. "
            f"{NO_SPREAD}{SCORES}; change: in points. Runs are {over}. {device}. "
            f"{disturbed_text(records, 'Among these', LATENCIES)}{caption(groups)}",
        )

    return each_machine("kwon_budgets", default_runs(group.records, free=["budget"]), make)


def budgets(groups: list[Group]) -> pd.DataFrame:
    """A row a task, kind of budget and constraint: all shares in per cent, the metric, and its change in points."""
    columns = {name: (lambda record, name=name: remaining(record, name)) for name in SHARES}
    rows = fisher_rows(groups, budget=lambda record: option(record, "budget"), **columns)
    cell = ["panel", "task", "budget", "constraint"]
    averaged = with_each(means(rows, cell, ["change", *SHARES]), rows.drop_duplicates([*cell, "teacher", "seed"]), cell)
    return averaged.assign(requested=100 * averaged["constraint"])


def remaining(record: Record, name: str) -> float:
    """Per cent that is left; NaN where the record does not say. Every run measures its model's latency, which is held
    to what a table says at the same length: also where the shape was timed again at another."""
    if name == "achieved_latency":
        return 100 / float(record.metrics["speedup"])
    gone = record.sparsity.get(name)
    return math.nan if gone is None else 100 * (1 - float(gone))


def display(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    def per_cent(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.1f}"

    shown = {
        "task": frame["panel"],
        "budget of": frame["budget"].map({"mac": "MACs", "latency": "latency"}),
        "requested": frame["requested"].map("{:.0f}".format),
        **{title: frame[name].map(per_cent) for name, title in SHARES.items()},
        "score": [f"{metric} {mean_text(each)}" for metric, each in zip(frame["metric"], frame["each"], strict=True)],
        "change": frame["change"].map("{:+z.1f}".format),
        "runs": frame["runs"].map(str),
        **beside(frame),
    }
    return pd.DataFrame(shown)

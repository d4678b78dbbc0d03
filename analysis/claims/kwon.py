"""The claims of Kwon et al. 2022 beside what the records say."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.claims import criteria_kwon
from analysis.claims.claim import Claim, claims_table
from analysis.data import published
from analysis.data.frames import by_device
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.kwon import comparisons
from analysis.kwon.runs import default_runs
from analysis.kwon.seconds import with_times
from analysis.render.output import Table

CAPTION = (
    "A point is one hundredth of the metric; the change is the mean over runs. One point is less than the sampling "
    "interval of the unpruned model wherever the evaluation data are few, see the grey strips of kwon_macs."
)

SWEEP = "constraint=0.3,0.4,0.5,0.6,0.7,0.8,0.9 seed=0,1,2"


def claims() -> list[Claim]:
    """Every claim of the abstract, and the question that it leaves open: are gold labels needed?"""
    macs = published.claim("kwon", "FLOPs reduction with less than 1 % accuracy lost")
    latency = published.claim("kwon", "measured latency speed-up with less than 1 % accuracy lost")
    minutes = published.claim("kwon", "pruning time on one GPU, minutes")
    return [
        Claim(
            text="Without retraining, MACs fall by up to 2.0 x with less than 1 point lost",
            where="abstract",
            published=f"up to {macs} x",
            evidence="macs",
            test=criteria_kwon.fewer_macs,
            unit="x",
            digits=1,
            command=f"prune_fisher -m experiment=kwon_macs {SWEEP}",
            criterion="largest reduction with less than 1 point lost, at least 2.0 for some task",
            over="tasks",
            once=True,
        ),
        Claim(
            text="Without retraining, measured latency falls by up to 1.56 x with less than 1 point lost",
            where="abstract",
            published=f"up to {latency} x",
            evidence="latency",
            test=criteria_kwon.faster,
            unit="x",
            digits=2,
            command=f"prune_fisher -m experiment=kwon_latency {SWEEP}",
            criterion="largest speed-up with less than 1 point lost, at least 1.56 for some task; "
            "at the largest batch timed",
            timed=True,
            over="tasks",
            once=True,
        ),
        Claim(
            text="Pruning takes less than 3 minutes",
            where="abstract",
            published=f"{minutes} minutes on one GPU",
            evidence="seconds",
            test=criteria_kwon.seconds,
            unit="s",
            digits=0,
            command=f"prune_fisher -m experiment=kwon_macs {SWEEP}",
            criterion="mean of gradients, search, rearrangement and tuning below 180 s for every task",
            timed=True,
            over="tasks",
        ),
        Claim(
            text="The model's own predictions serve as well as gold labels",
            where="not in the paper",
            published="",
            evidence="labels",
            test=criteria_kwon.predicted_labels,
            unit="points",
            digits=1,
            command="prune_fisher -m experiment=kwon_labels labels=gold,predicted constraint=0.3,0.5,0.7",
            criterion="predicted minus gold at the same constraint and seed, above -1 point on average for every task",
            over="tasks",
        ),
    ]


def draw(runs: Mapping[str, list[Group]], journal: Journal, setting: str) -> Table:
    """The claims table of one model; ``runs`` has the runs of all its tasks by verb."""
    title = f"Claims of Kwon et al. 2022 ({setting})"
    return claims_table("claims_kwon", title, claims(), evidence(runs), journal, CAPTION)


def evidence(runs: Mapping[str, list[Group]]) -> dict[str, Group]:
    """The runs that each claim is judged by; times are of the machine with the most runs."""
    group = next(iter(runs.get("prune_fisher", [])), None)
    if group is None:
        return {}
    default, budgets = default_runs(group.records), default_runs(group.records, free=["budget"])
    found = {
        "macs": default,
        "latency": next(iter(by_device(budgets)), []),
        "seconds": [timed for one in next(iter(by_device(default)), []) if (timed := with_times(one))],
        "labels": [comparisons.paired(one, "labels") for one in comparisons.compared(group, "labels")],
    }
    return {
        name: Group(records)
        for name, groups in found.items()
        if (records := [record for one in groups for record in one.records])
    }

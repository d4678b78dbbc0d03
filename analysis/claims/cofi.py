"""The claims of Xia et al. 2022 beside what the records say."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.claims import criteria_cofi, criteria_shapes
from analysis.claims.claim import Claim, claims_table
from analysis.cofi import distillation, units
from analysis.cofi import published as published_cofi
from analysis.cofi.pairs import paired
from analysis.cofi.runs import at_sparsity, default_runs, structure
from analysis.data import published
from analysis.data.frames import by_device
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.render.output import Table

CAPTION = (
    "A point is one hundredth of the metric. Runs are compared one to one, with the same sparsity, teacher and seed; "
    "runs that missed their target sparsity are left out. A difference of few pairs may be chance: the sampling "
    "interval of the teacher is the grey strip of cofi_sparsity."
)


def claims() -> list[Claim]:
    """Every claim that records can test, and one that the paper leaves open: are learned masks better than random?"""
    return [*_headlines(), *_ablations(), *_shapes()]


def draw(runs: Mapping[str, list[Group]], journal: Journal, setting: str) -> Table:
    """The claims table of one model; ``runs`` has the runs of all its tasks by verb."""
    title = f"Claims of Xia et al. 2022 ({setting})"
    return claims_table("claims_cofi", title, claims(), evidence(runs), journal, CAPTION)


def evidence(runs: Mapping[str, list[Group]]) -> dict[str, Group]:
    """The runs that each claim is judged by; times are of the machine with the most runs."""
    group = next(iter(runs.get("prune_cofi", [])), None)
    if group is None:
        return {}
    learned = default_runs(group.records)
    high = at_sparsity(learned, criteria_cofi.HIGH)
    structures = default_runs(group.records, free=["structure"])
    taught = default_runs(group.records, free=["matching", "learn_from"])
    gated = default_runs(group.records, free=["units"])
    found = {
        "high": high,
        "timed": next(iter(by_device(high)), []),
        "dense": paired(structures, structure, "learned", "dense"),
        "random": paired(structures, structure, "learned", "random"),
        "distillation": paired(taught, distillation.distillation, distillation.FULL, distillation.NONE),
        "hidden": paired(gated, units.units_text, units.ALL, "no hidden"),
        "shapes": at_sparsity(learned, criteria_shapes.SPARSITY),
        "tasks": learned,
    }
    return {
        name: Group(records)
        for name, groups in found.items()
        if (records := [record for one in groups for record in one.records])
    }


def _headlines() -> list[Claim]:
    return [
        Claim(
            text="At 95 % sparsity the model is more than 10 x faster",
            where="abstract",
            published=f"{published.claim('cofi', 'speed-up at 95% sparsity')} (V100, batch 128)",
            evidence="timed",
            test=criteria_cofi.faster,
            unit="x",
            digits=1,
            command="prune_cofi experiment=cofi_sparsity sparsity=0.95",
            criterion="mean measured speed-up above 10 at the largest batch timed, for every task",
            timed=True,
            over="tasks",
        ),
        Claim(
            text="At 95 % sparsity more than 90 % of the teacher's score is kept",
            where="abstract",
            published=published.claim("cofi", "accuracy kept at 95% sparsity"),
            evidence="high",
            test=criteria_cofi.kept_score,
            unit="%",
            digits=1,
            command="prune_cofi experiment=cofi_sparsity sparsity=0.95",
            criterion="mean of the score over the teacher's above 90 % for every task",
            over="tasks",
        ),
        Claim(
            text="CoFi is better than a small dense Transformer distilled from the same teacher",
            where="Table 2",
            published=_published_gain(),
            evidence="dense",
            test=criteria_cofi.small_dense,
            unit="points",
            digits=1,
            command="prune_cofi -m experiment=cofi_baselines sparsity=0.9,0.95 structure=learned,dense",
            criterion="positive mean difference to dense students whose sparsity differs by at most 3 points, "
            "for every task",
            over="tasks",
        ),
        Claim(
            text="Learned masks are better than random ones of the same shape",
            where="not in the paper",
            published="",
            evidence="random",
            test=criteria_cofi.learned_masks,
            unit="points",
            digits=1,
            command="prune_cofi -m experiment=cofi_baselines sparsity=0.9,0.95 structure=learned,random",
            criterion="positive mean difference over all sparsities, for every task",
            over="tasks",
        ),
    ]


def _ablations() -> list[Claim]:
    lost = published.claim("cofi", "points lost without any distillation at 95%")
    return [
        Claim(
            text="Without any distillation the pruned model is worse",
            where="Table 5",
            published=f"{lost} points at 95 %",
            evidence="distillation",
            test=criteria_cofi.distillation,
            unit="points",
            digits=1,
            command="prune_cofi -m experiment=cofi_distillation sparsity=0.95 learn_from=teacher,labels "
            "matching=paper,none",
            criterion="full minus none positive on average at the highest sparsity of both, for every task",
            over="tasks",
        ),
        Claim(
            text="Without masks of hidden dimensions the pruned model is worse",
            where="Table 4",
            published=published.claim("cofi", "dropping hidden masks costs accuracy at 95%") + " at 95 %",
            evidence="hidden",
            test=criteria_cofi.hidden_masks,
            unit="points",
            digits=1,
            command="prune_cofi -m experiment=cofi_units sparsity=0.95 "
            "units=[hidden,layers,heads,neurons],[layers,heads,neurons]",
            criterion="all masks minus all but hidden positive on average at the highest sparsity of both, "
            "for every task",
            over="tasks",
        ),
    ]


def _shapes() -> list[Claim]:
    neurons = float(published.claim("cofi", "FFN width removed at 60% sparsity"))
    heads = float(published.claim("cofi", "heads removed at 60% sparsity"))
    return [
        Claim(
            text="Upper layers lose more than lower ones",
            where="Sec. 4.4",
            published=published.claim("cofi", "upper layers lose more than lower ones"),
            evidence="shapes",
            test=criteria_shapes.upper_layers,
            unit="points",
            digits=0,
            command="prune_cofi experiment=cofi_sparsity sparsity=0.6",
            criterion="a larger share of parameters kept in the lower half of the layers at 60 %, for every task",
            over="tasks",
        ),
        Claim(
            text="Neurons of FFNs go before heads",
            where="Sec. 4.4",
            published=f"{100 * neurons:.0f} % of neurons, {100 * heads:.0f} % of heads at 60 %",
            evidence="shapes",
            test=criteria_shapes.neurons_before_heads,
            unit="% of neurons",
            digits=0,
            command="prune_cofi experiment=cofi_sparsity sparsity=0.6",
            criterion="a larger share of neurons than of heads gone at 60 %, for every task",
            over="tasks",
        ),
        Claim(
            text="Different tasks end in different structures",
            where="Sec. 4.4",
            published=published.claim("cofi", "different tasks end in different structures"),
            evidence="tasks",
            test=criteria_shapes.different_tasks,
            unit="points",
            digits=1,
            command="prune_cofi -m experiment=cofi_sparsity sparsity=0.9 task=sst2,mrpc seed=0,1",
            criterion="kept shares of heads and neurons differ more from other tasks' models than between seeds, "
            "for every task with two seeds",
            over="tasks",
        ),
    ]


def _published_gain() -> str:
    gains = published_cofi.dense_student()["difference"]
    return f"{gains.min():+.1f} to {gains.max():+.1f} points over TinyBERT4 without general distillation"

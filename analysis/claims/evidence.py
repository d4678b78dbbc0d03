"""The runs that a claim is judged by, of all that a setting has; times are of the machine with the most runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from analysis.claims.registry import EVIDENCE, Runs, evidence
from analysis.cofi import distillation, units
from analysis.cofi import runs as cofi_runs
from analysis.cofi.pairs import paired
from analysis.compare.method_pairs import method_pairs
from analysis.compare.runs import usual_compress
from analysis.data.frames import by_device
from analysis.data.groups import Group, by_condition, by_setting
from analysis.kwon import comparisons
from analysis.kwon import runs as kwon_runs
from analysis.kwon.seconds import with_times

PAIR = ("albert-base", "bert-base")
"""The models that the claims of ALBERT compare."""


@evidence
def default_pruning(runs: Runs) -> list[Group]:
    """Fisher pruning as in the paper, to a budget of MACs."""
    return [usual for group in _of(runs, "prune_fisher") for usual in kwon_runs.default_runs(group.records)]


@evidence
def both_budgets(runs: Runs) -> list[Group]:
    """Fisher pruning as in the paper, to either budget, on one machine."""
    return _one_machine(
        [f for group in _of(runs, "prune_fisher") for f in kwon_runs.default_runs(group.records, free=["budget"])]
    )


@evidence
def timed_pruning(runs: Runs) -> list[Group]:
    """Fisher pruning as in the paper whose stages were timed, on one machine."""
    return [timed for one in _one_machine(default_pruning(runs)) if (timed := with_times(one))]


@evidence
def paired_labels(runs: Runs) -> list[Group]:
    """Fisher pruning with gold and with predicted labels."""
    return [
        comparisons.paired(one, "labels")
        for group in _of(runs, "prune_fisher")
        for one in comparisons.compared(group, "labels")
    ]


@evidence
def learned(runs: Runs) -> list[Group]:
    """CoFi as in the paper."""
    return _cofi(runs)


@evidence
def learned_at(runs: Runs, *, sparsity: float) -> list[Group]:
    """CoFi as in the paper that asked for ``sparsity`` per cent and reached it."""
    return cofi_runs.at_sparsity(_cofi(runs), sparsity / 100)


@evidence
def timed_at(runs: Runs, *, sparsity: float) -> list[Group]:
    """As :func:`learned_at`, on one machine."""
    return _one_machine(learned_at(runs, sparsity=sparsity))


@evidence
def learned_and(runs: Runs, *, structure: str) -> list[Group]:
    """CoFi beside another choice of ``structure``, one to one."""
    return paired(_cofi(runs, "structure"), cofi_runs.structure, "learned", structure)


@evidence
def with_and_without_distillation(runs: Runs) -> list[Group]:
    """CoFi with all of the paper's distillation and with none, one to one."""
    groups = _cofi(runs, "matching", "learn_from")
    return paired(groups, distillation.distillation, distillation.FULL, distillation.NONE)


@evidence
def with_and_without_hidden(runs: Runs) -> list[Group]:
    """CoFi with masks of all units and with all but those of hidden dimensions, one to one."""
    return paired(_cofi(runs, "units"), units.units_text, units.ALL, "no hidden")


@evidence
def albert_and_bert(runs: Runs) -> list[Group]:
    """The timings of both models that were taken on one machine, that with the most of them."""
    both = [r for group in runs.get("time_inference", []) for r in group.records if r.model.name in PAIR]
    devices = Counter(record.device for record in both)
    for device, _ in sorted(devices.items(), key=lambda item: (-item[1], item[0])):
        records = [record for record in both if record.device == device]
        if {record.model.name for record in records} == set(PAIR):
            return [Group(sorted(records, key=lambda record: (record.model.name, record.model.weights)))]
    return []


@evidence
def two_orders(runs: Runs, *, order: str, other: str) -> list[Group]:
    """Curves of pruned heads in two orders."""
    return [
        Group(members, group.label)
        for group in _of(runs, "prune_heads")
        if (members := [record for record in group.records if record.config["order"] in (order, other)])
    ]


@evidence
def compressed(runs: Runs, *, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Group]:
    """Two ways of pruning by `compress` that differ in nothing else, one to one."""
    both = [pair for group in _of(runs, "compress") for pair in method_pairs(group.records, first, second).values()]
    return [Group([record for pairs in both for pair in pairs for record in pair])] if both else []


@evidence
def compressed_by(runs: Runs, *, method: str) -> list[Group]:
    """A method of `compress` with its own stages."""
    return [
        Group(chosen, group.label)
        for group in _of(runs, "compress")
        for members in by_setting(group.records).values()
        if (chosen := [record for record in usual_compress(members) if record.metrics["method"] == method])
    ]


@evidence
def compressed_to(runs: Runs, *, first: Mapping[str, Any], second: Mapping[str, Any], percent: float) -> list[Group]:
    """The same among the runs to ``percent`` of the MACs, whatever was run to other budgets."""
    to = [
        replace(
            group,
            records=[one for one in group.records if round(100 * float(one.config["constraint"]), 6) == percent],
        )
        for group in _of(runs, "compress")
    ]
    return compressed({**runs, "compress": to}, first=first, second=second)


@evidence
def quantized(runs: Runs) -> list[Group]:
    """Models in 8 bits."""
    return runs.get("quantize", [])


@evidence
def quantized_on_one_machine(runs: Runs) -> list[Group]:
    """The same, of the machine that has the most."""
    return _one_machine(quantized(runs))


@evidence
def beside_hand_built(runs: Runs, *, runtime: str) -> list[Group]:
    """Pruned models timed in a runtime beside plain ones of their shapes (`benchmark=latency`): the sessions of one
    condition and machine, that with the most."""
    chosen = [
        record
        for group in runs.get("benchmark", [])
        for record in group.records
        if record.config["benchmark"] == "latency" and (record.config.get("runtime") or "torch") == runtime
    ]
    return sorted(by_condition(chosen), key=lambda group: -len(group.records))[:1]


def _of(runs: Runs, verb: str) -> list[Group]:
    return runs.get(verb, [])[:1]


def _cofi(runs: Runs, *free: str) -> list[Group]:
    return [
        usual for group in _of(runs, "prune_cofi") for usual in cofi_runs.default_runs(group.records, free=list(free))
    ]


def _one_machine(groups: list[Group]) -> list[Group]:
    return next(iter(by_device(groups)), [])


def _first(verb: str) -> Callable[[Runs], list[Group]]:
    """The first group of a verb: runs of another condition are not judged together with it."""
    return lambda runs: _of(runs, verb)


EVIDENCE.update(
    {verb: _first(verb) for verb in ("ablate_heads", "transfer", "prune_heads", "head_dynamics", "time_inference")}
)

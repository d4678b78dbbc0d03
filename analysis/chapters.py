"""What is drawn: every figure and table, the verb whose records it needs, and the paper it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis import (
    benchmark,
    claims_cofi,
    claims_kwon,
    claims_michel,
    cofi_baselines,
    cofi_distillation,
    cofi_kept,
    cofi_sparsity,
    cofi_speed,
    cofi_training,
    cofi_units,
    fig1b,
    fig2b,
    fig3b,
    kept_heads,
    kwon_budgets,
    kwon_calibration,
    kwon_comparisons,
    kwon_kept,
    kwon_latency,
    kwon_latency_table,
    kwon_macs,
    kwon_seconds,
    kwon_stages,
    order_agreement,
    speed,
    table1,
    table3,
)
from analysis.groups import Group
from analysis.loading import Journal
from analysis.output import Item, Table


@dataclass(frozen=True)
class Part:
    """One figure or table and the verb whose records it needs."""

    name: str
    verb: str
    draw: Callable[[Group, Journal], list[Item]]
    needs: str = ""
    """What is not there when nothing comes of it."""
    one_run: bool = True
    """It says something of a single run already."""


@dataclass(frozen=True)
class Chapter:
    """What belongs to one paper, or to none."""

    title: str
    parts: tuple[Part, ...]
    claims: Callable[[Mapping[str, list[Group]], Journal, str], Table] | None = None
    """Draws its claims table from the groups of each verb."""
    command: str = ""
    """What makes its records."""
    all_tasks: bool = False
    """Figures show all tasks of a model side by side, and split the runs by condition themselves."""
    one_table: bool = False
    """Runs of all conditions belong in one table, which names what tells them apart."""

    @property
    def verbs(self) -> list[str]:
        return list(dict.fromkeys(part.verb for part in self.parts))


NO_DEFAULT = "none of the default setting"
CHAPTERS = (
    Chapter(
        title="Michel et al. 2019",
        parts=(
            Part("fig1b", "ablate_heads", fig1b.draw),
            Part("table1", "ablate_heads", table1.draw),
            Part("table3", "ablate_heads", table3.draw),
            Part("fig2b", "transfer", fig2b.draw),
            Part("fig3b", "prune_heads", fig3b.draw),
            Part("kept_heads", "prune_heads", kept_heads.draw),
            Part("order_agreement", "prune_heads", order_agreement.draw),
            Part("table4", "time_inference", speed.draw),
        ),
        claims=claims_michel.draw,
        command="make reproduce-michel",
    ),
    Chapter(
        title="Kwon et al. 2022",
        parts=(
            Part("kwon_macs", "prune_fisher", kwon_macs.draw, one_run=False),
            Part("kwon_latency", "prune_fisher", kwon_latency.draw, "no measured latency", one_run=False),
            Part("kwon_budgets", "prune_fisher", kwon_budgets.draw),
            Part("kwon_stages", "prune_fisher", kwon_stages.draw),
            Part(
                "kwon_calibration",
                "prune_fisher",
                kwon_calibration.draw,
                "no sweep of calibration_examples",
                one_run=False,
            ),
            Part("kwon_scores", "prune_fisher", kwon_comparisons.draw_scores, "only one score", one_run=False),
            Part("kwon_variants", "prune_fisher", kwon_comparisons.draw_variants, "only one variant", one_run=False),
            Part("kwon_labels", "prune_fisher", kwon_comparisons.draw_labels, "only one kind of labels", one_run=False),
            Part("kwon_seconds", "prune_fisher", kwon_seconds.draw, one_run=False),
            Part("kwon_kept", "prune_fisher", kwon_kept.draw),
            Part("kwon_latency_table", "latency_table", kwon_latency_table.draw),
        ),
        claims=claims_kwon.draw,
        command="make reproduce-fisher",
        all_tasks=True,
    ),
    Chapter(
        title="Xia et al. 2022",
        parts=(
            Part("cofi_sparsity", "prune_cofi", cofi_sparsity.draw, NO_DEFAULT, one_run=False),
            Part("cofi_speed", "prune_cofi", cofi_speed.draw, "no measured latency", one_run=False),
            Part("cofi_baselines", "prune_cofi", cofi_baselines.draw, NO_DEFAULT),
            Part("cofi_units", "prune_cofi", cofi_units.draw, "only one set of units"),
            Part("cofi_distillation", "prune_cofi", cofi_distillation.draw, "only one kind of distillation"),
            Part("cofi_kept", "prune_cofi", cofi_kept.draw, NO_DEFAULT),
            Part("cofi_training", "prune_cofi", cofi_training.draw),
        ),
        claims=claims_cofi.draw,
        command="make reproduce-cofi",
        all_tasks=True,
    ),
    Chapter(title="Benchmarks", parts=(Part("benchmark", "benchmark", benchmark.draw),), one_table=True),
)

"""What is drawn: the figures and tables of each paper, the verbs whose records they need, and its claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from analysis.claims import papers
from analysis.claims.claim import Claim
from analysis.cofi import baselines, distillation, sparsity, training, units
from analysis.cofi import kept as cofi_kept
from analysis.cofi import speed as cofi_speed
from analysis.compare import benchmarks, figure, paired_table, ranks, served
from analysis.data.groups import Group, Setting, by_condition, by_setting
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.kwon import budgets, calibration, comparisons, latency, latency_table, macs, seconds, stages
from analysis.kwon import kept as kwon_kept
from analysis.michel import (
    decoding,
    fig1b,
    fig2b,
    fig3b,
    fig4,
    fig5,
    kept_heads,
    order_agreement,
    table1,
    table2,
    table3,
    table4,
)
from analysis.quantization import quantized, table
from analysis.render.output import Item


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
    beside: tuple[str, ...] = ()
    """Verbs whose records it draws in the same figure."""
    overrides: str = ""
    """What its verb needs beside model, task and scale; ``{task}`` stands for the task."""
    of_paper: bool = True
    """The paper has it, so it is missed where no run is."""

    @property
    def verbs(self) -> tuple[str, ...]:
        return (self.verb, *self.beside)


@dataclass(frozen=True)
class Chapter:
    """What belongs to one paper, or to none."""

    title: str
    parts: tuple[Part, ...]
    paper: str = ""
    """The name of the paper's file of claims, also in commands and in the markers of README.md; empty: no claims."""
    command: str = ""
    """What makes its records."""
    all_tasks: bool = False
    """Figures show all tasks of a model side by side, and split the runs by condition themselves."""
    one_table: bool = False
    """Runs of all conditions belong in one table, which names what tells them apart."""
    translation: bool | None = False
    """Is it about translation, or about everything else? None: about both."""
    usual: Setting | None = None
    """Where its claims would be tested that no run tests; None: on the model with the most runs."""

    @property
    def verbs(self) -> list[str]:
        return list(dict.fromkeys(verb for part in self.parts for verb in part.verbs))

    def list_claims(self) -> Sequence[Claim]:
        """The paper's claims, in the order of its file."""
        return papers.read(self.paper).claims if self.paper else ()

    def takes(self, record: Record) -> bool:
        """Is it about such runs? Times of another run's shape belong to that run."""
        if record.model.shape_of:
            return False
        return self.translation is None or self.translation == record.translation

    def settings(self, records: Iterable[Record]) -> dict[Setting, list[Record]]:
        """The runs of its verbs by what its figures may not mix."""
        own = [record for record in records if record.verb in self.verbs and self.takes(record)]
        return by_setting(own, all_tasks=self.all_tasks)

    def groups(self, records: Sequence[Record]) -> dict[str, list[Group]]:
        """The runs of one setting by verb, and there by condition unless its figures split them themselves."""
        by_verb = {}
        for verb in self.verbs:
            members = [record for record in records if record.verb == verb]
            whole = self.all_tasks or self.one_table
            by_verb[verb] = ([Group(members)] if members else []) if whole else by_condition(members)
        return by_verb


COMPARED = ("prune_heads", "compress", "prune_cofi")
"""Verbs whose models are compared with those of Fisher pruning."""
SCORED = (*COMPARED, "quantize")
"""And those whose scores stand beside them."""
NO_DEFAULT = "none of the default setting"
NO_JOINT = "none with all kinds of attention ranked together"
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
            Part("fig5", "head_dynamics", fig5.draw, of_paper=False),
            Part("table4", "time_inference", table4.draw),
        ),
        paper="michel",
        command="make reproduce-michel",
    ),
    Chapter(
        title="Michel et al. 2019 (translation)",
        parts=(
            Part("fig1a", "ablate_heads", partial(fig1b.draw, name="fig1a")),
            Part("table1", "ablate_heads", table1.draw),
            Part("table2", "ablate_heads", table2.draw),
            Part("fig2a", "transfer", partial(fig2b.draw, name="fig2a"), overrides="second={task}"),
            Part("fig3a", "prune_heads", partial(fig3b.draw, name="fig3a"), NO_JOINT),
            Part("kept_heads", "prune_heads", kept_heads.draw, NO_JOINT),
            Part("order_agreement", "prune_heads", order_agreement.draw, "only one order"),
            Part("fig4", "prune_heads", fig4.draw, "no single kind of attention"),
            Part("fig5", "head_dynamics", fig5.draw),
            Part("decoding", "time_decoding", decoding.draw, of_paper=False),
        ),
        paper="translation",
        command="make reproduce-michel",
        translation=True,
        usual=Setting("marian-small", "scratch", "multi30k", "small"),
    ),
    Chapter(
        title="Kwon et al. 2022",
        parts=(
            Part("kwon_macs", "prune_fisher", macs.draw, one_run=False),
            Part("kwon_latency", "prune_fisher", latency.draw, "no measured latency", one_run=False),
            Part("kwon_budgets", "prune_fisher", budgets.draw),
            Part("kwon_stages", "prune_fisher", stages.draw),
            Part(
                "kwon_calibration",
                "prune_fisher",
                calibration.draw,
                "no sweep of calibration_examples",
                one_run=False,
            ),
            Part("kwon_scores", "prune_fisher", comparisons.draw_scores, "only one score", one_run=False),
            Part("kwon_variants", "prune_fisher", comparisons.draw_variants, "only one variant", one_run=False),
            Part("kwon_labels", "prune_fisher", comparisons.draw_labels, "only one kind of labels", one_run=False),
            Part("kwon_seconds", "prune_fisher", seconds.draw, one_run=False),
            Part("kwon_kept", "prune_fisher", kwon_kept.draw),
            Part("kwon_latency_table", "latency_table", latency_table.draw),
        ),
        paper="kwon",
        command="make reproduce-fisher",
        all_tasks=True,
    ),
    Chapter(
        title="Xia et al. 2022",
        parts=(
            Part("cofi_sparsity", "prune_cofi", sparsity.draw, NO_DEFAULT, one_run=False),
            Part("cofi_speed", "prune_cofi", cofi_speed.draw, "no measured latency", one_run=False),
            Part("cofi_baselines", "prune_cofi", baselines.draw, NO_DEFAULT),
            Part("cofi_units", "prune_cofi", units.draw, "only one set of units"),
            Part("cofi_distillation", "prune_cofi", distillation.draw, "only one kind of distillation"),
            Part("cofi_kept", "prune_cofi", cofi_kept.draw, NO_DEFAULT),
            Part("cofi_training", "prune_cofi", training.draw),
        ),
        paper="cofi",
        command="make reproduce-cofi",
        all_tasks=True,
    ),
    Chapter(
        title="Zafrir et al. 2019 (Q8BERT)",
        parts=(
            Part("quantized", "quantize", quantized.draw, of_paper=False),
            Part("sizes", "quantize", table.draw, of_paper=False),
        ),
        paper="quantization",
        all_tasks=True,
    ),
    Chapter(
        title="Methods against one another",
        parts=(
            Part(
                "ranks",
                "compress",
                ranks.draw,
                "no two methods to the same budget",
                one_run=False,
                of_paper=False,
                beside=("prune_heads", "prune_cofi"),
            ),
        ),
        paper="methods",
        all_tasks=True,
    ),
    Chapter(
        title="All methods",
        parts=(
            Part("compare", "prune_fisher", figure.draw, one_run=False, beside=SCORED),
            Part("paired", "prune_fisher", paired_table.draw, one_run=False, beside=SCORED),
            Part("served", "prune_fisher", served.draw_methods, one_run=False, beside=COMPARED),
        ),
        all_tasks=True,
    ),
    Chapter(
        title="Benchmarks",
        parts=(
            Part("benchmark", "benchmark", benchmarks.draw, of_paper=False),
        ),
        paper="speed",
        one_table=True,
        translation=None,
    ),
    Chapter(
        title="Runtimes",
        parts=(
            Part("runtimes", "time_inference", served.draw_heads),
        ),
        one_table=True,
        translation=None,
    ),
)

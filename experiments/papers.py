"""Which runs reproduce a paper, in its order, and the Makefile target that starts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prunekit.cofi import STRUCTURES
from prunekit.config.scale import ScaleConfig

Step = tuple[str, list[str]]
"""A verb and its overrides."""


TRANSLATION_KINDS = ("enc-enc", "enc-dec", "dec-dec")


def michel(scale: ScaleConfig) -> Iterator[Step]:
    """Heads: ablation, transfer, pruning curves, speed."""
    for teacher in scale.teacher_seeds:
        yield "finetune", [f"train.seed={teacher}"]
    yield "ablate_heads", ["experiment=michel_fig1b"]
    yield "transfer", ["experiment=michel_fig2b"]
    for teacher in scale.teacher_seeds:
        for order in ("importance", "importance_released", "importance_stepwise", "oracle", "magnitude"):
            yield "prune_heads", ["experiment=michel_fig3b", f"order={order}", f"train.seed={teacher}"]
    for number, seed in enumerate(scale.random_seeds):  # the random orders are spread over the teachers
        teacher = scale.teacher_seeds[number % len(scale.teacher_seeds)]
        yield "prune_heads", ["experiment=michel_fig3b", "order=random", f"seed={seed}", f"train.seed={teacher}"]
    yield "time_inference", ["experiment=michel_table4"]
    if scale.translation:
        yield from michel_translation(scale)


def michel_translation(scale: ScaleConfig) -> Iterator[Step]:
    """The same for an encoder-decoder: ablation, transfer, curves of all kinds together and each alone, dynamics."""
    on = scale.translation
    if not any(text.startswith("teacher=") for text in on):
        yield "finetune", on
    yield "ablate_heads", ["experiment=michel_fig1a", *on]
    yield "transfer", ["experiment=michel_fig2a", *on, f"second={scale.second_translation}"]
    orders = [["order=importance"], ["order=oracle"]]
    orders += [["order=random", f"seed={seed}"] for seed in scale.translation_seeds]
    for order in orders:
        yield "prune_heads", ["experiment=michel_fig3a", *on, *order]
    for kind in TRANSLATION_KINDS:
        for order in orders[:1] + orders[2:3]:
            yield "prune_heads", ["experiment=michel_fig4", *on, f"kinds=[{kind}]", *order]
    if scale.dynamics:
        yield "head_dynamics", ["experiment=michel_fig5", *scale.dynamics]


def kwon(scale: ScaleConfig) -> Iterator[Step]:
    """Heads and neurons without training: all tasks to all budgets, then the comparisons on the first of them."""
    tasks = [[f"task={task}"] for task in scale.tasks] or [[]]
    for task in tasks:
        for seed in scale.calibration_seeds:
            for constraint in scale.constraints:
                yield "prune_fisher", ["experiment=kwon_macs", *task, f"constraint={constraint}", f"seed={seed}"]
    task = tasks[0]
    yield "latency_table", ["experiment=kwon_latency_table", *task]
    for constraint in scale.constraints:
        yield "prune_fisher", ["experiment=kwon_latency", *task, f"constraint={constraint}"]
    for constraint in scale.compared_constraints:
        for score in ("importance", "magnitude", "random"):
            yield "prune_fisher", ["experiment=kwon_scores", *task, f"constraint={constraint}", f"score={score}"]
        yield "prune_fisher", ["experiment=kwon_labels", *task, f"constraint={constraint}", "labels=predicted"]
        yield "prune_fisher", ["experiment=kwon_variants", *task, f"constraint={constraint}", "variant=released"]
    for size in scale.calibration_sizes:
        for seed in scale.calibration_seeds:
            size_and_seed = [f"calibration_examples={size}", f"seed={seed}"]
            yield "prune_fisher", ["experiment=kwon_calibration", *task, *size_and_seed]


ABLATIONS = {
    "no_hidden": ["experiment=cofi_units", "units=[layers,heads,neurons]"],
    "no_layers": ["experiment=cofi_units", "units=[hidden,heads,neurons]"],
    "no_layers_no_hidden": ["experiment=cofi_units", "units=[heads,neurons]"],
    "heads_alone": ["experiment=cofi_units", "units=[heads]", "sparsity=0.3"],
    "neurons_alone": ["experiment=cofi_units", "units=[neurons]", "sparsity=0.6"],
    "no_distillation": ["experiment=cofi_distillation", "learn_from=labels", "matching=none"],
    "predictions_alone": ["experiment=cofi_distillation", "matching=none"],
    "layers_alone": ["experiment=cofi_distillation", "learn_from=labels"],
    "fixed_layers": ["experiment=cofi_distillation", "matching=fixed"],
}
"""Of CoFi: units without gates (Table 4), parts of the distillation left out (Table 5)."""


def cofi(scale: ScaleConfig) -> Iterator[Step]:
    """Layers, heads, neurons, hidden dimensions: tasks and sparsities, seeds, baselines, ablations."""

    def on(task: str) -> list[str]:
        return [f"task={task}"] if task else []

    for task, sparsities in (scale.sparsities or {"": [scale.compared_sparsity]}).items():
        for sparsity in sparsities:
            yield "prune_cofi", ["experiment=cofi_sparsity", *on(task), f"sparsity={sparsity}"]
    compared = f"sparsity={scale.compared_sparsity}"
    for seed in scale.student_seeds[1:]:
        yield "prune_cofi", ["experiment=cofi_sparsity", *on(scale.ablation_task), compared, f"seed={seed}"]
    for structure in STRUCTURES[1:]:
        own = ["experiment=cofi_baselines", *on(scale.baseline_task), compared, f"structure={structure}"]
        yield "prune_cofi", own
    for name in scale.ablations:
        own = ABLATIONS[name]
        at = [] if any(text.startswith("sparsity=") for text in own) else [compared]
        yield "prune_cofi", [*own, *on(scale.ablation_task), *at]


@dataclass(frozen=True)
class Paper:
    """A paper as `reproduce` knows it."""

    title: str
    target: str
    """Of the Makefile."""
    runs: Callable[[ScaleConfig], Iterator[Step]]


PAPERS = {
    "michel": Paper("Michel et al. 2019", "reproduce-michel", michel),
    "kwon": Paper("Kwon et al. 2022", "reproduce-fisher", kwon),
    "cofi": Paper("Xia et al. 2022 (CoFi)", "reproduce-cofi", cofi),
}

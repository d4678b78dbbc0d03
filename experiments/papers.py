"""Which runs reproduce a paper, in its order, and the Makefile target that starts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prunekit.config import ScaleConfig

Step = tuple[str, list[str]]
"""A verb and its overrides."""


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
}

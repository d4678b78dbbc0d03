"""How often a run takes each step that is measured (:mod:`experiments.estimates.steps`), by its settings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from experiments.estimates.split_rows import sampled_rows
from prunekit.cofi.student_run import CALIBRATION
from prunekit.config.choices import NEED_GRADIENTS
from prunekit.config.sections import Settings
from prunekit.config.task import TaskConfig
from prunekit.evaluation.speed import rounds
from prunekit.heads.schedule import grid
from prunekit.models.layout import Layout

UNCOUNTED = 2
"""Rounds before those that are timed."""


@dataclass(frozen=True)
class Work:
    """A step or row, and how many."""

    step: str
    units: float
    once: str = ""
    """What several runs share, so that the first of them does it for all; empty for what each does."""


def work_of(verb: str, config: Any, layout: Layout) -> list[Work]:
    """All work of a run, with that of its teacher.

    Args:
        verb: one of :data:`WORK`.
        layout: of the model that is not pruned.
    """
    own = [*WORK[verb](config, layout)]
    if verb == "finetune" or config.teacher is not None or verb == "latency_table":  # which measures any weights
        return own
    return [*finetuning(config, layout), *own]


def seconds_of(work: Iterable[Work], seconds: Mapping[str, float], done: set[tuple[str, str]]) -> float:
    """Of a run, from the seconds of each step.

    Args:
        done: what runs before have done and this one shares; it grows.
    """
    total = 0.0
    for part in work:
        if (part.once, part.step) not in done:
            total += part.units * seconds[part.step]
        if part.once:
            done.add((part.once, part.step))
    return total


def finetuning(config: Settings, _layout: Layout) -> Iterator[Work]:
    """Of a teacher; once, whoever needs it."""
    task, how, once = config.task, config.train, teacher_of(config)
    rows = sampled_rows(task, task.train, how.examples)
    tested = sampled_rows(task, task.evaluation, how.evaluation_examples)
    if how.keep == "best":
        rows = max(1, rows - how.held_out)
        yield Work("row of evaluation", how.epochs * how.held_out, f"judge {once}")
    yield Work("step of training", how.epochs * math.ceil(rows / how.batch_size), once)
    yield Work("row of evaluation", tested, once)


def teacher_of(config: Any) -> str:
    """What tells a teacher from others."""
    if getattr(config, "teacher", None) is not None:
        return str(config.teacher)
    return json.dumps([asdict(section) for section in (config.model, config.task, config.train)], sort_keys=True)


def _evaluated(config: Any) -> int:
    return sampled_rows(config.task, config.task.evaluation, config.evaluation.examples)


def _dense(config: Any) -> Work:
    """The score of the whole model, which all runs on the same rows share."""
    rows = _evaluated(config)
    return Work("row of evaluation", rows, f"dense on {rows} of {teacher_of(config)}")


def _ablation(config: Any, layout: Layout, task: TaskConfig, split: str, rows: int, mode: str) -> Work:
    """Every head once; of translation every head is one more translation of all rows."""
    once = f"{mode} on {rows} of {task.name} {split} by {teacher_of(config)}"
    if task.translation:
        return Work("row of evaluation", rows * layout.heads, once)
    return Work("row of ablation", rows / 2, once)  # a measured row is ablated in both modes


def _ablate_heads(config: Any, layout: Layout) -> Iterator[Work]:
    task = config.task
    for mode in ("one_off", "all_but_one"):
        yield _ablation(config, layout, task, task.evaluation, _evaluated(config), mode)
    if config.selection_examples:
        split = task.selection or task.train
        rows = sampled_rows(task, split, config.selection_examples)
        yield _ablation(config, layout, task, split, rows, "all_but_one")


def _transfer(config: Any, layout: Layout) -> Iterator[Work]:
    for task in (config.task, config.second):
        rows = sampled_rows(task, task.evaluation, config.evaluation.examples)
        yield _ablation(config, layout, task, task.evaluation, rows, "one_off")


def _prune_heads(config: Any, layout: Layout) -> Iterator[Work]:
    points = len(grid(config.grid)) if getattr(config, "share", None) is None else 2
    yield from _curve(config, layout, points)
    if getattr(config, "retrain_steps", 0):
        yield Work("step of training", points * config.retrain_steps)


def _curve(config: Any, layout: Layout, points: int) -> Iterator[Work]:
    """As if no point were faster than the whole model."""
    yield Work("row of evaluation", points * _evaluated(config))
    if config.order == "oracle":
        yield _ablation(config, layout, config.task, config.task.evaluation, _evaluated(config), "one_off")
    elif config.order.startswith("importance"):
        rows = sampled_rows(config.task, config.task.train, config.importance_examples)
        yield Work("row of importance", rows * (points if config.stepwise else 1))


def _head_dynamics(config: Any, layout: Layout) -> Iterator[Work]:
    for _ in config.train.snapshots:
        yield from _curve(config, layout, len(grid(config.grid)))


def _passes(task: TaskConfig, shapes: Iterable[tuple[int, int]], repeats: int, models: int, tokens: int) -> Work:
    """Timed passes of so many models over inputs of (rows, tokens), in rows of the task's longest length.

    Args:
        tokens: of inputs below which there are more rounds.
    """
    rows = sum(
        models * (UNCOUNTED + rounds(repeats, size, length, tokens)) * size * length / task.max_length
        for size, length in shapes
    )
    return Work("row of evaluation", rows)


def _time_inference(config: Any, _layout: Layout) -> Iterator[Work]:
    yield Work("row of importance", sampled_rows(config.task, config.task.train, config.importance_examples))
    lengths = [*config.lengths, *([config.task.max_length] if config.mean_length else [])]
    shapes = [(size, length) for size in config.batch_sizes for length in lengths]
    yield _passes(config.task, shapes, config.repeats, models=3, tokens=4096)


def _latency_table(config: Any, layout: Layout) -> Iterator[Work]:
    length = config.length or config.task.max_length
    yield _table(config, layout, config.batch_size, length, config.stride, config.repeats)


def _table(config: Any, layout: Layout, batch_size: int, length: int, stride: int = 32, repeats: int = 5) -> Work:
    """Of one layer by heads and by neurons; a width takes half of what all units take, on average."""
    widths = max(shape.heads for shape in layout.attention) + max(shape.neurons for shape in layout.ffn) / stride
    passes = _passes(config.task, [(batch_size, length)], repeats, models=1, tokens=4096)
    once = f"table of {config.model.name}, {batch_size}, {length}"
    return Work("row of evaluation", passes.units * widths / 2 / len(layout.ffn), once)


def _prune_fisher(config: Any, layout: Layout) -> Iterator[Work]:
    task, rows = config.task, sampled_rows(config.task, config.task.train, config.calibration_examples)
    drawn = f"{rows}, {config.seed}, {config.labels}, {config.variant == 'released'} of {teacher_of(config)}"
    if config.score in NEED_GRADIENTS:
        yield Work("row of gradients", rows, drawn)
    if config.tune:
        yield Work("row of tuning", rows)
    yield _dense(config)
    yield Work("row of evaluation", (1 + bool(config.rearrange) + bool(config.tune)) * _evaluated(config))
    if config.budget == "latency":
        yield _table(config, layout, config.batch_sizes[-1], task.max_length)
    shapes = [(size, task.max_length) for size in config.batch_sizes]
    yield _passes(task, shapes, config.repeats, models=2, tokens=512)


def _prune_cofi(config: Any, _layout: Layout) -> Iterator[Work]:
    """As if what was pruned took as long as the whole student."""
    task, how = config.task, config.student
    rows = judged = sampled_rows(task, task.train, config.train.examples)
    if how.select_on == "train_slice":
        judged = min(how.held_out, rows - 1)
        rows -= judged
    else:
        judged = _evaluated(config)
    learned = config.structure in ("learned", "random")
    warm_up = json.dumps([config.recipe.warm_up(), rows, teacher_of(config)], sort_keys=True) if learned else ""
    yield Work("step of CoFi", how.steps(rows, how.distil_epochs), warm_up)
    later = how.steps(rows, how.prune_epochs + how.finetune_epochs)
    yield Work("step of CoFi", later)
    yield Work("row of evaluation", later // how.evaluate_every * judged)
    if config.structure in NEED_GRADIENTS:
        yield Work("row of gradients", min(CALIBRATION, rows))
    yield _dense(config)
    yield Work("row of evaluation", _evaluated(config))
    shapes = [(size, config.length) for size in config.batch_sizes]
    yield _passes(task, shapes, config.repeats, models=2, tokens=512)


WORK: dict[str, Callable[[Any, Layout], Iterator[Work]]] = {
    "finetune": finetuning, "ablate_heads": _ablate_heads, "transfer": _transfer, "prune_heads": _prune_heads,
    "head_dynamics": _head_dynamics, "time_inference": _time_inference, "latency_table": _latency_table,
    "prune_fisher": _prune_fisher, "prune_cofi": _prune_cofi,
}  # fmt: skip
"""By verb: those that the papers' presets use."""

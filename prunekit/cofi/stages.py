"""One stage of a training that has several: batches, steps of some optimisers, the best state, exact resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import Tensor, nn

from prunekit.data.batches import Batch, Examples, to_device, training_order
from prunekit.training.loop import check_finite
from prunekit.training.state import load_modules, load_state, save_modules, save_state

LOG_EVERY = 20
"""Steps between two logged lines."""


@dataclass
class Stage:
    """What is trained, and how a step's loss comes about."""

    name: str
    epochs: int
    batch_size: int
    modules: dict[str, nn.Module]
    """Whose weights are saved, by name."""
    optimizers: dict[str, torch.optim.Optimizer]
    loss: Callable[[Batch, int], tuple[Tensor, dict[str, Tensor]]]
    """From a batch and the step, 0-based, to the loss and what is logged of it: numbers, averaged over steps."""
    clipped: list[nn.Parameter]
    """Whose gradients are clipped together."""
    before_step: Callable[[int, int], None] = lambda step, total: None
    """Called with the step and their number."""
    after_step: Callable[[], None] = lambda: None
    evaluate_every: int = 500
    score: Callable[[], float | None] | None = None
    """Of the weights as they are, higher is better; None where they may not be chosen."""
    max_grad_norm: float = 1.0
    notes: Callable[[], dict[str, Any]] = dict
    """Of the last step, logged as they are."""
    shared: bool = False
    """Other trainings take over what comes of it, and what was logged on the way."""

    def steps(self, examples: Examples) -> int:
        return self.epochs * math.ceil(len(examples) / self.batch_size)


@dataclass
class Progress:
    """Where a stage stands."""

    step: int = 0
    best: float | None = None
    """Score of the best weights so far; None until there were some to choose."""
    best_step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    """Logged lines with their ``step``, of a shared stage only."""


@dataclass(frozen=True)
class Surroundings:
    """What all stages of a training share."""

    examples: Examples
    device: torch.device
    folder: Path
    seed: int
    identity: Mapping[str, str]
    """Of the training, for its checkpoints."""
    cache: Path | None = None
    """Folder of runs in whose cache shared stages are; None keeps them with the others."""
    checkpoint_seconds: float = 60.0
    on_log: Callable[[int, dict[str, Any]], None] = lambda step, values: None
    on_resume: Callable[[int], None] = lambda step: None
    on_step: Callable[[int], None] = lambda steps: None


def run(stage: Stage, around: Surroundings, offset: int) -> Progress:
    """Train a stage, or what is left of it; in the end its modules have the best weights, if there were any to choose.

    Processes that share a stage wait for each other.

    Args:
        offset: steps of the stages before; logged steps go on from there.

    Raises:
        UserError: a loss that is not finite, a checkpoint that is damaged or of another training.
    """
    around.folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(around.folder / f"{stage.name}.lock") if stage.shared else nullcontext():
        return _run(stage, around, offset)


def _run(stage: Stage, around: Surroundings, offset: int) -> Progress:
    total, per_epoch = stage.steps(around.examples), math.ceil(len(around.examples) / stage.batch_size)
    checkpoint = around.folder / f"{stage.name}.safetensors"
    best = around.folder / f"{stage.name}-best.safetensors"
    identity = {**around.identity, "stage": stage.name, "total": str(total)}
    torch.manual_seed(around.seed + 1 + offset)
    state = Progress()
    if checkpoint.exists():
        state = Progress(**json.loads(load_state(checkpoint, stage.modules, stage.optimizers, identity)))
    around.on_step(state.step)
    if state.step < total:
        around.on_resume(offset + state.step)
    for line in state.history:
        around.on_log(line["step"], {name: value for name, value in line.items() if name != "step"})

    def save() -> None:
        optimizers = stage.optimizers if state.step < total else {}  # what is done needs no moments
        save_state(checkpoint, stage.modules, optimizers, identity, json.dumps(vars(state)))

    def log(values: dict[str, Any]) -> None:
        step, values = offset + state.step, {**values, **stage.notes(), "stage": stage.name}
        around.on_log(step, values)
        if stage.shared:
            state.history.append({"step": step, **values})

    logged: list[dict[str, Tensor]] = []
    saved = time.monotonic()
    for epoch in range(state.step // per_epoch, stage.epochs):
        order = training_order(around.examples, stage.batch_size, around.seed, epoch)
        for indices in order[state.step - epoch * per_epoch :]:
            stage.before_step(state.step, total)
            loss, values = stage.loss(to_device(around.examples.batch(indices), around.device), state.step)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(stage.clipped, stage.max_grad_norm)
            for optimizer in stage.optimizers.values():
                optimizer.step()
                optimizer.zero_grad()
            stage.after_step()
            state.step += 1
            around.on_step(1)
            logged.append({"loss": loss.detach(), **values})
            if state.step % LOG_EVERY == 0 or state.step == total:
                found = _means(logged, offset + state.step, checkpoint)
                logged = []
                if stage.score is not None and (state.step % stage.evaluate_every < LOG_EVERY or state.step == total):
                    score = stage.score()
                    if score is not None:
                        found["score"] = score
                        if state.best is None or score > state.best:
                            state.best, state.best_step = score, state.step
                            save_modules(best, stage.modules)
                log(found)
                if time.monotonic() - saved >= around.checkpoint_seconds or state.step == total:
                    save()
                    saved = time.monotonic()
    if best.exists():
        load_modules(best, stage.modules)
    return state


def _means(logged: list[dict[str, Tensor]], step: int, checkpoint: Path) -> dict[str, Any]:
    """The mean of every number over some steps; one transfer for all of them."""
    names = list(logged[0])
    values = torch.stack([torch.stack([line[name].double() for name in names]) for line in logged]).cpu()
    check_finite(values[:, 0], step, checkpoint, "train", "student.learning_rate")
    return dict(zip(names, values.mean(0).tolist(), strict=True))

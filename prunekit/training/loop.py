"""The one training loop: batches of similar length, steps of some optimisers, the best weights, exact resume.

What is trained is a :class:`Stage`, where that happens is a :class:`Context`; fine-tuning of a teacher, every stage of
CoFi and the short retraining between pruning steps are stages.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit.data.batches import Batch, Examples, to_device, training_order
from prunekit.support.errors import UserError
from prunekit.training import processes
from prunekit.training.state import changed_inputs, load_modules, load_state, save_modules, save_state

log = logging.getLogger(__name__)

Values = dict[str, Tensor]
"""Numbers of a step that are logged beside its loss, () each."""
Loss = Callable[[Batch, int], tuple[Tensor, Values]]
"""From a batch and the step, 0-based, to the loss, (), and what is logged of it."""


@dataclass(kw_only=True)
class Stage:
    """What is trained, and how a step's loss comes about."""

    name: str
    steps: int
    """Of the whole stage; the data is gone through again and again for so many."""
    batch_size: int
    seed: int
    """Of the order of the data."""
    random_seed: int
    """Of dropout, and of whatever else is drawn."""
    modules: Mapping[str, nn.Module]
    """Whose weights are saved, by name."""
    optimizers: Mapping[str, torch.optim.Optimizer]
    loss: Loss
    clipped: list[nn.Parameter] = field(default_factory=list)
    """Whose gradients are clipped together."""
    max_grad_norm: float = 1.0
    before_step: Callable[[int, int], None] = lambda step, total: None
    """Called with the step and their number; sets learning rates."""
    after_step: Callable[[], None] = lambda: None
    after_epoch: Callable[[int], None] = lambda epoch: None
    """Told each epoch that is done, from 1, before its checkpoint; in the first process only."""
    log_every: int = 50
    """Steps between two logged lines; the last step is logged, too."""
    evaluate_every: int | None = None
    """Steps between two scores, taken at the next logged line; None: at the end of each epoch, which is then logged
    and saved as well."""
    score: Callable[[], float | None] | None = None
    """Of the weights as they are, higher is better; None where they may not be chosen."""
    logs_score: bool = True
    notes: Callable[[int], dict[str, Any]] = lambda step: {}
    """Of the last of so many steps, logged as they are."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """What tells its checkpoints from those of the training's other stages."""
    first_step: int = 0
    """Steps of the stages before; logged steps go on from there."""
    shared: bool = False
    """Other trainings take over what comes of it, and what was logged on the way."""
    checkpoint: str = "checkpoint.safetensors"
    """Name of its file."""
    best: str = "best.safetensors"
    """Name of the file of the best weights."""
    lower: str = "the learning rate"
    """What to lower where the loss is not finite."""

    def ends_epoch(self, step: int, per_epoch: int) -> bool:
        """Whether an epoch that is judged for itself ends after so many steps."""
        return self.evaluate_every is None and step % per_epoch == 0

    def is_scored(self, step: int, per_epoch: int) -> bool:
        """Whether the weights are judged after so many steps, of which a line is logged."""
        if self.evaluate_every is None:
            return self.ends_epoch(step, per_epoch)
        return step % self.evaluate_every < self.log_every or step == self.steps


@dataclass
class StageState:
    """Where a stage stands: all of it that is not in weights, optimisers or the random state."""

    step: int = 0
    best: float | None = None
    """Score of the best weights so far; None until there were some to choose."""
    best_step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    """Logged lines with their ``step``, of a shared stage only."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all stages of a training share: data, place, and who is told how it goes."""

    examples: Examples
    device: torch.device
    folder: Path | None = None
    """Of checkpoints and best weights; None keeps none."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """Of the training, for its checkpoints."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of what it is trained on, by name; on other contents it starts anew."""
    checkpoint_seconds: float = 60.0
    """Least time between two checkpoints within an epoch or a stage."""
    on_log: Callable[[int, dict[str, Any]], None] = lambda step, values: None
    on_resume: Callable[[int], None] = lambda step: None
    """Told the step that a stage goes on from (its first one for a new one), unless there is nothing left to do."""
    on_step: Callable[[int], None] = lambda steps: None


def linear_decay(optimizer: torch.optim.Optimizer, rate: float) -> Callable[[int, int], None]:
    """To be called before each step with the step and their number: lets the learning rate fall from ``rate`` to 0."""

    def set_rate(step: int, total: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate * (total - step) / total

    return set_rate


def run(stage: Stage, context: Context) -> StageState:
    """Train a stage, or what is left of it; in the end its modules have the best weights, if there were any to choose.

    Where several processes have :func:`prunekit.training.processes.joined`, each calls this, batches are shared out,
    and the first one writes.

    Raises:
        UserError: a loss that is not finite (names the step and the last checkpoint), a checkpoint that is damaged or
            of another training.
    """
    if context.folder is not None:
        context.folder.mkdir(parents=True, exist_ok=True)
    return StageRun(stage, context).finish()


class StageRun:
    """A stage on its way."""

    def __init__(self, stage: Stage, context: Context) -> None:
        self.stage, self.context = stage, context
        self.per_epoch = math.ceil(len(context.examples) / stage.batch_size)
        self.first, self.several = processes.rank() == 0, processes.count() > 1
        self.checkpoint = None if context.folder is None else context.folder / stage.checkpoint
        self.best = None if context.folder is None else context.folder / stage.best
        self.identity = {**context.identity, **stage.identity, "total": str(stage.steps)}
        self.state = StageState()
        torch.manual_seed(stage.random_seed)
        if self.checkpoint is not None and self.checkpoint.exists() and not self._starts_anew():
            found = load_state(self.checkpoint, stage.modules, stage.optimizers, self.identity)
            self.state = StageState(**json.loads(found))
            if self.state.best == -math.inf:  # as written before there were stages
                self.state.best = None
        context.on_step(self.state.step)
        if self.state.step < stage.steps:
            context.on_resume(stage.first_step + self.state.step)
        for line in self.state.history:
            context.on_log(line["step"], {name: value for name, value in line.items() if name != "step"})

    def _starts_anew(self) -> bool:
        """Whether the checkpoint is of other input, and is left for that; says so."""
        assert self.checkpoint is not None
        changed = changed_inputs(self.checkpoint, self.context.inputs)
        if changed and self.first:
            names = " and ".join(changed)
            log.warning("%s: not gone on with, its %s had another content; training anew", self.checkpoint, names)
        return bool(changed)

    def finish(self) -> StageState:
        """All steps that are left."""
        stage, state, examples = self.stage, self.state, self.context.examples
        lines: list[Values] = []
        saved = time.monotonic()
        order = None
        while state.step < stage.steps:
            epoch, place = divmod(state.step, self.per_epoch)
            if order is None or place == 0:
                order = training_order(examples, stage.batch_size, stage.seed, epoch)
            lines.append(self.step(order[place]))
            ends = stage.ends_epoch(state.step, self.per_epoch)
            if ends or state.step % stage.log_every == 0 or state.step == stage.steps:
                self._log(lines, ends)
                lines = []
                # only here: what was averaged before a checkpoint must not be averaged again after it
                due = time.monotonic() - saved >= self.context.checkpoint_seconds
                if ends or due or state.step == stage.steps:
                    self._save()
                    saved = time.monotonic()
        if self.best is not None and state.best is not None and self.first:
            load_modules(self.best, stage.modules)
        return state

    def step(self, indices: np.ndarray) -> Values:
        """One step of all optimisers on the examples at ``indices``, (example,); what is logged of it."""
        stage, state, examples = self.stage, self.state, self.context.examples
        stage.before_step(state.step, stage.steps)
        weight = 1.0
        if self.several:
            processes.seed_step(stage.random_seed, state.step)
            indices, weight = processes.share(indices, examples.loss_terms)
        loss, values = stage.loss(to_device(examples.batch(indices), self.context.device), state.step)
        loss = weight * loss
        loss.backward()
        if stage.clipped:
            torch.nn.utils.clip_grad_norm_(stage.clipped, stage.max_grad_norm)
        for optimizer in stage.optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
        stage.after_step()
        state.step += 1
        self.context.on_step(1)
        return {"loss": loss.detach(), **values}

    def _log(self, lines: list[Values], ends_epoch: bool) -> None:
        """Log the means of some steps; judge the weights where it is time."""
        stage, state = self.stage, self.state
        means = self._means(lines)
        if ends_epoch and self.first:
            stage.after_epoch(state.step // self.per_epoch)
        if stage.score is not None and stage.is_scored(state.step, self.per_epoch):
            score = stage.score()
            if score is not None:
                if stage.logs_score:
                    means["score"] = score
                if state.best is None or math.isnan(state.best) or score > state.best:
                    state.best, state.best_step = score, state.step
                    if self.best is not None and self.first:
                        save_modules(self.best, stage.modules)
        step, values = stage.first_step + state.step, {**means, **stage.notes(state.step)}
        self.context.on_log(step, values)
        if stage.shared:
            state.history.append({"step": step, **values})

    def _save(self) -> None:
        if self.checkpoint is not None and self.first:
            stage, done = self.stage, self.state.step == self.stage.steps
            optimizers = {} if done else stage.optimizers  # what is done needs no moments
            progress = json.dumps(vars(self.state))
            save_state(self.checkpoint, stage.modules, optimizers, self.identity, progress, self.context.inputs)

    def _means(self, lines: list[Values]) -> dict[str, Any]:
        """The mean of every number over some steps and all processes; one transfer for all of them."""
        names = list(lines[0])
        columns = [processes.mean(torch.stack([line[name] for line in lines])).double() for name in names]
        values = torch.stack(columns, 1).cpu()
        self._check_finite(values[:, 0])
        return dict(zip(names, values.mean(0).tolist(), strict=True))

    def _check_finite(self, losses: Tensor) -> None:
        """Refuse losses, (step,), of the last steps of which one is not finite."""
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            step = self.stage.first_step + self.state.step - len(losses) + int(bad[0]) + 1
            last = "there is no checkpoint yet"
            if self.checkpoint is not None and self.checkpoint.exists():
                last = f"the last good checkpoint is {self.checkpoint}"
            lower = self.stage.lower
            raise UserError(f"train: the loss is {losses[bad[0]].item()} at step {step}, {last}; lower {lower}")

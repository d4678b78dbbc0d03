"""The one training loop: length-bucketed batches, checkpoints, exact resume.

The recipe is that of Devlin et al. 2019 (Appendix A.3), which Michel et al. 2019 use: AdamW, linear warm-up and
decay, gradient clipping. (The original optimiser left out Adam's bias correction; ours has it.)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from prunekit.config.sections import TrainConfig
from prunekit.data.batches import Batch, Examples, model_inputs, to_device, training_order
from prunekit.data.losses import training_loss
from prunekit.models.blocks import set_probability_dropout
from prunekit.support.devices import autocast
from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path
from prunekit.training import processes
from prunekit.training.state import load_state, save_state, tensors_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOG_EVERY = 50
"""Steps between two logged losses."""


@dataclass
class Progress:
    """Where a training stands: all of it that is not in the weights, the optimiser or the random state."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0


Callback = Callable[[int, dict[str, float]], None]


@contextmanager
def quick_attention(model: PreTrainedModel, device: torch.device, precision: str) -> Iterator[None]:
    """Eager attention while an encoder-decoder trains in bfloat16 on a CPU.

    There the fused attention's backward pass takes six times as long in bfloat16 as in float32: a step on Multi30k is
    1.4 times faster without it. Encoders keep it, as the logged teachers were trained.
    """
    own = model.config._attn_implementation
    slow = device.type == "cpu" and precision == "bfloat16" and model.config.is_encoder_decoder
    if slow:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if slow:
            model.set_attn_implementation(own)


def steps_in(examples: int, config: TrainConfig) -> int:
    """Optimiser steps of a training."""
    return config.epochs * math.ceil(examples / config.batch_size)


def train(
    model: PreTrainedModel,
    examples: Examples,
    config: TrainConfig,
    *,
    device: torch.device,
    folder: Path,
    checkpoint_seconds: float = 30.0,
    on_resume: Callable[[int], None] = lambda step: None,
    on_log: Callback = lambda step, values: None,
    on_step: Callable[[int], None] = lambda steps: None,
    evaluate: Callable[[torch.nn.Module], float] | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> Progress:
    """Train in place, checkpointing into ``folder``; goes on from the checkpoint that is there.

    Where several processes have :func:`prunekit.training.processes.joined`, each calls this, and the first one writes.

    Args:
        evaluate: called after every epoch when ``config.keep`` is ``best``; the weights with the highest value stay.
        on_resume: told the step that the training goes on from (0 for a new one).
        on_epoch: told each epoch that is done, from 1, before its checkpoint; the model is in training mode.

    Raises:
        UserError: the loss is not finite (names the step and the last checkpoint).
    """
    moved: Any = model  # transformers types `to` for devices by number only
    moved.to(device).train()
    if config.attention_dropout is not None:
        set_probability_dropout(model, config.attention_dropout)
    optimizer = _optimizer(model, config)
    per_epoch = math.ceil(len(examples) / config.batch_size)
    total = steps_in(len(examples), config)
    schedule = SCHEDULES[config.schedule]
    torch.manual_seed(config.seed + 1)  # dropout; the seed itself initialised the task head
    checkpoint = folder / "checkpoint.safetensors"
    first = processes.rank() == 0
    state = Progress()
    modules, optimizers = {"model": model}, {"optimizer": optimizer}
    identity = {"config": json.dumps(vars(config), sort_keys=True), "total": str(total)}
    if checkpoint.exists():
        state = Progress(**json.loads(load_state(checkpoint, modules, optimizers, identity)))

    def save() -> None:
        if first:
            save_state(checkpoint, modules, optimizers, identity, json.dumps(vars(state)))

    forward = processes.averaging(model)
    on_resume(state.step)
    on_step(state.step)
    losses: list[torch.Tensor] = []
    saved = time.monotonic()
    for epoch in range(state.step // per_epoch, config.epochs):
        order = training_order(examples, config.batch_size, config.seed, epoch)
        for indices in order[state.step - epoch * per_epoch :]:
            rate = config.learning_rate * schedule(state.step, total, config.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            processes.seed_step(config.seed + 1, state.step)
            own, weight = processes.share(indices, examples.loss_terms)
            batch = to_device(examples.batch(own), device)
            with autocast(device, config.precision):
                output = forward(**teacher_forced(model, batch))
            loss = weight * training_loss(output, batch, config.label_smoothing)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            state.step += 1
            on_step(1)
            if state.step % LOG_EVERY == 0 or state.step % per_epoch == 0:
                mean = _finite_mean(losses, state.step, checkpoint)
                on_log(state.step, {"loss": mean, "learning_rate": rate, "epoch": state.step / per_epoch})
                losses = []
                # only here: what was averaged before a checkpoint must not be averaged again after it
                # an epoch's end is saved once it is judged, or kept as a snapshot
                judged = config.keep == "best" or epoch + 1 in config.snapshots
                pending = judged and state.step % per_epoch == 0
                if time.monotonic() - saved >= checkpoint_seconds and not pending:
                    save()
                    saved = time.monotonic()
        if first:
            on_epoch(epoch + 1)
        if config.keep == "best" and evaluate is not None:
            value = evaluate(model)
            model.train()
            if value > state.best:
                state.best, state.best_step = value, state.step
                if first:
                    with atomic_path(folder / "best.safetensors") as temporary:
                        save_file(tensors_of(model), temporary)
            save()
    if config.keep == "best" and evaluate is not None and first:
        model.load_state_dict(load_file(folder / "best.safetensors"))
    model.eval()
    return state


def _optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    groups = decay_groups(list(model.parameters()), config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=True)


def decay_groups(parameters: list[torch.nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of an optimiser: no weight decay on biases and LayerNorm."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def linear(step: int, total: int, warmup: float) -> float:
    """Linear warm-up over a share of the steps, then linear decay to 0 (a factor of the peak rate)."""
    rising = warmup * total
    return (step + 1) / rising if step + 1 < rising else (total - step) / max(total - rising, 1)


def inverse_sqrt(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then decay with the square root of the step (Vaswani et al. 2017, Sec. 5.3)."""
    rising = max(warmup * total, 1)
    return min((step + 1) / rising, (rising / (step + 1)) ** 0.5)


SCHEDULES = {"linear": linear, "inverse_sqrt": inverse_sqrt}
"""Of the learning rate: from the step (from 0), the number of steps and the share of warm-up."""


def teacher_forced(model: Any, batch: Batch) -> dict[str, Any]:
    """Arguments of a step: a decoder sees the target up to the word that it is to say."""
    if not model.config.is_encoder_decoder:
        return {**model_inputs(batch)}
    shifted = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    return {**model_inputs(batch), "decoder_input_ids": shifted, "use_cache": False}


def _finite_mean(losses: list[torch.Tensor], step: int, checkpoint: Path) -> float:
    values = processes.mean(torch.stack(losses)).double().cpu()  # one transfer for all steps since the last log
    check_finite(values, step, checkpoint, "train", "train.learning_rate")
    return float(values.mean())


def check_finite(losses: torch.Tensor, step: int, checkpoint: Path, what: str, lower: str) -> None:
    """Raise a :class:`UserError` for the first loss that is not finite.

    Args:
        losses: of the steps up to and with ``step``, (step,), on the CPU.
        what: is trained.
        lower: what to lower.
    """
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        where = step - len(losses) + int(bad[0]) + 1
        last = f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "there is no checkpoint yet"
        raise UserError(f"{what}: the loss is {losses[bad[0]].item()} at step {where}, {last}; lower {lower}")


def retrain(
    model: torch.nn.Module, examples: Examples, *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> None:
    """A few steps of plain SGD in place, as the released code of Michel et al. 2019 does between pruning steps."""
    device = next(model.parameters()).device
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    torch.manual_seed(seed)
    model.train()
    losses = []
    for step in range(steps):
        per_epoch = math.ceil(len(examples) / batch_size)
        order = training_order(examples, batch_size, seed, step // per_epoch)
        batch = to_device(examples.batch(order[step % per_epoch]), device)
        loss = training_loss(model(**teacher_forced(model, batch)), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    model.eval()
    if not torch.stack(losses).isfinite().all():
        raise UserError(f"retrain_steps: the loss is not finite; lower retrain_learning_rate ({learning_rate})")

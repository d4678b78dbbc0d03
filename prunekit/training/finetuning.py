"""Fine-tuning on labels: of teachers, and for a few steps between two steps of pruning.

The recipe is that of Devlin et al. 2019 (Appendix A.3), which Michel et al. 2019 use: AdamW, linear warm-up and
decay, gradient clipping. (The original optimiser left out Adam's bias correction; ours has it.)
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.config.sections import TrainConfig
from prunekit.data.batches import Batch, Examples
from prunekit.data.kinds import kind_of
from prunekit.models.blocks import set_attention, set_probability_dropout
from prunekit.models.pretrained import on_device
from prunekit.support.devices import autocast
from prunekit.training import processes
from prunekit.training.loop import Context, Stage, StageState, Values, run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def training_attention(model: PreTrainedModel, device: torch.device, config: TrainConfig) -> Iterator[None]:
    """The attention implementation of a recipe while a model trains; where it names none, eager for an encoder-decoder
    in bfloat16 on a CPU.

    There the fused attention's backward pass takes six times as long in bfloat16 as in float32: a step on Multi30k is
    1.4 times faster without it. Encoders gain 5 to 15 %; they keep theirs unless the recipe says otherwise, as the
    logged teachers were trained.
    """
    own = model.config._attn_implementation
    slow = device.type == "cpu" and config.precision == "bfloat16" and model.config.is_encoder_decoder
    wanted = config.attention or ("eager" if slow else own)
    if wanted != own:
        set_attention(model, wanted)
    try:
        yield
    finally:
        if wanted != own:
            set_attention(model, own)


def steps_in(examples: int, config: TrainConfig) -> int:
    """Optimiser steps of a training."""
    return config.epochs * math.ceil(examples / config.batch_size)


def train(
    model: PreTrainedModel,
    config: TrainConfig,
    context: Context,
    *,
    evaluate: Callable[[PreTrainedModel], float] | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> StageState:
    """Train in place; the model is in eval mode afterwards.

    Args:
        evaluate: called after every epoch when ``config.keep`` is ``best``; the weights with the highest value stay.
        on_epoch: told each epoch that is done, from 1; the model is in training mode.

    Raises:
        UserError: as :func:`prunekit.training.loop.run`.
    """
    on_device(model, context.device).train()
    if config.attention_dropout is not None:
        set_probability_dropout(model, config.attention_dropout)
    identity = {**context.identity, "config": json.dumps(vars(config), sort_keys=True)}
    stage = _finetuning(model, config, context.examples)
    stage.after_epoch = on_epoch
    if config.keep == "best" and evaluate is not None:
        judge = evaluate

        def score() -> float:
            value = judge(model)
            model.train()
            return value

        stage.score = score
    state = run(stage, dataclasses.replace(context, identity=identity))
    model.eval()
    return state


def _finetuning(model: PreTrainedModel, config: TrainConfig, examples: Examples) -> Stage:
    kind = kind_of(examples.rows.task)
    groups = decay_groups(list(model.parameters()), config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=True)
    schedule, forward = SCHEDULES[config.schedule], processes.averaging(model)
    per_epoch = math.ceil(len(examples) / config.batch_size)

    def set_rate(step: int, total: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(step, total, config.warmup)

    def loss(batch: Batch, step: int) -> tuple[Tensor, Values]:
        with autocast(batch["input_ids"].device, config.precision):
            output = forward(**kind.training_inputs(model, batch))
        return kind.training_loss(output, batch, config.label_smoothing), {}

    def notes(step: int) -> dict[str, Any]:
        return {"learning_rate": optimizer.param_groups[0]["lr"], "epoch": step / per_epoch}

    return Stage(
        name="train", steps=steps_in(len(examples), config), batch_size=config.batch_size, seed=config.seed,
        random_seed=config.seed + 1,  # the seed itself initialised the task head
        modules={"model": model}, optimizers={"optimizer": optimizer}, loss=loss,
        clipped=list(model.parameters()), max_grad_norm=config.max_grad_norm, before_step=set_rate, notes=notes,
        logs_score=False, lower="train.learning_rate",
    )  # fmt: skip


def retrain(
    model: PreTrainedModel, examples: Examples, *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> None:
    """A few steps of plain SGD in place, as the released code of Michel et al. 2019 does between pruning steps."""

    kind = kind_of(examples.rows.task)

    def loss(batch: Batch, step: int) -> tuple[Tensor, Values]:
        return kind.training_loss(model(**kind.training_inputs(model, batch)), batch), {}

    model.train()
    stage = Stage(
        name="retrain", steps=steps, batch_size=batch_size, seed=seed, random_seed=seed, modules={"model": model},
        optimizers={"optimizer": torch.optim.SGD(model.parameters(), lr=learning_rate)}, loss=loss,
        log_every=steps, evaluate_every=steps, lower=f"retrain_learning_rate ({learning_rate})",
    )  # fmt: skip
    run(stage, Context(examples=examples, device=model.device))
    model.eval()


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

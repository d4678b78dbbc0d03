"""Fine-tuning for some steps: the training loop of this library beside transformers' ``Trainer``.

Both start from the same weights, with the recipe of ``train``. The Trainer is as it comes: batches in random order,
each padded to its longest row, transformers' own attention, once in the recipe's precision and once in float32. What
the two compute is checked apart from that, without dropout, in float32 and on the same batches: by the loss of each of
the first steps.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from prunekit.config.sections import TrainConfig
from prunekit.data.batches import Batch, Examples, training_order
from prunekit.data.losses import task_loss
from prunekit.models.blocks import attention_for_transformers, set_probability_dropout
from prunekit.models.pretrained import on_device
from prunekit.training.finetuning import SCHEDULES, decay_groups, train, training_attention
from prunekit.training.loop import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHECKED_STEPS = 10
"""Whose losses are compared."""


def compare(case: BenchmarkCase) -> Results:
    config = dataclasses.replace(case.run.config.train, epochs=1, keep="last", snapshots=[])
    model, examples, device = case.model, case.data, case.device
    functions: dict[str, Callable[[], Any]] = {
        "fast": lambda: own_training(copy.deepcopy(model), config, examples, device),
    }
    for precision in dict.fromkeys((config.precision, "float32")):
        recipe = dataclasses.replace(config, precision=precision)
        functions[f"plain_{precision}"] = partial(_plain_training, model, recipe, examples, device)
    rows, metrics = paired(case, functions, lambda _results: loss_curves(model, config, examples, device))
    return rows, metrics | {"steps": math.ceil(len(examples) / config.batch_size)}


def _plain_training(model: PreTrainedModel, config: TrainConfig, examples: Examples, device: torch.device) -> None:
    with_trainer(of_transformers(model), config, examples, device, shuffled=True)


def own_training(model: PreTrainedModel, config: TrainConfig, examples: Examples, device: torch.device) -> None:
    """As the verb `finetune` trains, without checkpoints."""
    with training_attention(model, device, config):
        train(model, config, Context(examples=examples, device=device))


def of_transformers(model: PreTrainedModel) -> PreTrainedModel:
    """A copy that has no module but transformers' own."""
    attention = attention_for_transformers(model.config, str(model.config._attn_implementation))
    make: Any = type(model)._from_config
    plain: PreTrainedModel = make(model.config, attn_implementation=attention)
    plain.load_state_dict(model.state_dict())
    return on_device(plain, model.device)


class _Steps(torch.utils.data.Dataset[int]):
    """Places of examples in the order in which a Trainer reads them."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> int:
        return self.places[place]


def with_trainer(
    model: PreTrainedModel, config: TrainConfig, examples: Examples, device: torch.device, *,
    shuffled: bool, places: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """Train in place with transformers' Trainer, AdamW and the recipe's schedule.

    Args:
        shuffled: in random order; else as ``places`` has them.
        places: of the examples that are trained on; None for all.
    """
    rows = _Steps(range(len(examples)) if places is None else places)
    total = math.ceil(len(rows) / config.batch_size)
    on_device(model, device).train()
    if config.attention_dropout is not None:
        set_probability_dropout(model, config.attention_dropout)
    optimizer = torch.optim.AdamW(
        decay_groups(list(model.parameters()), config.weight_decay), lr=config.learning_rate, betas=(0.9, config.beta2),
        fused=True,
    )  # fmt: skip
    schedule = SCHEDULES[config.schedule]
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, total, config.warmup))

    def collate(chosen: list[int]) -> Batch:
        batch = examples.batch(chosen, int(examples.lengths[chosen].max()))
        return {name: values for name, values in batch.items() if name != "index"}

    with tempfile.TemporaryDirectory() as folder, _quiet_trainer():
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=config.batch_size, num_train_epochs=1,
            max_grad_norm=config.max_grad_norm, bf16=config.precision == "bfloat16", use_cpu=device.type == "cpu",
            train_sampling_strategy="random" if shuffled else "sequential", seed=config.seed, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False,
        )  # fmt: skip
        Trainer(model, arguments, data_collator=collate, train_dataset=rows, optimizers=(optimizer, rates)).train()
    model.eval()


def loss_curves(
    model: PreTrainedModel, config: TrainConfig, examples: Examples, device: torch.device
) -> dict[str, float]:
    """``max_loss_difference``: of the losses of the first steps in float32, relative to the largest of them."""
    config = dataclasses.replace(config, precision="float32", attention_dropout=None)
    some = examples.take(range(min(len(examples), CHECKED_STEPS * config.batch_size)))
    order = [batch.tolist() for batch in training_order(some, config.batch_size, config.seed, 0)]
    short = [batch for batch in order if len(batch) < config.batch_size]
    if short and len(order) > 1:  # where the last batch is not whole, it stands anywhere in our order
        some = examples.take(range(len(some) - len(short[0])))
        order = [batch.tolist() for batch in training_order(some, config.batch_size, config.seed, 0)]
    own, theirs = without_dropout(copy.deepcopy(model)), without_dropout(of_transformers(model))
    with _logits(own) as mine:
        own_training(own, config, some, device)
    with _logits(theirs) as others:
        with_trainer(theirs, config, some, device, shuffled=False, places=[place for batch in order for place in batch])
    labels = [some.batch(batch)["labels"] for batch in order]
    curves = [
        torch.stack([task_loss(one.double(), answer).mean() for one, answer in zip(logits, labels, strict=True)])
        for logits in (mine, others)
    ]
    return {"max_loss_difference": float((curves[0] - curves[1]).abs().max() / curves[1].abs().max())}


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """The same model, whose training draws nothing."""
    set_probability_dropout(model, 0.0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


@contextmanager
def _logits(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collects the logits of every training step, (example, label), on the CPU."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        if module.training:
            seen.append(output.logits.detach().cpu())

    hook = model.register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def _quiet_trainer() -> Iterator[None]:
    """Without what the Trainer logs of its own settings, and with our random state as it was."""
    logger = logging.getLogger("transformers.trainer")
    level, state, draws = logger.level, torch.get_rng_state(), np.random.get_state()
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        torch.set_rng_state(state)
        np.random.set_state(draws)

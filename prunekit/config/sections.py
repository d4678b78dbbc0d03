"""Typed configuration: what every experiment is told, with its checks.

Hydra composes YAML from ``conf/`` into these dataclasses once, at the entry point; below it nobody sees a
``DictConfig``. Ranges stand with the fields (:mod:`prunekit.config.ranges`), combinations of settings in ``problems``;
:func:`check` collects what is wrong in a whole configuration, so that a user mends it all at once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from prunekit.config.checks import near, one_line, one_of, shape_problems, twice
from prunekit.config.choices import ATTENTIONS, DTYPES, PRECISIONS
from prunekit.config.ranges import BATCH, EPOCHS, EXAMPLES, RATE, SEEDS, field_problems, path_setting, within
from prunekit.config.scale import ScaleConfig
from prunekit.config.task import TaskConfig
from prunekit.support.errors import UserError

Section = TypeVar("Section")


@dataclass(kw_only=True)
class ModelConfig:
    """Which model: a preset of ``conf/model/``, or any Hub id or folder of a family in the architecture table."""

    name: str = "???"
    """Preset name; figures and records carry it."""
    path: str | None = path_setting()
    """Hub id or local folder of the pretrained weights and the tokenizer; null for a built-in shape."""
    family: str = "bert"
    """Row of the architecture table."""
    weights: str = "pretrained"
    """``pretrained``; ``scratch``: random at first and then trained by `finetune`; ``random``: the true shape
    without a download, for timing and memory only (refused where a score would be reported)."""
    shape: dict[str, Any] = field(default_factory=dict)
    """Sizes as the transformers config of the family names them; used by ``scratch`` and ``random``."""
    attention: str = "sdpa"
    """Attention implementation: ``sdpa`` or ``eager``."""

    def problems(self) -> Iterator[str]:
        yield from one_of("weights", self.weights, ("pretrained", "scratch", "random"))
        yield from one_of("attention", self.attention, ATTENTIONS)
        yield from shape_problems(self.shape)
        if self.weights == "pretrained" and not self.path:
            yield "path: pretrained weights need a Hub id or a folder"
        if self.weights in ("scratch", "random") and not self.shape:
            yield f"shape: weights={self.weights} builds the model from its sizes, give at least hidden_size"


def model_of_teacher(path: str, attention: str) -> ModelConfig:
    """The section of a model that somebody has fine-tuned, as far as it is known without reading its configuration:
    it is called like its folder, or its name on the Hub."""
    home = Path(path)
    with suppress(OSError, RuntimeError):  # on the Hub, or nowhere
        home = home.resolve(strict=True)
    name = home.parent.name if home.name == "model" else home.name  # as `finetune` and `prune_cofi` save theirs
    return ModelConfig(name=name or path, path=path, family="", attention=attention)


@dataclass(kw_only=True)
class TrainConfig:
    """How a teacher is fine-tuned (Michel et al. 2019 use the recipe of Devlin et al. 2019, Appendix A.3)."""

    seed: int = within(0, 0, SEEDS)
    """Seeds the task head, the order of the data and dropout; another seed is another teacher."""
    examples: int | None = within(None, 1, EXAMPLES)
    """Training examples, a seeded sample; null for all."""
    epochs: int = within(3, 1, EPOCHS)
    """Passes over the data."""
    batch_size: int = within(32, 1, BATCH)
    """Examples a step."""
    learning_rate: float = within(2e-5, 0, RATE, above=True)
    """Peak of the schedule."""
    warmup: float = within(0.1, 0, 1)
    """Share of the steps with a rising rate."""
    schedule: str = "linear"
    """How the rate falls after the peak: ``linear`` to 0, or ``inverse_sqrt`` of the step (Vaswani et al. 2017)."""
    weight_decay: float = within(0.01, 0, RATE)
    """AdamW's, not on biases and LayerNorm."""
    beta2: float = within(0.999, 0, 1, below=True)
    """AdamW's decay of squared gradients; 0.98 for translation (Vaswani et al. 2017)."""
    label_smoothing: float = within(0.0, 0, 1)
    """Share of the probability that the loss spreads over all words or labels (not for regression and questions)."""
    max_grad_norm: float = within(1.0, 0, 1e15, above=True, infinite=True)
    """Gradient clipping; inf for none."""
    attention_dropout: float | None = within(None, 0, 1)
    """Dropout of attention probabilities; null for the model's own. At 0 a CPU trains up to twice as fast on long
    inputs, because torch then has a fused kernel for attention."""
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for autocast."""
    attention: str | None = None
    """Attention implementation while it trains, ``sdpa`` or ``eager``, also of the students of `prune_cofi`; null for
    the model's own, but eager where an encoder-decoder trains in bfloat16 on a CPU."""
    keep: str = "last"
    """``last`` weights, as the papers do, or the ``best`` by the metric on a held-out slice of the training data."""
    held_out: int = within(1000, 1, EXAMPLES)
    """Rows of that slice (``keep=best`` only); they are not trained on."""
    snapshots: list[int] = within([], 1, EPOCHS)
    """Epochs after which the model is kept as it is then, in ``epochs/``; `head_dynamics` reads them."""
    evaluation_examples: int | None = within(None, 1, EXAMPLES)
    """Rows of the evaluation split, a seeded sample, that the finished teacher is evaluated on; null for all."""

    def problems(self) -> Iterator[str]:
        yield from twice("snapshots", self.snapshots)
        yield from one_of("schedule", self.schedule, ("linear", "inverse_sqrt"))
        for epoch in self.snapshots:
            if epoch > self.epochs:
                yield f"snapshots: {epoch} is outside [1, {self.epochs}], the epochs of this training"
        yield from one_of("precision", self.precision, PRECISIONS)
        yield from one_of("keep", self.keep, ("last", "best"))
        if self.attention is not None:
            yield from one_of("attention", self.attention, ATTENTIONS)


@dataclass(kw_only=True)
class EvaluationConfig:
    """How a model is evaluated."""

    examples: int | None = within(None, 2, EXAMPLES)
    """Rows of the evaluation split, a seeded sample that is the same for every run; null for all."""
    batch_size: int = within(64, 1, BATCH)
    """Examples a batch; batches are bucketed by length. Numbers do not depend on it, but for those of graphs in int8,
    whose inputs have the range of their batch."""
    beams: int = within(5, 1, 10_000)
    """Hypotheses that beam search keeps of each sentence; 1 is greedy (translation only)."""


@dataclass(kw_only=True)
class RunConfig:
    """Where and how to run. Nothing here changes a number, so nothing here is part of a run's identity."""

    folder: str = path_setting("runs", written=True)
    """Run records, checkpoints and caches."""
    force: bool = False
    """Run again although a finished record is there."""
    device: str = "auto"
    """``auto``: cuda where there is one, cpu elsewhere; ``cpu``, ``cuda`` or ``cuda:N``."""
    threads: int | str | None = within(None, 1, 1024)
    """CPU threads; null for all cores that this process may use, ``auto`` for those of them that other processes leave
    free as it starts (runs that measure time are another run with another number)."""
    progress: bool = True
    """Progress bars; without a terminal a line a minute."""
    wandb: str = "auto"
    """``auto``: online with a key and offline without one; ``online``, ``offline``, ``disabled``."""
    project: str = "prunekit"
    """Weights & Biases project."""
    checkpoint_seconds: float = within(60.0, 0, 1e9, infinite=True)
    """Least time between two checkpoints of a training; inf for none."""
    quiet_seconds: float = within(10.0, 0, 3600)
    """Longest wait of a run, in all, for other processes to leave the CPUs alone before something is timed; what is
    timed beside them is marked. 0 neither waits nor looks at what is before and after."""

    def problems(self) -> Iterator[str]:
        yield from one_of("wandb", self.wandb, ("auto", "online", "offline", "disabled"))
        if isinstance(self.threads, str) and self.threads != "auto":
            yield f"threads: {self.threads!r} is neither a number nor auto"
        if re.fullmatch(r"mps(:\d+)?", self.device):
            yield f"device: {self.device} has no float64, which scores are summed in; use cpu"
        elif not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            yield f"device: {self.device!r} is not one of auto, cpu, cuda, cuda:N"


@dataclass(kw_only=True)
class Settings:
    """What every run is given: model, data and recipe of a teacher. Whoever shares all three shares the teacher."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The model."""
    task: TaskConfig = field(default_factory=TaskConfig)
    """The data."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the teacher is fine-tuned."""
    run: RunConfig = field(default_factory=RunConfig)
    """Where and how to run."""
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    """Sizes that other sections refer to."""

    @property
    def run_seed(self) -> int:
        return self.train.seed

    @property
    def run_dtype(self) -> str:
        return self.train.precision


@dataclass(kw_only=True)
class Experiment(Settings):
    """What every experiment with a teacher shares. A verb's own configuration extends it."""

    teacher: str | None = path_setting()
    """Hub id or folder of a model that is already fine-tuned for the task, ``model`` is then its own; null fine-tunes
    one as ``train`` says."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How models are evaluated."""
    autocasts: ClassVar[bool] = True
    """Whether what the verb evaluates or times may run in bfloat16; ablations and decoding have no autocast."""
    dtype: str = "float32"
    """Precision of evaluation and timing: ``float32``, ``float64`` or ``bfloat16`` (autocast); scores and ablations are
    computed in float32 or float64."""
    seed: int = within(0, 0, SEEDS)
    """Seeds what the method itself draws: importance samples, random orders, bootstrap. Teachers have their own."""

    @property
    def run_seed(self) -> int:
        return self.seed

    @property
    def run_dtype(self) -> str:
        return self.dtype

    @property
    def starts_from_model(self) -> bool:
        """Whether ``model`` is needed beside a finished ``teacher``, which else says all about the model."""
        return False

    def problems(self) -> Iterator[str]:
        yield from one_of("dtype", self.dtype, DTYPES)
        if self.dtype == "bfloat16" and not self.autocasts:
            yield "dtype: bfloat16 is autocast, which this verb does not compute in, use float32 or float64"
        if self.teacher is not None and self.model.weights == "random":
            yield "model.weights: random weights have no teacher, leave out teacher or model.weights=random"


def check(config: Any, prefix: str = "") -> list[str]:
    """All problems of a configuration and the sections in it, each with its full dotted path."""
    fields = dataclasses.fields(config)
    own = [problem for item in fields for problem in field_problems(item, getattr(config, item.name))]
    if hasattr(config, "problems"):
        own += config.problems()
    problems = [one_line(f"{prefix}{problem}") for problem in own]
    known = [item.name for item in fields]
    for name in vars(config).keys() - set(known):  # Hydra's +name=value attaches what no field asks for
        problems.append(f"{prefix}{name}: there is no such setting, {near(name, known)}")
    for item in fields:
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            problems += check(value, f"{prefix}{item.name}.")
    return problems


def recorded_section(schema: type[Section], content: dict[str, Any]) -> Section:
    """A section as it was recorded; settings that are no longer there are left out."""
    known = {item.name for item in dataclasses.fields(schema)}  # type: ignore[arg-type]
    return schema(**{name: value for name, value in content.items() if name in known})


def require_scores(model: ModelConfig) -> None:
    """Refuse random weights where a score would be reported."""
    if model.weights == "random":
        raise UserError(
            "model.weights=random has no score to report; it serves time_inference, time_decoding, latency_table "
            "and benchmark, use model.weights=pretrained here"
        )

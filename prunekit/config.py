"""Typed configuration: what every experiment is told, with its checks.

Hydra composes YAML from ``conf/`` into these dataclasses once, at the entry point; below it nobody sees a
``DictConfig``. A class checks its own ranges in ``problems``; :func:`check` collects the problems of a whole
configuration, so that a user mends them all at once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prunekit.checks import at_least, between, near, one_of
from prunekit.errors import UserError

CLASS_METRICS = ("accuracy", "f1", "matthews")
REGRESSION_METRICS = ("pearson", "spearman")
QUESTION_METRICS = ("answer_f1", "exact_match")
TRANSLATION_METRICS = ("bleu", "chrf")
SPECIAL_TOKENS = 4  # at most: RoBERTa's, around and between two texts


@dataclass(kw_only=True)
class ModelConfig:
    """Which model: a preset of ``conf/model/``, or any Hub id or folder of a family in the architecture table."""

    name: str = "???"
    """Preset name; figures and records carry it."""
    path: str | None = None
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
        yield from one_of("attention", self.attention, ("sdpa", "eager"))
        if self.weights == "pretrained" and not self.path:
            yield "path: pretrained weights need a Hub id or a folder"
        if self.weights in ("scratch", "random") and not self.shape:
            yield f"shape: weights={self.weights} builds the model from its sizes, give at least hidden_size"


@dataclass(kw_only=True)
class TaskConfig:
    """Which data: a preset of ``conf/task/``, or the user's own files."""

    name: str = "???"
    """Preset name; figures and records carry it."""
    source: str = "files"
    """Hub dataset id, ``demo`` (built in, generated), ``files`` (the user's own, see ``files``) or ``sacrebleu`` (the
    test sets that come with it, ``translation`` only)."""
    subset: str | None = None
    """Configuration of the Hub dataset, for example a GLUE task; of ``source=sacrebleu`` the name of the test set."""
    columns: list[str] = field(default_factory=lambda: ["sentence"])
    """One or two text columns."""
    label: str = "label"
    """Label column; with ``questions`` that of the gold answers."""
    labels: list[str] = field(default_factory=list)
    """Label names in the order of their numbers; empty for regression and for ``questions``."""
    questions: bool = False
    """Extractive question answering: ``columns`` are question and context, the answer is a span of the context."""
    translation: bool = False
    """Translation: ``columns`` are source and target. With ``source=files`` they may also be the suffixes of two
    line-aligned text files."""
    vocabulary: int = 8000
    """Pieces of the joint byte-pair encoding that is learned from the training split for a model without a tokenizer
    of its own (``translation`` only)."""
    metrics: list[str] = field(default_factory=lambda: ["accuracy"])
    """Metrics as GLUE (or SQuAD, or sacreBLEU) defines them; the first is the one that curves and tables use."""
    train: str = "train"
    """Split that teachers are trained on and that importance is estimated from."""
    evaluation: str = "validation"
    """Split that scores are reported on."""
    selection: str | None = None
    """Split that the head that stays alone is chosen on; null for the training split."""
    files: dict[str, str | None] = field(default_factory=dict)
    """With ``source=files``: split name to CSV, TSV, JSONL or Parquet file; null for a split that is not there. Of
    ``translation`` also the common part of two file names: train=corpus/train reads corpus/train.de and
    corpus/train.en for ``columns: [de, en]``."""
    max_length: int = 128
    """Longest input in tokens; longer ones are cut, contexts of ``questions`` into several windows."""
    question_length: int = 64
    """Longest question in tokens; longer ones are cut (``questions`` only)."""
    stride: int = 128
    """Tokens that two neighbouring windows of a context share (``questions`` only)."""
    answer_length: int = 30
    """Longest answer in tokens that is looked for (``questions`` only)."""
    no_answer: float | None = None
    """Questions may have no answer, and get none where the score of no answer exceeds that of the best span by more
    than this threshold; null for data that answers every question (``questions`` only)."""
    train_rows: int = 8000
    """Size of the generated training split (``demo`` only)."""
    evaluation_rows: int = 2000
    """Size of each generated validation split (``demo`` only)."""

    def problems(self) -> Iterator[str]:
        if len(self.columns) not in (1, 2):
            yield f"columns: {self.columns} has {len(self.columns)} names, give one or two text columns"
        yield from at_least("max_length", self.max_length, 8)
        yield from at_least("train_rows", self.train_rows, 1)
        yield from at_least("evaluation_rows", self.evaluation_rows, 1)
        if not self.metrics:
            yield "metrics: give at least one"
        known = {
            "classification": CLASS_METRICS, "regression": REGRESSION_METRICS, "questions": QUESTION_METRICS,
            "translation": TRANSLATION_METRICS,
        }  # fmt: skip
        for metric in self.metrics:
            yield from one_of("metrics", metric, known[self.kind])
        if self.questions:
            yield from self._problems_of_questions()
        if self.translation:
            yield from self._problems_of_translation()
        if len(self.labels) == 1:
            yield "labels: one label leaves nothing to learn, name two or more (none for regression)"
        if self.source == "sacrebleu" and not (self.translation and self.subset):
            yield "source: sacrebleu has test sets of translation, give translation=true and subset=NAME"
        if self.source == "files" and not any(self.files.values()):
            yield "files: source=files needs task.files.train=PATH and task.files.validation=PATH"

    def _problems_of_questions(self) -> Iterator[str]:
        if len(self.columns) != 2:
            yield f"columns: {self.columns} should be two columns, question and context"
        if self.labels:
            yield f"labels: {self.labels} should be empty, questions=true has answers in the column {self.label!r}"
        yield from at_least("question_length", self.question_length, 1)
        yield from at_least("answer_length", self.answer_length, 1)
        room = self.max_length - self.question_length - SPECIAL_TOKENS
        if not 0 <= self.stride < room:
            yield (
                f"stride: {self.stride} is outside [0, {room}), the room that max_length={self.max_length} leaves for "
                f"the context beside question_length={self.question_length} and {SPECIAL_TOKENS} special tokens"
            )

    def _problems_of_translation(self) -> Iterator[str]:
        if len(self.columns) != 2:
            yield f"columns: {self.columns} should be two columns, source and target"
        if self.labels or self.questions:
            yield "translation: a task is one of translation, questions and classification (labels), not several"
        yield from at_least("vocabulary", self.vocabulary, 300)

    @property
    def kind(self) -> str:
        """``classification``, ``regression``, ``questions`` or ``translation``."""
        if self.translation:
            return "translation"
        return "questions" if self.questions else "classification" if self.labels else "regression"

    @property
    def regression(self) -> bool:
        return self.kind == "regression"

    @property
    def outputs(self) -> int:
        """Outputs of a model's task head: a score a label, one number, or start and end of the answer; of translation,
        whose output is the vocabulary, none."""
        return {"classification": len(self.labels), "regression": 1, "questions": 2, "translation": 0}[self.kind]

    @property
    def metric(self) -> str:
        return self.metrics[0]


@dataclass(kw_only=True)
class TrainConfig:
    """How a teacher is fine-tuned (Michel et al. 2019 use the recipe of Devlin et al. 2019, Appendix A.3)."""

    seed: int = 0
    """Seeds the task head, the order of the data and dropout; another seed is another teacher."""
    examples: int | None = None
    """Training examples, a seeded sample; null for all."""
    epochs: int = 3
    """Passes over the data."""
    batch_size: int = 32
    """Examples a step."""
    learning_rate: float = 2e-5
    """Peak of the schedule."""
    warmup: float = 0.1
    """Share of the steps with a rising rate."""
    schedule: str = "linear"
    """How the rate falls after the peak: ``linear`` to 0, or ``inverse_sqrt`` of the step (Vaswani et al. 2017)."""
    weight_decay: float = 0.01
    """AdamW's, not on biases and LayerNorm."""
    beta2: float = 0.999
    """AdamW's decay of squared gradients; 0.98 for translation (Vaswani et al. 2017)."""
    label_smoothing: float = 0.0
    """Share of the probability that the loss spreads over all words or labels (not for regression and questions)."""
    max_grad_norm: float = 1.0
    """Gradient clipping."""
    attention_dropout: float | None = None
    """Dropout of attention probabilities; null for the model's own. At 0 a CPU trains up to twice as fast on long
    inputs, because torch then has a fused kernel for attention."""
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for autocast."""
    keep: str = "last"
    """``last`` weights, as the papers do, or the ``best`` by the metric on a held-out slice of the training data."""
    held_out: int = 1000
    """Rows of that slice (``keep=best`` only); they are not trained on."""
    snapshots: list[int] = field(default_factory=list)
    """Epochs after which the model is kept as it is then, in ``epochs/``; `head_dynamics` reads them."""
    evaluation_examples: int | None = None
    """Rows of the evaluation split, a seeded sample, that the finished teacher is evaluated on; null for all."""

    def problems(self) -> Iterator[str]:
        for name in ("epochs", "batch_size", "held_out"):
            yield from at_least(name, getattr(self, name), 1)
        yield from at_least("seed", self.seed, 0)
        if self.examples is not None:
            yield from at_least("examples", self.examples, 1)
        if self.learning_rate <= 0:
            yield f"learning_rate: {self.learning_rate} must be above 0"
        yield from between("warmup", self.warmup, 0, 1)
        if self.attention_dropout is not None:
            yield from between("attention_dropout", self.attention_dropout, 0, 1)
        yield from one_of("schedule", self.schedule, ("linear", "inverse_sqrt"))
        yield from between("beta2", self.beta2, 0, 1)
        yield from between("label_smoothing", self.label_smoothing, 0, 1)
        for epoch in self.snapshots:
            if not 1 <= epoch <= self.epochs:
                yield f"snapshots: {epoch} is outside [1, {self.epochs}], the epochs of this training"
        if self.weight_decay < 0:
            yield f"weight_decay: {self.weight_decay} must not be negative"
        if self.max_grad_norm <= 0:
            yield f"max_grad_norm: {self.max_grad_norm} must be above 0"
        yield from one_of("precision", self.precision, ("float32", "bfloat16"))
        yield from one_of("keep", self.keep, ("last", "best"))


@dataclass(kw_only=True)
class EvaluationConfig:
    """How a model is evaluated."""

    examples: int | None = None
    """Rows of the evaluation split, a seeded sample that is the same for every run; null for all."""
    batch_size: int = 64
    """Examples a batch; batches are bucketed by length, numbers do not depend on it."""
    beams: int = 5
    """Hypotheses that beam search keeps of each sentence; 1 is greedy (translation only)."""

    def problems(self) -> Iterator[str]:
        if self.examples is not None:
            yield from at_least("examples", self.examples, 2)
        yield from at_least("batch_size", self.batch_size, 1)
        yield from at_least("beams", self.beams, 1)


@dataclass(kw_only=True)
class RunConfig:
    """Where and how to run. Nothing here changes a number, so nothing here is part of a run's identity."""

    folder: str = "runs"
    """Run records, checkpoints and caches."""
    force: bool = False
    """Run again although a finished record is there."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    threads: int | None = None
    """CPU threads; null for all cores that this process may use."""
    progress: bool = True
    """Progress bars, where there is a terminal."""
    wandb: str = "auto"
    """``auto``: online with a key and offline without one; ``online``, ``offline``, ``disabled``."""
    project: str = "prunekit"
    """Weights & Biases project."""
    checkpoint_seconds: float = 60.0
    """Least time between two checkpoints of a training."""

    def problems(self) -> Iterator[str]:
        yield from one_of("wandb", self.wandb, ("auto", "online", "offline", "disabled"))
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            yield f"device: {self.device!r} is not one of auto, cpu, cuda, cuda:N"
        if self.threads is not None:
            yield from at_least("threads", self.threads, 1)
        if self.checkpoint_seconds < 0:
            yield f"checkpoint_seconds: {self.checkpoint_seconds} must not be negative"


@dataclass(kw_only=True)
class ScaleConfig:
    """The sizes in which demo, small and paper differ (``conf/scale/``). Other sections take them from here."""

    name: str = "custom"
    """demo, small or paper."""
    evaluation_examples: int | None = None
    """Rows of the evaluation split; null for all."""
    importance_examples: int | None = 10000
    """Training examples that head importance is estimated from; null for all."""
    selection_examples: int = 5000
    """Training examples on which the head that stays is chosen (paper, App. Table 6)."""
    grid: float = 0.1
    """Step of the pruning curves, as a share of all heads."""
    teacher_seeds: list[int] = field(default_factory=lambda: [0])
    """Teachers of the pruning curves."""
    random_seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    """Seeds of the random order."""
    translation: list[str] = field(default_factory=list)
    """Overrides that name the task and the model of the translation experiments; none: those are left out."""
    dynamics: list[str] = field(default_factory=list)
    """Overrides that name the task and the model of the training dynamics; none: those are left out."""
    second_translation: str = ""
    """The other data of their transfer experiment, of ``conf/second/``."""
    translation_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds of the random order in their pruning curves."""
    lengths: list[int] = field(default_factory=lambda: [32, 128, 512])
    """Input lengths of the speed table; the task's mean length is added."""
    repeats: int = 10
    """Timed repetitions of each cell of the speed table."""
    calibration_examples: int = 2048
    """Training examples that Fisher information and mask tuning are computed from."""
    calibration_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Draws of the calibration examples."""
    calibration_sizes: list[int] = field(default_factory=lambda: [64, 256, 1024, 4096])
    """Numbers of calibration examples that are compared."""
    constraints: list[float] = field(default_factory=lambda: [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    """Budgets of the Fisher experiments."""
    compared_constraints: list[float] = field(default_factory=lambda: [0.3, 0.5, 0.7])
    """Budgets at which scores, labels and variants are compared; some of ``constraints``."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the Fisher experiments; none: the scale's own task only."""
    sparsities: dict[str, list[float]] = field(default_factory=dict)
    """Of the CoFi experiments, by task; none: the compared one on the scale's own task."""
    compared_sparsity: float = 0.95
    """At which CoFi is compared to its baselines and ablations."""
    baseline_task: str = ""
    """Of CoFi's baselines; the scale's own if not given."""
    ablation_task: str = ""
    """Of CoFi's ablations, and of further seeds."""
    student_seeds: list[int] = field(default_factory=lambda: [0])
    """Of CoFi on that task."""
    ablations: list[str] = field(default_factory=list)
    """Of CoFi, by the names in ``experiments/papers.py``."""
    what: str = ""
    """What this scale is, told at the end of a reproduction."""
    next: str = ""
    """The next scale."""
    next_takes: dict[str, str] = field(default_factory=dict)
    """What the next scale would take, by paper."""


@dataclass(kw_only=True)
class Finetune:
    """A teacher: model, data and recipe. Whoever shares all three shares the teacher."""

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
class Experiment(Finetune):
    """What every experiment with a teacher shares. A verb's own configuration extends it."""

    teacher: str | None = None
    """Hub id or folder of a model that is already fine-tuned for the task; null fine-tunes one as ``train`` says."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How models are evaluated."""
    dtype: str = "float32"
    """Precision of evaluation and scores: ``float32``, ``float64`` or ``bfloat16`` (autocast)."""
    seed: int = 0
    """Seeds what the method itself draws: importance samples, random orders, bootstrap. Teachers have their own."""

    @property
    def run_seed(self) -> int:
        return self.seed

    @property
    def run_dtype(self) -> str:
        return self.dtype

    def problems(self) -> Iterator[str]:
        yield from one_of("dtype", self.dtype, ("float32", "float64", "bfloat16"))
        yield from at_least("seed", self.seed, 0)


def check(config: Any, path: str = "") -> list[str]:
    """All problems of a configuration and the sections in it, each with its full dotted path."""
    found = [f"{path}{problem}" for problem in config.problems()] if hasattr(config, "problems") else []
    known = [item.name for item in dataclasses.fields(config)]
    for name in vars(config).keys() - set(known):  # Hydra's +name=value attaches what no field asks for
        found.append(f"{path}{name}: there is no such setting, {near(name, known)}")
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            found += check(value, f"{path}{item.name}.")
    return found


def require_scores(model: ModelConfig) -> None:
    """Refuse random weights where a score would be reported."""
    if model.weights == "random":
        raise UserError(
            "model.weights=random has no score to report; it serves time_inference, latency_table and benchmark, "
            "use model.weights=pretrained here"
        )


def without_questions(task: TaskConfig) -> Iterator[str]:
    """For verbs that do not work on questions."""
    if task.questions:
        yield (
            f"task: {task.name} is extractive question answering, this verb takes classification and regression; "
            "`finetune`, `prune_fisher` and `prune_cofi` take it"
        )


def without_translation(task: TaskConfig) -> Iterator[str]:
    """For verbs that work on encoders."""
    if task.translation:
        yield (
            f"task: {task.name} is translation, this verb takes encoders on classification, regression and questions; "
            "`finetune`, `ablate_heads`, `prune_heads`, `head_dynamics`, `transfer` and `time_inference` take it"
        )

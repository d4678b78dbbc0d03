"""What quantisation is told: settings alone, readable without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from prunekit.cofi.recipe import StudentConfig
from prunekit.config.checks import one_of, runtime_problems, twice
from prunekit.config.choices import QUANTIZATIONS
from prunekit.config.ranges import BATCH, EPOCHS, EXAMPLES, RATE, ROUNDS, path_setting, within
from prunekit.config.sections import Experiment, TrainConfig
from prunekit.config.task import without_translation


@dataclass(kw_only=True)
class QuantizeSettings(Experiment):
    """One model in 8 bits."""

    source: str | None = path_setting()
    """Folder of a finished run of `finetune`, `prune_fisher`, `prune_cofi` or `compress`, also as ``VERB/RUN_ID`` in
    `run.folder`. Model, task, the teacher's recipe and (but of `finetune`) `evaluation` are those of that run,
    `remaining`, `student` and `student_repeats` play no part.
    Null: what `remaining` says, trained if no run before did."""
    remaining: float = within(1.0, 0, 1, above=True)
    """Share of the layers' weights, and so about of their MACs, that the model has: 1 is the teacher, of less it is
    pruned by Fisher information and trained as `prune_cofi structure=fisher sparsity=1-remaining` does."""
    student: StudentConfig = field(default_factory=StudentConfig)
    """How the model of `remaining` is trained after pruning, as of `prune_cofi`."""
    student_repeats: int = within(5, 1, ROUNDS)
    """Rounds in which the run of that model times it, `repeats` of `prune_cofi`: runs that differ in it have a model
    each."""
    quantization: str = "dynamic"
    """``dynamic``: quantised after training; ``aware``: trained in fake quantisation first (Zafrir et al. 2019);
    ``trained``: trained as long without it, ``aware``'s control. The int8 model of all three is ONNX Runtime's."""
    epochs: int = within(2, 1, EPOCHS)
    """Of ``aware`` and ``trained``: passes over the training data; the paper takes 1 to 3."""
    learning_rate: float | None = within(None, 0, RATE, above=True)
    """Peak of their schedule; null for the teacher's. All else of the training is as the teacher's recipe has it."""
    training_examples: int | None = within(None, 1, EXAMPLES)
    """Training examples, a seeded sample; null for as many as the teacher had."""
    decay: float = within(0.99, 0, 1, below=True)
    """Of the moving average of the ranges of inputs (``aware``); the authors' code has 0.9999."""
    batch_sizes: list[int] = within([1, 32], 1, BATCH, fewest=1)
    """Batch sizes at which latency is measured, at the task's mean length."""
    warmup: int = within(2, 0, ROUNDS)
    """Rounds that are not counted."""
    repeats: int = within(10, 1, ROUNDS)
    """Rounds that are, up to 20 times as many for small inputs; whole and quantised models take turns in each."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from without_translation(self.task)
        yield from one_of("quantization", self.quantization, QUANTIZATIONS)
        yield from runtime_problems("dtype", ["onnx"], self.dtype, self.run.device)
        yield from twice("batch_sizes", self.batch_sizes)
        if self.source is not None and self.remaining != 1:
            yield "remaining: a source is what it is, leave out remaining or source"

    @property
    def recipe(self) -> TrainConfig:
        """Of the training that ``aware`` and ``trained`` do."""
        return dataclasses.replace(
            self.train, seed=self.seed, epochs=self.epochs, examples=self.training_examples or self.train.examples,
            learning_rate=self.learning_rate or self.train.learning_rate, keep="last", snapshots=[],
        )  # fmt: skip

"""Who goes first: the score behind each order of `prune_heads`, and what `time_inference` times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.data.batches import Examples, evaluation_batches, iterate
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import model_record
from prunekit.heads.curves import Estimate
from prunekit.heads.effects import head_comparisons
from prunekit.heads.scores import head_importance, head_magnitude, random_scores
from prunekit.runs.teachers import load_teacher, new_model
from prunekit.training.finetuning import retrain

if TYPE_CHECKING:
    from experiments.head_dynamics import HeadDynamics
    from experiments.prune_heads import PruneHeads
    from experiments.time_inference import TimeInference
    from prunekit.runs.execute import Run
    from prunekit.runs.teachers import Teacher


def estimator(config: PruneHeads | HeadDynamics, teacher: Teacher, evaluation: Examples, run: Run) -> Estimate:
    """The function from a model to the scores of its heads, by kind (layer, head); the lowest go first."""
    if config.order == "random":
        return lambda model: random_scores(model, config.seed)
    if config.order == "magnitude":
        return head_magnitude
    if config.order == "oracle":
        found = head_comparisons(config.task, teacher, evaluation, run, ("one_off",), config.evaluation, tested=False)
        # a head whose removal costs most is the most important
        return lambda model: {kind: -comparison.deltas for kind, comparison in found["one_off"].items()}

    rows = load_rows(config.task, config.task.train).sample(config.importance_examples, seed=config.seed)
    run.data.append(rows.record("importance"))
    batches = evaluation_batches(teacher.encode(rows), 32)
    variant = "released" if config.order == "importance_released" else "paper"

    def importance(model: Any) -> dict[str, Tensor]:
        with run.stage("head importance", len(rows)) as advance:
            return head_importance(
                model, iterate(batches, run.device), variant=variant, normalise=config.normalise, progress=advance
            )

    return importance


def retrainer(config: PruneHeads, teacher: Teacher) -> Callable[[Any], None] | None:
    """Short training between steps, as an option of the authors' code; None where it is off."""
    if not config.retrain_steps:
        return None
    rows = load_rows(config.task, config.task.train).sample(config.train.examples)
    examples = teacher.encode(rows)
    return lambda model: retrain(
        model, examples, steps=config.retrain_steps, batch_size=config.train.batch_size,
        learning_rate=config.retrain_learning_rate, seed=config.seed,
    )  # fmt: skip


def timing_subject(config: TimeInference, run: Run) -> tuple[Any, dict[str, Tensor], int | None]:
    """The model to time, scores by kind that say which heads go, and the task's mean length.

    Random weights have no task: their heads go at random, and there is no tokenizer to measure a length with.
    """
    if config.model.weights == "random":
        model, _ = new_model(config.model, config.task, config.seed)
        run.model = model_record(model, config.model.name, config.model.path, "random")
        return model.to(run.device), random_scores(model, config.seed), None
    teacher = load_teacher(config, run)
    rows = load_rows(config.task, config.task.train).sample(config.importance_examples, seed=config.seed)
    run.data.append(rows.record("importance"))
    scores = head_importance(teacher.model, iterate(evaluation_batches(teacher.encode(rows), 32), run.device))
    mean = None
    if config.mean_length:
        evaluation = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
        run.data.append(evaluation.record("evaluation"))
        mean, _ = teacher.encode(evaluation).mean_lengths
    return teacher.model, scores, mean

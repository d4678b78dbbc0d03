"""Which heads go first: the score behind each order of a pruning curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from prunekit.config.sections import Experiment
from prunekit.data.batches import Examples, evaluation_batches
from prunekit.data.rows import load_rows
from prunekit.heads.curves import Estimate, Retrain
from prunekit.heads.effects import head_comparisons
from prunekit.heads.scores import OF_WEIGHTS, head_importance
from prunekit.heads.settings import CurveSettings
from prunekit.runs.execute import Run
from prunekit.runs.run_data import recorded_rows
from prunekit.runs.teachers import Teacher
from prunekit.training.finetuning import retrain

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VARIANT_OF = {"importance": "paper", "importance_stepwise": "paper", "importance_released": "released"}
"""Of :func:`prunekit.heads.scores.head_importance`, by order."""


def estimator(config: CurveSettings, teacher: Teacher, evaluation: Examples, run: Run) -> Estimate:
    """The function from a model to the scores of its heads, by kind (layer, head); the lowest go first."""
    if config.order in OF_WEIGHTS:
        return lambda model: OF_WEIGHTS[config.order](model, config.seed)
    if config.order == "oracle":
        effects = head_comparisons(
            config.task, teacher, evaluation, run, ("one_off",), config.evaluation, tested=False, beside=None
        )
        # a head whose removal costs most is the most important
        return lambda model: {kind: -comparison.deltas for kind, comparison in effects["one_off"].items()}
    variant = VARIANT_OF[config.order]
    return importance(config, teacher, run, config.importance_examples, variant=variant, normalise=config.normalise)


def importance(
    config: Experiment,
    teacher: Teacher,
    run: Run,
    examples: int | None,
    *,
    variant: str = "paper",
    normalise: bool = True,
) -> Estimate:
    """:func:`prunekit.heads.scores.head_importance` over training rows of the task.

    Args:
        examples: how many, a sample drawn with the seed of ``config``; None for all.
    """
    rows = recorded_rows(run, "importance", config.task, config.task.train, examples, config.seed)
    batches = evaluation_batches(teacher.encode(rows), 32)

    def estimate(model: PreTrainedModel) -> dict[str, Tensor]:
        with run.stage("head importance", len(rows)) as advance:
            return head_importance(model, batches, variant=variant, normalise=normalise, progress=advance)

    return estimate


def retrainer(config: Experiment, teacher: Teacher, steps: int, learning_rate: float) -> Retrain | None:
    """Short training between steps of pruning, as an option of the authors' code; None without steps."""
    if not steps:
        return None
    rows = load_rows(config.task, config.task.train).sample(config.train.examples)
    examples = teacher.encode(rows)
    return lambda model: retrain(
        model, examples, steps=steps, batch_size=config.train.batch_size, learning_rate=learning_rate,
        seed=config.seed,
    )  # fmt: skip

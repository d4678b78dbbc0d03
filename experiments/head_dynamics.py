"""When is it decided which heads matter? Prune the model as it was after each of several epochs of its training
(Michel et al. 2019, Sec. 6; Fig. 5).

python -m experiments.head_dynamics task=multi30k model=marian-small scale=small
python -m experiments.head_dynamics task=mnli scale=small 'train.snapshots=[1,2]'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.checks import at_least, one_of
from prunekit.config import Experiment
from prunekit.task_config import without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run

ORDERS = ("importance", "importance_released", "importance_stepwise", "random", "magnitude")


@dataclass(kw_only=True)
class HeadDynamics(Experiment):
    """A pruning curve of a model after each epoch of ``train.snapshots``."""

    order: str = "importance"
    """Who goes first: ``importance``, ``importance_released``, ``importance_stepwise``, ``magnitude`` or ``random``, as
    of `prune_heads`; estimated anew for every epoch."""
    grid: float = 0.1
    """Step of the curves."""
    kinds: list[str] | None = None
    """Kinds of attention whose heads may go, ranked together; null for all."""
    normalise: bool = True
    """Divide each layer's importance by its L2 norm before ranking all heads together (Sec. 4.1)."""
    importance_examples: int | None = None
    """Training examples that importance is estimated from, a sample drawn with ``seed``; null for all."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from one_of("order", self.order, ORDERS)
        if not 0 < self.grid <= 1:
            yield f"grid: {self.grid} is outside (0, 1]"
        if self.importance_examples is not None:
            yield from at_least("importance_examples", self.importance_examples, 1)
        if self.teacher is not None:
            yield "teacher: a finished model does not show its training, leave it out and let `train` make one"


def story(config: HeadDynamics, run: Run) -> None:
    import numpy as np

    from experiments.curve_points import evaluated
    from experiments.orders import estimator
    from prunekit.blocks import describe
    from prunekit.costs import cost
    from prunekit.curves import pruning_steps, score_rows
    from prunekit.errors import UserError
    from prunekit.ranked import kinds_of
    from prunekit.schedule import grid
    from prunekit.statistics import spearman
    from prunekit.tasks.bleu import signatures
    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher, snapshot

    if not config.train.snapshots:
        raise UserError(f"train.snapshots: name the epochs to look at, for example [1, {config.train.epochs}]")
    teacher = load_teacher(config, run)
    rows = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
    run.data.append(rows.record("evaluation"))
    encoded = teacher.encode(rows)
    dense = cost(teacher.model, *encoded.mean_lengths)
    kinds = kinds_of(describe(teacher.model), config.kinds)
    shares, epochs = grid(config.grid), sorted(config.train.snapshots)
    done = {line["step"]: line for line in run.logged()}  # of an interrupted run
    estimate = estimator(config, teacher, encoded, run)
    points: list[dict[str, Any]] = []
    scores: dict[int, list[dict[str, Any]]] = {}
    with run.stage("evaluate pruned models", len(epochs) * len(shares)) as advance:
        for number, epoch in enumerate(epochs):
            model = snapshot(config, teacher, run, epoch)
            curve = pruning_steps(
                model, shares, estimate, kinds=kinds, stepwise=config.order == "importance_stepwise"
            )
            start = number * len(shares)
            found = list(evaluated(config, run, curve, encoded, dense, done, advance, first=start, epoch=epoch))
            whole = found[0][1]["value"]
            points += [{**row, "relative": row["value"] / whole if whole else None} for _, row in found]
            last_step, _ = found[-1]
            scores[epoch] = sorted(score_rows(last_step), key=lambda row: (row["kind"], row["layer"], row["head"]))
    run.table("points", points)
    run.table("scores", [{"epoch": epoch, **row} for epoch, found in scores.items() for row in found])
    last = np.asarray([row["score"] for row in scores[epochs[-1]]])
    agreement = [
        {"epoch": epoch, "rank_correlation": spearman(np.asarray([row["score"] for row in found]), last)}
        for epoch, found in scores.items()
    ]
    run.table("agreement", agreement)
    run.metrics = {
        "order": config.order, "metric": config.task.metric, "kinds": list(kinds), "epochs": epochs,
        "baseline": points[-len(shares)]["value"], "first_baseline": points[0]["value"],
        "first_rank_correlation": agreement[0]["rank_correlation"], **signatures(config.task.metrics),
    }  # fmt: skip


main = verb("head_dynamics", HeadDynamics, story, revision=1)

if __name__ == "__main__":
    main()

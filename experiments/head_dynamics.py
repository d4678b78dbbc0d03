"""When is it decided which heads matter? Prune the model as it was after each of several epochs of its training
(Michel et al. 2019, Sec. 6; Fig. 5).

python -m experiments.head_dynamics task=multi30k model=marian-small scale=small
python -m experiments.head_dynamics task=mnli scale=small 'train.snapshots=[1,2]'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.heads.settings import CurveSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run



@dataclass(kw_only=True)
class HeadDynamics(CurveSettings):
    """A pruning curve of a model after each epoch of ``train.snapshots``; scores are estimated anew for every epoch."""

    def problems(self) -> Any:
        yield from super().problems()
        if self.teacher is not None:
            yield "teacher: a finished model does not show its training, leave it out and let `train` make one"


def procedure(config: HeadDynamics, run: Run) -> None:
    import numpy as np

    from prunekit.data.bleu import signatures
    from prunekit.heads.curve_points import CurvePoints
    from prunekit.heads.curves import pruning_steps, score_rows
    from prunekit.heads.orders import estimator
    from prunekit.heads.ranked import kinds_of
    from prunekit.heads.schedule import grid
    from prunekit.models.blocks import describe
    from prunekit.runs.run_data import evaluation_examples
    from prunekit.runs.teachers import load_teacher, snapshot
    from prunekit.support.errors import UserError
    from prunekit.support.statistics import spearman

    if not config.train.snapshots:
        raise UserError(f"train.snapshots: name the epochs to look at, for example {sorted({1, config.train.epochs})}")
    teacher = load_teacher(config, run)
    examples = evaluation_examples(config, teacher, run)
    kinds = kinds_of(describe(teacher.model), config.kinds)
    shares, epochs = grid(config.grid), sorted(config.train.snapshots)
    estimate, curves = estimator(config, teacher, examples, run), CurvePoints(config, run, teacher.model, examples)
    points: list[dict[str, Any]] = []
    scores: dict[int, list[dict[str, Any]]] = {}
    with run.stage("evaluate pruned models", len(epochs) * len(shares)) as advance:
        for number, epoch in enumerate(epochs):
            model = snapshot(config, teacher, run, epoch)
            steps = pruning_steps(model, shares, estimate, kinds=kinds, stepwise=config.stepwise)
            first, last = number * len(shares), epoch == epochs[-1]
            rows = list(curves.evaluated(steps, advance, first=first, judged=last, epoch=epoch))
            whole = rows[0][1]["value"]
            points += [{**row, "relative": row["value"] / whole if whole else None} for _, row in rows]
            last_step, _ = rows[-1]
            scores[epoch] = sorted(score_rows(last_step), key=lambda row: (row["kind"], row["layer"], row["head"]))
    run.table("points", points)
    run.table("scores", [{"epoch": epoch, **row} for epoch, rows in scores.items() for row in rows])
    final = np.asarray([row["score"] for row in scores[epochs[-1]]])
    agreement = [
        {"epoch": epoch, "rank_correlation": spearman(np.asarray([row["score"] for row in rows]), final)}
        for epoch, rows in scores.items()
    ]
    run.table("agreement", agreement)
    run.metrics = {
        "order": config.order, "metric": config.task.metric, "kinds": list(kinds), "epochs": epochs,
        "baseline": points[-len(shares)]["value"], "first_baseline": points[0]["value"],
        "first_rank_correlation": agreement[0]["rank_correlation"], **signatures(config.task.metrics),
    }  # fmt: skip


main = verb("head_dynamics", HeadDynamics, procedure, revision=1)

if __name__ == "__main__":
    main()

"""Prune heads in order of a score and evaluate what is left (Michel et al. 2019, Sec. 4; Fig. 3b).

python -m experiments.prune_heads scale=small order=importance
python -m experiments.prune_heads -m share=0.1,0.2,0.3,0.4,0.5 order=importance,random seed=0,1,2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.checks import at_least, between, one_of
from prunekit.config import Experiment
from prunekit.task_config import without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run

ORDERS = ("importance", "importance_released", "importance_stepwise", "oracle", "random", "magnitude")


@dataclass(kw_only=True)
class PruneHeads(Experiment):
    """Cumulative global pruning of heads, every point evaluated on the physically pruned model."""

    order: str = "importance"
    """Who goes first: ``importance`` (Eq. 2), ``importance_released`` (as the authors' code computes it),
    ``importance_stepwise`` (estimated again after every step), ``oracle`` (by single-head ablation on the evaluation
    data itself), ``magnitude`` (of the weights), ``random`` (by ``seed``)."""
    share: float | None = None
    """Share of all heads that goes; null for the whole curve."""
    grid: float = 0.1
    """Step of the curve."""
    floor: int = 0
    """Heads with the highest scores that stay in every layer, whatever their rank."""
    kinds: list[str] | None = None
    """Kinds of attention whose heads may go, ranked together; of translation ``enc-enc``, ``enc-dec``, ``dec-dec``.
    Null for all (Fig. 3); one alone is Fig. 4."""
    normalise: bool = True
    """Divide each layer's importance by its L2 norm before ranking all heads together (Sec. 4.1)."""
    importance_examples: int | None = None
    """Training examples that importance is estimated from, a sample drawn with ``seed``; null for all."""
    retrain_steps: int = 0
    """Steps of training after every step of pruning; 0, as in the paper's figures."""
    retrain_learning_rate: float = 1e-2
    """Rate of that training (plain SGD, as in the authors' code)."""
    save: bool = False
    """Keep the pruned model of the last point in ``model/``."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from one_of("order", self.order, ORDERS)
        if self.share is not None:
            yield from between("share", self.share, 0, 1)
        if not 0 < self.grid <= 1:
            yield f"grid: {self.grid} is outside (0, 1]"
        yield from at_least("floor", self.floor, 0)
        yield from at_least("retrain_steps", self.retrain_steps, 0)
        if self.retrain_learning_rate <= 0:
            yield f"retrain_learning_rate: {self.retrain_learning_rate} must be above 0"
        if self.importance_examples is not None:
            yield from at_least("importance_examples", self.importance_examples, 1)


def story(config: PruneHeads, run: Run) -> None:
    from experiments.curve_points import evaluated
    from experiments.orders import estimator, retrainer
    from prunekit.blocks import describe
    from prunekit.checkpoints import save
    from prunekit.costs import cost
    from prunekit.curves import kept_masks, kept_rows, pruning_steps, score_rows, share_within
    from prunekit.files import write_json
    from prunekit.ranked import kinds_of
    from prunekit.schedule import grid, reachable
    from prunekit.tasks.bleu import signatures
    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher

    teacher = load_teacher(config, run)
    rows = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
    run.data.append(rows.record("evaluation"))
    encoded = teacher.encode(rows)
    dense = cost(teacher.model, *encoded.mean_lengths)

    kinds = kinds_of(describe(teacher.model), config.kinds)
    shares = reachable(grid(config.grid), describe(teacher.model), config.floor, config.share, kinds)
    if config.share is not None:
        between_steps = config.order == "importance_stepwise" or config.retrain_steps > 0
        shares = sorted({0.0, config.share} | {share for share in shares if between_steps and share < config.share})
    steps = pruning_steps(
        teacher.model, shares, estimator(config, teacher, encoded, run), kinds=kinds,
        floor=config.floor, stepwise=config.order == "importance_stepwise", retrain=retrainer(config, teacher),
    )  # fmt: skip
    done = {line["step"]: line for line in run.logged()}  # of an interrupted run
    table, kept, masks = [], [], {}
    with run.stage("evaluate pruned models", len(shares)) as advance:
        for step, row in evaluated(config, run, steps, encoded, dense, done, advance):
            table.append(row)
            kept += kept_rows(step)
            masks[str(step.share)] = kept_masks(step)
    write_json(run.folder / "masks" / "heads.json", masks)
    run.table("points", table)
    run.table("kept", kept)
    run.table("scores", score_rows(step))
    if config.save:
        save(step.model, run.folder / "model", tokenizer=teacher.tokenizer)

    first, last = table[0], table[-1]
    run.metrics = {
        "order": config.order, "metric": config.task.metric, config.task.metric: last["value"],
        "baseline": first["value"], "baseline_low": first["low"], "baseline_high": first["high"],
        "share_within_baseline_band": share_within(table, first["low"]), "kinds": list(kinds),
        **signatures(config.task.metrics),
    }  # fmt: skip
    run.sparsity = {"requested_heads": last["share"]} | {
        name: last[name] for name in ("achieved_heads", "achieved_parameters", "achieved_macs")
    }


main = verb("prune_heads", PruneHeads, story, revision=1)

if __name__ == "__main__":
    main()

"""Prune heads in order of a score and evaluate what is left (Michel et al. 2019, Sec. 4; Fig. 3b).

python -m experiments.prune_heads scale=small order=importance
python -m experiments.prune_heads -m share=0.1,0.2,0.3,0.4,0.5 order=importance,random seed=0,1,2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from experiments.cli.verb import verb
from prunekit.config.ranges import RATE, STEPS, UNITS_OF_A_LAYER, within
from prunekit.heads.settings import CurveSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run



@dataclass(kw_only=True)
class PruneHeads(CurveSettings):
    """Cumulative global pruning of heads, every point evaluated on the physically pruned model."""

    orders: ClassVar[tuple[str, ...]] = (*CurveSettings.orders, "oracle")
    share: float | None = within(None, 0, 1)
    """Share of all heads that goes; null for the whole curve."""
    floor: int = within(0, 0, UNITS_OF_A_LAYER)
    """Heads with the highest scores that stay in every layer, whatever their rank."""
    retrain_steps: int = within(0, 0, STEPS)
    """Steps of training after every step of pruning; 0, as in the paper's figures."""
    retrain_learning_rate: float = within(1e-2, 0, RATE, above=True)
    """Rate of that training (plain SGD, as in the authors' code)."""
    save: bool = False
    """Keep the pruned model of the last point in ``model/``."""


def procedure(config: PruneHeads, run: Run) -> None:
    from prunekit.data.bleu import signatures
    from prunekit.heads.curve_points import CurvePoints
    from prunekit.heads.curves import kept_masks, kept_rows, pruning_steps, score_rows, share_within
    from prunekit.heads.orders import estimator, retrainer
    from prunekit.heads.ranked import kinds_of
    from prunekit.heads.schedule import grid, reachable
    from prunekit.models.blocks import describe
    from prunekit.models.checkpoints import save
    from prunekit.runs.run_data import evaluation_examples
    from prunekit.runs.teachers import load_teacher
    from prunekit.stages.emptied import warn_of_emptied
    from prunekit.support.files import write_json

    teacher = load_teacher(config, run)
    examples = evaluation_examples(config, teacher, run)
    kinds = kinds_of(describe(teacher.model), config.kinds)
    shares = reachable(grid(config.grid), describe(teacher.model), config.floor, config.share, kinds)
    if config.share is not None:
        between_steps = config.stepwise or config.retrain_steps > 0
        shares = sorted({0.0, config.share} | {share for share in shares if between_steps and share < config.share})
    steps = pruning_steps(
        teacher.model, shares, estimator(config, teacher, examples, run), kinds=kinds, floor=config.floor,
        stepwise=config.stepwise,
        retrain=retrainer(config, teacher, config.retrain_steps, config.retrain_learning_rate),
    )  # fmt: skip
    points = CurvePoints(config, run, teacher.model, examples)
    table, units, masks = [], [], {}
    with run.stage("evaluate pruned models", len(shares)) as advance:
        for step, row in points.evaluated(steps, advance):
            table.append(row)
            units += kept_rows(step)
            masks[str(step.share)] = kept_masks(step)
    write_json(run.folder / "masks" / "heads.json", masks)
    run.table("points", table)
    run.table("kept", units)
    run.table("scores", score_rows(step))
    if config.save:
        save(step.model, run.folder / "model", tokenizer=teacher.tokenizer)

    first, last = table[0], table[-1]
    if config.share is not None and set(kinds) == set(describe(teacher.model).kinds):  # curves end without any
        warn_of_emptied([
            {"unit": "heads", "layer": row["layer"], "kept": row["heads_kept"], "total": row["heads"]}
            for row in kept_rows(step)
        ])  # fmt: skip
    run.metrics = {
        "order": config.order, "metric": config.task.metric, **{name: last[name] for name in config.task.metrics},
        "baseline": first["value"], "baseline_low": first["low"], "baseline_high": first["high"],
        "share_within_baseline_band": share_within(table, first["low"]), "kinds": list(kinds),
        **signatures(config.task.metrics),
    }  # fmt: skip
    run.sparsity = {"requested_heads": last["share"]} | {
        name: last[name] for name in ("achieved_heads", "achieved_parameters", "achieved_macs")
    }


main = verb("prune_heads", PruneHeads, procedure, revision=1)

if __name__ == "__main__":
    main()

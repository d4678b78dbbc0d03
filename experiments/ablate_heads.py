"""Turn heads off one at a time, and all but one of a layer (Michel et al. 2019, Sec. 3; Fig. 1b, Tables 1 and 3).

python -m experiments.ablate_heads scale=small
python -m experiments.ablate_heads task=sst2 model=bert-base evaluation.examples=500
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.cli.verb import verb
from prunekit.config.ranges import EXAMPLES, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_questions

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class AblateHeads(Experiment):
    """Single-head and all-but-one ablation."""

    autocasts: ClassVar[bool] = False
    selection_examples: int | None = within(None, 1, EXAMPLES)
    """Training examples on which the head that stays is chosen for the second protocol of Table 3; null for none."""
    level: float = within(0.01, 0, 1)
    """Significance level, and the false discovery rate of the Benjamini-Hochberg decision."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)


def procedure(config: AblateHeads, run: Run) -> None:
    from prunekit.data.bleu import signatures
    from prunekit.data.rows import load_rows
    from prunekit.heads.effects import head_comparisons
    from prunekit.heads.tables import best_heads, head_rows, layer_rows
    from prunekit.runs.run_data import evaluation_examples, recorded_rows
    from prunekit.runs.teachers import load_teacher

    split = config.task.selection or config.task.train
    if config.selection_examples and config.task.selection:
        load_rows(config.task, split)  # read again below, hours later: what is wrong with it is refused now
    teacher = load_teacher(config, run)
    examples = evaluation_examples(config, teacher, run)
    comparisons = head_comparisons(
        config.task, teacher, examples, run, ("one_off", "all_but_one"), config.evaluation, seed=config.seed,
        role="evaluation",
    )  # fmt: skip
    one_left = comparisons["all_but_one"]
    heads = [
        row
        for ablation, by_kind in comparisons.items()
        for kind, comparison in by_kind.items()
        for row in head_rows(kind, ablation, comparison, len(examples), config.level)
    ]
    run.table("heads", heads)
    layers = []
    for kind, left in one_left.items():
        layers += layer_rows(kind, "dev", best_heads(left), left, len(examples), len(examples), config.level)

    if config.selection_examples:
        chosen = recorded_rows(run, "selection", config.task, split, config.selection_examples, config.seed)
        selection = head_comparisons(
            config.task, teacher, teacher.encode(chosen), run, ("all_but_one",), config.evaluation,
            seed=config.seed, tested=False, beside=None, label=f"choose heads on {split}", role="selection",
        )["all_but_one"]  # fmt: skip
        for kind, left in one_left.items():
            best = best_heads(selection[kind])
            layers += layer_rows(kind, "train", best, left, len(chosen), len(examples), config.level)
    run.table("layers", layers)

    one_off = [row for row in heads if row["ablation"] == "one_off"]
    deltas = [row["delta"] for row in one_off]
    run.metrics = {
        "metric": config.task.metric, "baseline": next(iter(one_left.values())).baseline,
        "worst_single_head_delta": min(deltas), "best_single_head_delta": max(deltas), "heads": len(deltas),
        "heads_significant": sum(row["significant"] for row in one_off),
        "heads_significant_bh": sum(row["significant_bh"] for row in one_off),
        "layers": sum(row["protocol"] == "dev" for row in layers),
        "layers_significant": sum(row["significant"] for row in layers if row["protocol"] == "dev"),
        **signatures(config.task.metrics),
    }  # fmt: skip


main = verb("ablate_heads", AblateHeads, procedure, revision=1)

if __name__ == "__main__":
    main()

"""Turn heads off one at a time, and all but one of a layer (Michel et al. 2019, Sec. 3; Fig. 1b, Tables 1 and 3).

python -m experiments.ablate_heads scale=small
python -m experiments.ablate_heads task=sst2 model=bert-base evaluation.examples=500
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.entry import run_main
from prunekit.checks import at_least, between
from prunekit.config import Experiment, without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run

VERB, REVISION = "ablate_heads", 1


@dataclass(kw_only=True)
class AblateHeads(Experiment):
    """Single-head and all-but-one ablation."""

    selection_examples: int | None = None
    """Training examples on which the head that stays is chosen for the second protocol of Table 3; 0 for none."""
    level: float = 0.01
    """Significance level, and the false discovery rate of the Benjamini-Hochberg decision."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from between("level", self.level, 0, 1)
        yield from at_least("selection_examples", self.selection_examples or 0, 0)


def story(config: AblateHeads, run: Run) -> None:
    import numpy as np

    from experiments.tables import head_rows, layer_rows
    from prunekit.effects import compare, head_effects
    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher

    teacher = load_teacher(config, run)
    rows = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
    run.data.append(rows.record("evaluation"))
    effects = head_effects(teacher, teacher.encode(rows), run, ("one_off", "all_but_one"), config.evaluation.batch_size)
    one_off, one_left = (
        compare(config.task, effects.baseline, effects.ablated[name], rows.labels, config.seed)
        for name in ("one_off", "all_but_one")
    )
    heads = head_rows("one_off", one_off, len(rows), config.level) + head_rows(
        "all_but_one", one_left, len(rows), config.level
    )
    run.table("heads", heads)
    layers = layer_rows("dev", one_left.values.argmax(1), one_left, len(rows), len(rows), config.level)

    if config.selection_examples:
        chosen = load_rows(config.task, config.task.train).sample(config.selection_examples, seed=config.seed)
        run.data.append(chosen.record("selection"))
        selection = head_effects(
            teacher,
            teacher.encode(chosen),
            run,
            ("all_but_one",),
            config.evaluation.batch_size,
            "choose heads on train",
        )
        on_train = compare(
            config.task, selection.baseline, selection.ablated["all_but_one"], chosen.labels, config.seed
        )
        layers += layer_rows("train", on_train.values.argmax(1), one_left, len(chosen), len(rows), config.level)
    run.table("layers", layers)

    run.metrics = {
        "metric": config.task.metric,
        "baseline": one_off.baseline,
        "worst_single_head_delta": float(np.min(one_off.deltas)),
        "best_single_head_delta": float(np.max(one_off.deltas)),
        "heads": one_off.deltas.size,
        "heads_significant": sum(row["significant"] for row in heads if row["ablation"] == "one_off"),
        "heads_significant_bh": sum(row["significant_bh"] for row in heads if row["ablation"] == "one_off"),
        "layers": len(one_left.values),
        "layers_significant": sum(row["significant"] for row in layers if row["protocol"] == "dev"),
    }


def perform(config: AblateHeads) -> dict[str, Any]:
    from experiments.report import announce
    from prunekit.runs import execute

    return announce(execute(VERB, REVISION, config, story), config)


if __name__ == "__main__":
    run_main(VERB, AblateHeads, perform)

"""Do the same heads matter on other data? (Michel et al. 2019, Sec. 3.4; Fig. 2b)

python -m experiments.transfer scale=small             # MNLI-m and SNLI
python -m experiments.transfer scale=paper             # MNLI-m and MNLI-mm
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.entry import run_main
from prunekit.config import Experiment, TaskConfig, without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run

VERB, REVISION = "transfer", 1


@dataclass(kw_only=True)
class Transfer(Experiment):
    """Correlation of single-head effects between two evaluation sets."""

    second: TaskConfig = field(default_factory=TaskConfig)
    """The other data; the teacher is trained on ``task`` only."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        if self.second.labels != self.task.labels:
            yield f"second.labels: {self.second.labels} should be the labels of task, {self.task.labels}"


def story(config: Transfer, run: Run) -> None:
    from prunekit.curves import KIND
    from prunekit.effects import compare, head_effects
    from prunekit.statistics import pearson
    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher

    teacher = load_teacher(config, run)
    comparisons = []
    for role, task in (("evaluation", config.task), ("second", config.second)):
        rows = load_rows(task, task.evaluation).sample(config.evaluation.examples)
        run.data.append(rows.record(role))
        label = f"ablate heads on {task.name}"
        effects = head_effects(teacher, teacher.encode(rows), run, ("one_off",), config.evaluation.batch_size, label)
        comparisons.append(compare(config.task, effects.baseline, effects.ablated["one_off"], rows.labels, config.seed))
    first, second = comparisons
    layers, heads = first.deltas.shape
    run.table(
        "effects",
        [
            {
                "kind": KIND, "layer": layer, "head": head,
                "first_delta": first.deltas[layer, head], "second_delta": second.deltas[layer, head],
            }
            for layer in range(layers)
            for head in range(heads)
        ],
    )  # fmt: skip
    r, p_value = pearson(first.deltas.ravel(), second.deltas.ravel())
    run.metrics = {
        "metric": config.task.metric, "pearson_r": r, "p_value": p_value, "heads": first.deltas.size,
        "first": f"{config.task.name}/{config.task.evaluation}",
        "second": f"{config.second.name}/{config.second.evaluation}",
        "first_baseline": first.baseline, "second_baseline": second.baseline,
    }  # fmt: skip


def perform(config: Transfer) -> dict[str, Any]:
    from experiments.report import announce
    from prunekit.runs import execute

    return announce(execute(VERB, REVISION, config, story), config)


if __name__ == "__main__":
    run_main(VERB, Transfer, perform)

"""Do the same heads matter on other data? (Michel et al. 2019, Sec. 3.4; Fig. 2b)

python -m experiments.transfer scale=small             # MNLI-m and SNLI
python -m experiments.transfer scale=paper             # MNLI-m and MNLI-mm
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.cli.verb import verb
from prunekit.config.sections import Experiment
from prunekit.config.task import TaskConfig, without_questions

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class Transfer(Experiment):
    """Correlation of single-head effects between two evaluation sets."""

    autocasts: ClassVar[bool] = False
    second: TaskConfig = field(default_factory=TaskConfig)
    """The other data; the teacher is trained on ``task`` only."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        if self.second.kind != self.task.kind:
            yield f"second: {self.second.name} is {self.second.kind}, it should be {self.task.kind} as task is"
        if self.second.labels != self.task.labels:
            yield f"second.labels: {self.second.labels} should be the labels of task, {self.task.labels}"


def procedure(config: Transfer, run: Run) -> None:
    import numpy as np

    from prunekit.data.bleu import signatures
    from prunekit.data.rows import load_rows
    from prunekit.heads.effects import head_comparisons
    from prunekit.runs.run_data import recorded_rows
    from prunekit.runs.teachers import load_teacher
    from prunekit.support.statistics import pearson

    load_rows(config.second, config.second.evaluation)  # what is wrong with it is refused before a teacher is trained
    teacher = load_teacher(config, run)
    sets: list[tuple[str, str, Any]] = []  # both are read before the first is ablated: that may take an hour
    for role, task in (("evaluation", config.task), ("second", config.second)):
        rows = recorded_rows(run, role, task, task.evaluation, config.evaluation.examples)
        sets.append((role, f"{task.name} {task.evaluation}", teacher.encode(rows)))
    comparisons = [
        head_comparisons(
            config.task, teacher, examples, run, ("one_off",), config.evaluation,
            seed=config.seed, tested=False, beside="" if role == "evaluation" else f"{role}_",
            label=f"ablate heads on {name}", role=role,
        )["one_off"]
        for role, name, examples in sets
    ]  # fmt: skip
    first, second = comparisons
    effects = [
        {
            "kind": kind, "layer": layer, "head": head,
            "first_delta": first[kind].deltas[layer, head], "second_delta": second[kind].deltas[layer, head],
        }
        for kind in first
        for layer, head in np.ndindex(first[kind].deltas.shape)
        if not np.isnan(first[kind].deltas[layer, head])
    ]  # fmt: skip
    run.table("effects", effects)
    r, p_value = pearson(*(np.asarray([row[name] for row in effects]) for name in ("first_delta", "second_delta")))
    baselines = [next(iter(by_kind.values())).baseline for by_kind in comparisons]
    run.metrics = {
        "metric": config.task.metric, "pearson_r": r, "p_value": p_value, "heads": len(effects),
        "first": f"{config.task.name}/{config.task.evaluation}",
        "second": f"{config.second.name}/{config.second.evaluation}",
        "first_baseline": baselines[0], "second_baseline": baselines[1], **signatures(config.task.metrics),
    }  # fmt: skip


main = verb("transfer", Transfer, procedure, revision=1)

if __name__ == "__main__":
    main()

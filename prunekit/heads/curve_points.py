"""Points of pruning curves: evaluated once, logged as they come, taken from the log of an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prunekit.config.sections import Experiment
from prunekit.data.batches import Examples
from prunekit.evaluation.evaluate import evaluate
from prunekit.heads.curves import Step, point
from prunekit.models.costs import cost
from prunekit.runs.beside_trivial import record_beside_trivial, scored_row
from prunekit.runs.execute import Run
from prunekit.runs.run_data import logged_on_the_same

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Row = dict[str, Any]


class CurvePoints:
    """What turns the steps of a run's pruning curves into rows of its table."""

    def __init__(self, config: Experiment, run: Run, model: PreTrainedModel, examples: Examples) -> None:
        """``model`` is the unpruned one, ``examples`` are evaluated on."""
        self.config, self.run, self.examples = config, run, examples
        self.dense = cost(model, *examples.mean_lengths)

    @cached_property
    def done(self) -> dict[int, Row]:
        """Points of an interrupted run that have all of the task's metrics; looked up once all rows are read."""
        wanted = set(self.config.task.metrics)
        return {line["step"]: line for line in logged_on_the_same(self.run) if wanted <= set(line)}

    def evaluated(
        self,
        steps: Iterable[Step],
        advance: Callable[[int], None],
        *,
        first: int = 0,
        judged: bool = True,
        **names: Any,
    ) -> Iterator[tuple[Step, Row]]:
        """Every step of a curve with its row.

        Args:
            advance: called with 1 after every step.
            first: step in the log of the curve's first point.
            judged: the curve's unpruned model is the run's, recorded beside the trivial answer.
            names: what tells this curve from others of the run, put into every row.
        """
        config = self.config
        for number, step in enumerate(steps, first):
            model = {**names, "share": step.share}
            if number not in self.done or not self.run.answers.has("evaluation", [model]):
                result = evaluate(
                    config.task, step.model, self.examples, device=self.run.device,
                    batch_size=config.evaluation.batch_size, beams=config.evaluation.beams, precision=config.dtype,
                )  # fmt: skip
                own = point(config.task, step, result, self.dense, *self.examples.mean_lengths)
                self.run.answers.add("evaluation", [model], result.answers)
                self.done[number] = {**names, **own}
                self.run.log(number, **self.done[number])
            if judged and not step.removed:
                whole = scored_row(config.task, self.done[number])
                record_beside_trivial(self.run, config.task, step.model, self.examples.rows, whole)
            advance(1)
            yield step, {name: value for name, value in self.done[number].items() if name != "step"}

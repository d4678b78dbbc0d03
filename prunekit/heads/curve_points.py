"""Points of pruning curves: evaluated once, logged as they come, taken from the log of an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prunekit.costs import Cost
from prunekit.curves import Step, point
from prunekit.evaluation import evaluate
from prunekit.tasks.batches import Examples

if TYPE_CHECKING:
    from prunekit.config import Experiment
    from prunekit.runs import Run

Row = dict[str, Any]


def evaluated(
    config: Experiment,
    run: Run,
    steps: Iterable[Step],
    examples: Examples,
    dense: Cost,
    done: dict[int, Row],
    advance: Callable[[int], None],
    *,
    first: int = 0,
    **names: Any,
) -> Iterator[tuple[Step, Row]]:
    """Every step of a curve with its row.

    Args:
        dense: cost of the unpruned model at the mean lengths of ``examples``.
        done: lines that an interrupted run had logged, by step.
        first: step in the log of the curve's first point.
        names: what tells this curve from others of the run, put into every row.
    """
    for number, step in enumerate(steps, first):
        if number not in done:
            found = evaluate(
                config.task, step.model, examples, device=run.device, batch_size=config.evaluation.batch_size,
                beams=config.evaluation.beams, precision=config.dtype,
            )  # fmt: skip
            done[number] = {**names, **point(config.task, step, found, dense, *examples.mean_lengths)}
            run.log(number, **done[number])
        advance(1)
        yield step, {name: value for name, value in done[number].items() if name != "step"}

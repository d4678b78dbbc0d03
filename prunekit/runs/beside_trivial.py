"""Is the model that a run begins with any better than the trivial answer? It is recorded, and said where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import Rows, notice
from prunekit.data.kinds import kind_of
from prunekit.data.label_order import is_generic, output_names
from prunekit.evaluation.evaluate import Scored
from prunekit.evaluation.trivial import trivial_scores
from prunekit.runs.execute import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record_beside_trivial(
    run: Run, task: TaskConfig, model: PreTrainedModel, rows: Rows, whole: Scored, *, prefix: str = ""
) -> None:
    """Put the trivial answer's scores on ``rows`` into the run's metrics (``trivial``), and whether the whole model is
    significantly above it (``above_trivial``): its 95 % band by the task's first metric lies above. Say so if not.

    Args:
        rows: that the model was evaluated on.
        whole: its score.
        prefix: of the names, for rows other than the run's own.
    """
    trivial = trivial_scores(task, rows)
    value, floor = whole.metrics[task.metric], trivial[task.metric]
    above = whole.low > floor
    run.beside[f"{prefix}trivial"], run.beside[f"{prefix}above_trivial"] = trivial, above
    if above:
        return
    answer = kind_of(task).trivial_answer
    line = (
        f"the whole model's {task.metric} on {len(rows):,} rows of task {rows.task.name} is {value:.3f}, {answer} "
        f"gives {floor:.3f}: not significantly above that (95 % band from {whole.low:.3f}), so it judges no claim"
    )
    if value <= floor and task.labels and is_generic(output_names(model)):
        line += (
            f"; its outputs have no names: if they are not in the order {', '.join(task.labels)}, set id2label in its "
            "config.json"
        )
    notice(line)


def scored_row(task: TaskConfig, row: Mapping[str, Any]) -> Scored:
    """What a row of a table, fresh or from the log of an interrupted run, says of its model."""
    return Scored({name: row[name] for name in task.metrics}, row["low"], row["high"], None)

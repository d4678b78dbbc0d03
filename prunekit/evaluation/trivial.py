"""What rows score without a model: the least that a score has to exceed before it says anything.

For each metric of the task the score of the trivial answer, from the evaluation rows alone; what that is each kind of
task says (:meth:`prunekit.data.kinds.base.TaskKind.trivial_scores`).
"""

from __future__ import annotations

from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds import kind_of


def trivial_scores(task: TaskConfig, rows: Rows) -> dict[str, float]:
    """The score of the task's trivial answer, by metric, in [0, 1]; the best one where there are several.

    Args:
        rows: that the task is evaluated on.
    """
    return kind_of(task).trivial_scores(task, rows)

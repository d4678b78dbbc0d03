"""A metric of many models beside one baseline's, tested for significance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.metrics import METRICS, predictions
from prunekit.evaluation.evaluate import score
from prunekit.support.statistics import mcnemar, paired_bootstrap


@dataclass(frozen=True)
class Comparison:
    """A metric of many models beside one baseline's; arrays have the leading axes of the models' logits."""

    metric: str
    baseline: float
    values: np.ndarray
    deltas: np.ndarray
    p_values: np.ndarray


def compare(
    task: TaskConfig, baseline: np.ndarray, ablated: np.ndarray, labels: np.ndarray, seed: int = 0
) -> Comparison:
    """Test every model against the baseline: exact McNemar for accuracy, paired bootstrap for other metrics.

    Args:
        baseline: logits (example, label). ablated: logits (..., example, label).
    """
    metric = METRICS[task.metric]
    base, others = predictions(baseline, task.regression), predictions(ablated, task.regression)
    value = score(task, baseline, labels)[task.metric]
    values = np.empty(others.shape[:-1])
    for place in np.ndindex(values.shape):
        values[place] = metric.compute(others[place], labels)
    if metric.is_accuracy:
        p_values = mcnemar(base == labels, others == labels)
    else:
        p_values = paired_bootstrap(metric.resampled, base, others, labels, seed=seed)
    return Comparison(task.metric, value, values, values - value, p_values)

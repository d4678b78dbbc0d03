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
    """A metric of many models beside one baseline's; arrays have the leading axes of the models' logits, and are NaN
    where there is no model."""

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
        baseline: logits (example, label).
        ablated: logits (..., example, label), NaN where there is no such model, as of heads that a pruned model does
            not have; NaN is what that then has.
    """
    metric = METRICS[task.metric]
    base, others = predictions(baseline, task.regression), predictions(ablated, task.regression)
    value = score(task, baseline, labels)[task.metric]
    there = ~np.isnan(ablated).all((-2, -1))
    values, p_values = np.full(there.shape, np.nan), np.full(there.shape, np.nan)
    values[there] = [metric.compute(one, labels) for one in others[there]]
    if metric.is_accuracy:
        p_values[there] = mcnemar(base == labels, others[there] == labels)
    else:
        p_values[there] = paired_bootstrap(metric.resampled, base, others[there], labels, seed=seed)
    return Comparison(task.metric, value, values, values - value, p_values)

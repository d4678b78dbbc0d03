"""What an interval over runs and over rows should be, from SciPy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def over_runs_and_rows(
    values: Sequence[float], rows_variance: float, rows: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Of the mean of a value a run: after Welch and Satterthwaite, or of the runs alone where that is wider."""
    runs = np.var(values, ddof=1) / len(values)
    total = runs + rows_variance
    freedom = total**2 / (runs**2 / (len(values) - 1) + rows_variance**2 / (rows - 1))
    together = stats.t.ppf((1 + confidence) / 2, freedom) * total**0.5
    alone = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * runs**0.5
    mean, half = float(np.mean(values)), float(max(together, alone))
    return mean - half, mean + half

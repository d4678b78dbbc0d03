"""How sure a median of rounds is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

QUARTILES = 1.349
"""The quartiles of a normal variable are so many standard deviations apart."""
OF_MEDIAN = 1.2533
"""The standard error of the median of normal variables over that of their mean."""


def error_of_median(low: Any, high: Any, repeats: Any) -> Any:
    """Its standard error, from the quartiles of the rounds and their number; of columns a column.

    >>> round(error_of_median(1.0, 1.1, 100), 4)
    0.0093
    """
    return OF_MEDIAN * (high - low) / QUARTILES / repeats**0.5


def relative_error(rows: pd.DataFrame) -> pd.Series:
    """Standard error of each median of a table of timings, as a share of it, from its quartiles and number of repeats.
    """
    error: pd.Series = error_of_median(rows["low_ms"], rows["high_ms"], rows["repeats"]) / rows["median_ms"]
    return error

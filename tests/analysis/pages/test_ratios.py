"""A measured ratio on a page has the interval of its median."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.pages.ratios import speedup
from analysis.pages.table_rows import TableRows
from prunekit.support.errors import UserError


def test_a_ratio_has_the_interval_of_its_median() -> None:
    frame = pd.DataFrame({"batch": [1, 16], "speedup": [1.3, 2.0], "speedup_low": [1.2, 2.0],
                          "speedup_high": [1.5, 2.0], "repeats": [6, 60]})  # fmt: skip
    rows = TableRows(frame, "decoding")
    half = stats.t.ppf(0.975, 5) * 1.2533 * 0.3 / 1.349 / 6**0.5 / 1.3
    low, high = 1.3 * np.exp([-half, half])
    assert speedup(rows.where(batch=1)) == f"1.30 ({low:.2f} to {high:.2f})" and low < 1.1
    assert speedup(rows.where(batch=16)) == "2.00 (2.00 to 2.00)"
    with pytest.raises(UserError, match="2 rows where one is meant"):
        speedup(rows)

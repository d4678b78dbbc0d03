"""Pruned models beside plain ones of their shapes: by the intervals of the rounds, for all shapes at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis.pages import hand_built

ROUNDS = (-0.01, 0.0, 0.0, 0.01) * 5


def repeats(**ratios: float) -> pd.DataFrame:
    """Rounds of two shapes at batch 1 and 32, and beside the unpruned model, which plays no part."""
    return pd.DataFrame([
        {"comparison": f"{name.replace('_', ' ')}, batch {batch}: {what}", "ratio": ratio + around}
        for name, ratio in ratios.items() for batch in (32, 1) for what in ("unpruned", "hand-built")
        for around in ROUNDS
    ])  # fmt: skip


def of(frame: pd.DataFrame) -> Any:
    return SimpleNamespace(table={"repeats": SimpleNamespace(frame=frame)}.__getitem__)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [(0.97, "**holds** (2 of 2 shapes)"), (0.8, "**does not hold** (1 of 2 shapes)"),
     (0.951, "**undecided** (1 of 2 shapes)")],
)  # fmt: skip
def test_every_shape_has_to_be_as_fast(second: float, verdict: str) -> None:
    lines = hand_built.text(of(repeats(deep=0.99, few_layers=second))).splitlines()
    assert lines[0] == "| speed beside hand-built, % (95 % interval) | batch 1 | batch 32 |"
    assert lines[2] == "| deep | 99 (99 to 99) | 99 (99 to 99) |"
    assert lines[3].startswith("| few layers | ") and len(lines) == 6
    assert lines[-1] == f"At batch 1 all have at least 95 % of its speed: {verdict}."


def test_the_interval_is_that_of_a_median() -> None:
    """Quartiles half a point to either side, 20 rounds."""
    own = hand_built.speeds(repeats(deep=0.9))
    assert set(own) == {("deep", 1), ("deep", 32)}
    quartiles = pd.Series(ROUNDS).quantile([0.25, 0.75])
    error = 1.2533 * (quartiles[0.75] - quartiles[0.25]) / 1.349 / 20**0.5
    assert own["deep", 1].value == pytest.approx(90) and own["deep", 1].main.rows_error == pytest.approx(error / 0.9)

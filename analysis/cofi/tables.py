"""Cells that the tables of CoFi share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.data.averages import mean_text

if TYPE_CHECKING:
    import pandas as pd


def score(frame: pd.DataFrame) -> list[str]:
    """The metric's name, and its mean over runs as :func:`~analysis.data.averages.mean_text` writes it."""
    return [f"{metric} {mean_text(each)}" for metric, each in zip(frame["metric"], frame["each"], strict=True)]


def counted(frame: pd.DataFrame) -> list[str]:
    """Per cent of the prunable parameters that are gone, starred where a run missed its target."""
    return [f"{row.counted:.1f}" + ("*" if row.missed else "") for row in frame.itertuples()]


def signed(values: pd.Series) -> list[str]:
    """Points with their sign; empty where they are not known."""
    return ["" if math.isnan(value) else f"{value:+z.1f}" for value in values]


def apart(frame: pd.DataFrame, name: str, reference: str) -> list[str]:
    """``difference`` in points with its sign; empty for the rows whose ``name`` is the ``reference`` itself."""
    texts = signed(frame["difference"])
    return ["" if own == reference else text for own, text in zip(frame[name], texts, strict=True)]


def times(values: pd.Series) -> list[str]:
    """Speed-ups; empty where none was measured."""
    return ["" if math.isnan(value) else f"{value:.2f} x" for value in values]


def per_cent(values: pd.Series) -> list[str]:
    return [f"{value:.1f}" for value in values]


def in_order(frame: pd.DataFrame, column: str, names: list[str]) -> pd.DataFrame:
    """By task and requested sparsity, then as ``names`` has them, names that it lacks last."""
    places = {name: place for place, name in enumerate(names)}
    order = frame[column].map(lambda name: (places.get(name, len(places)), name))
    rows = frame.assign(order=order).sort_values(["panel", "requested", "order"], ignore_index=True)
    return rows.drop(columns="order")

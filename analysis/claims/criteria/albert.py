"""When does a claim of Lan et al. 2019 (ALBERT) hold? From timings of both models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.evidence import PAIR
from analysis.claims.registry import criterion
from analysis.data import published
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.intervals.estimates import fixed
from analysis.intervals.medians import relative_error
from analysis.intervals.positive import Positive
from analysis.michel.table4 import TIMINGS

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record


@criterion
def factorised(group: Group, journal: Journal) -> list[Outcome]:
    """BERT's word embeddings over ALBERT's and their projection, in per cent of the published ratio.

    The published one rounds BERT's vocabulary down.
    """
    sizes = [_embedding(record) for record in _one_each(group)]
    if None in sizes:
        return []
    albert, bert = (float(size or 0) for size in sizes)
    ratio, printed = bert / albert, published_ratio()
    return [Outcome(fixed(100 * ratio / printed), f"{ratio:.1f} x, {_millions(bert)} to {_millions(albert)}")]


@criterion
def shared(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent that the layers have in what layers and word embeddings save together."""
    embeddings = [_embedding(record) for record in _one_each(group)]
    layers = [_layers(record) for record in _one_each(group)]
    if None in embeddings or None in layers:
        return []
    (albert, bert), (small, large) = ([float(x or 0) for x in layers], [float(x or 0) for x in embeddings])
    by_sharing, by_factors = bert - albert, large - small
    note = f"layers {_millions(bert)} to {_millions(albert)}, embeddings {_millions(large)} to {_millions(small)}"
    portion = 100 * by_sharing / (by_sharing + by_factors)
    return [Outcome(fixed(portion), note)]


@criterion
def not_faster(group: Group, journal: Journal) -> list[Outcome]:
    """ALBERT's median time over BERT's, unpruned, the geometric mean over common shapes.

    Cannot hold where ALBERT's layers have not fewer parameters.
    """
    import numpy as np

    cell = ["batch_size", "length"]
    times: dict[str, pd.DataFrame] = {}
    for record, table in read_tables(group.records, "timings", TIMINGS, journal):
        original = table[table["variant"] == "original"].drop_duplicates(cell)
        times.setdefault(record.model.name, original.assign(error=relative_error(original)))
    layers = [_layers(record) for record in _one_each(group)]
    if set(times) != set(PAIR) or None in layers:
        return []
    both = times[PAIR[0]].merge(times[PAIR[1]], on=cell, suffixes=("_albert", "_bert"))
    if both.empty:
        return []
    ratios = both["median_ms_albert"] / both["median_ms_bert"]
    mean = float(np.log(ratios).mean())
    errors = both[["error_albert", "error_bert"]].to_numpy()
    error = float(np.sqrt((errors**2).sum())) / len(both)
    repeats = int(both[["repeats_albert", "repeats_bert"]].to_numpy().min())
    albert, bert = (float(size or 0) for size in layers)
    span = f"{ratios.min():.2f} to {ratios.max():.2f} over {len(ratios)} shapes" if len(ratios) > 1 else "1 shape"
    note = f"{span}; layers {_millions(bert)} to {_millions(albert)} parameters"
    margin = None if albert < bert else math.inf
    return [Outcome(Positive(fixed(mean, error, repeats)), note, margin=margin)]


def published_ratio() -> float:
    """BERT's word embeddings over ALBERT's, as printed."""
    sizes = published.read("albert_embedding_parameters").set_index("model")["embedding_parameters"]
    return float(sizes["BERT-base"] / sizes["ALBERT-base"])


def _one_each(group: Group) -> list[Record]:
    """The first run of ALBERT and of BERT: sizes are the same in all."""
    return [next(record for record in group.records if record.model.name == name) for name in PAIR]


def _embedding(record: Record) -> int | None:
    """Parameters of the word embeddings and of their projection to the hidden size, from the shape; None if unknown."""
    shape = record.config.get("model", {}).get("shape") or {}
    if "vocab_size" not in shape or "hidden_size" not in shape:
        return None
    hidden, narrow = int(shape["hidden_size"]), shape.get("embedding_size")
    if narrow is None:
        return int(shape["vocab_size"]) * hidden
    return int(shape["vocab_size"]) * int(narrow) + int(narrow) * hidden


def _layers(record: Record) -> float | None:
    """Parameters of all attention and FFN projections, a shared one once; None if unknown."""
    names = ("attention_parameter_share", "attention_share_of_layers")
    of_all, of_layers = (record.metrics.get(name) for name in names)
    if not of_all or not of_layers:
        return None
    return record.model.parameters * float(of_all) / float(of_layers)


def _millions(number: float) -> str:
    return f"{number / 1e6:.1f} M"

"""Published numbers that a claim needs and no table prints as such: counted or averaged from what the papers print."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.claims import registry
from analysis.claims.criteria import albert, michel
from analysis.cofi import published as of_cofi
from analysis.michel import published as of_michel


@dataclass(frozen=True)
class PublishedShare:
    """Some of all."""

    some: int
    all: int

    @property
    def percent(self) -> float:
        return 100 * self.some / self.all


@dataclass(frozen=True)
class PublishedRange:
    low: float
    high: float


@registry.published
def rerun_advantage(*, beyond: float) -> michel.Advantage:
    """Mean advantage of importance over oracle above ``beyond`` per cent, from an independent rerun's curves."""
    curves = of_michel.pruning_curves()
    by_order = {order: rows.set_index("share")["value"] for order, rows in curves.groupby("order")}
    mean = michel.advantage(by_order["importance"], by_order["oracle"], beyond / 100)
    assert mean is not None
    return mean


@registry.published
def gain(*, batch_size: int) -> float:
    """Table 4 of Michel et al.: per cent by which BERT without half of its heads is faster."""
    return float(100 * of_michel.speed().set_index("batch_size")["gain"][batch_size])


@registry.published
def unchanged_heads() -> PublishedShare:
    """Table 1 of Michel et al.: heads whose removal changes nothing significantly, of all."""
    grid = of_michel.single_heads()
    return PublishedShare(len(grid) - int(grid["significant"].sum()), len(grid))


@registry.published
def better_removed() -> PublishedShare:
    """The same table: heads whose removal raises BLEU significantly, of those with a significant change."""
    grid = of_michel.single_heads()
    significant = grid[grid["significant"]]
    return PublishedShare(int((significant["delta_points"] > 0).sum()), len(significant))


@registry.published
def one_head_layers(*, protocol: str) -> PublishedShare:
    """Tables 2 and 5 of Michel et al.: layers whose best single head loses nothing significant, of all kinds."""
    rows = of_michel.best_translation_heads()
    rows = rows[rows["protocol"] == protocol]
    return PublishedShare(int((~(rows["significant"] & (rows["delta_points"] < 0))).sum()), len(rows))


@registry.published
def last_cross_layer(*, protocol: str) -> float:
    """The same tables: points of BLEU with one head in the last layer of encoder-decoder attention."""
    rows = of_michel.best_translation_heads()
    rows = rows[(rows["protocol"] == protocol) & (rows["kind"] == "enc-dec")]
    return float(rows.sort_values("layer")["delta_points"].iloc[-1])


@registry.published
def over_dense_student() -> PublishedRange:
    """Table 2 of Xia et al.: points of CoFi over TinyBERT4 without general distillation, over tasks."""
    gains = of_cofi.dense_student()["difference"]
    return PublishedRange(float(gains.min()), float(gains.max()))


@registry.published
def embedding_ratio() -> float:
    """Sec. 3.1 of Lan et al.: BERT's word embeddings over ALBERT's."""
    return albert.published_ratio()

"""Small synthetic run records of translation: an encoder-decoder, three kinds of attention, BLEU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.records.frame import write_run
from tests.support.records.michel import within

MARIAN = {"name": "marian-small", "path": None, "weights": "scratch", "family": "marian", "parameters": 7_000_000,
          "layers": 4, "heads": 24}  # fmt: skip
"""2 + 2 layers of 4 heads."""
KINDS = ("enc-enc", "enc-dec", "dec-dec")
LAYERS, HEADS = 2, 4
BLEU = 0.35
UNITS = pd.DataFrame(
    [{"kind": kind, "layer": layer, "head": head} for kind in KINDS for layer in range(LAYERS) for head in range(HEADS)]
)


def write(root: Path, verb: str, config: Mapping[str, Any] | None = None, **kwargs: Any) -> Path:
    """A run of translation of which all but the given is the same everywhere."""
    task = {"name": "multi30k", "translation": True}
    given: dict[str, Any] = {"model": MARIAN, "task": task["name"], "rows": 1000} | kwargs
    return write_run(root, verb, config={"task": task} | dict(config or {}), **given)


def ablation(
    root: Path,
    one_off: Mapping[tuple[str, int, int], float] | None = None,
    kept: Mapping[tuple[str, int, str], float] | None = None,
    **kwargs: Any,
) -> Path:
    """A run of ``ablate_heads``.

    Arguments:
        one_off: changes of BLEU by kind, layer and head that are significant; all others are -0.0005 and are not.
        kept: the same of layers with one head left, by kind, layer and protocol.
    """
    one_off = {("enc-enc", 0, 1): -0.01, ("enc-dec", 1, 3): -0.08} if one_off is None else one_off
    kept = {("enc-dec", 1, "dev"): -0.12, ("enc-dec", 1, "train"): -0.15} if kept is None else kept

    def tested(found: float | None) -> dict[str, Any]:
        delta = -0.0005 if found is None else found
        significant = found is not None
        return {"metric": "bleu", "examples": 1000, "baseline": BLEU, "value": BLEU + delta, "delta": delta,
                "p_value": 0.002 if significant else 0.4, "significant": significant,
                "significant_bh": significant}  # fmt: skip

    heads = [
        {**unit, "ablation": name, **tested(one_off.get((unit["kind"], unit["layer"], unit["head"])))}
        for name in ("one_off", "all_but_one")
        for unit in UNITS.to_dict("records")
    ]
    layers = [
        {"kind": kind, "layer": layer, "protocol": protocol, "head": layer + 1,
         "selection_examples": 1000 if protocol == "dev" else 500, **tested(kept.get((kind, layer, protocol)))}
        for protocol in ("dev", "train")
        for kind in KINDS
        for layer in range(LAYERS)
    ]  # fmt: skip
    tables = {"heads": pd.DataFrame(heads), "layers": pd.DataFrame(layers)}
    changes = [*one_off.values(), -0.0005]
    metrics = {"metric": "bleu", "baseline": BLEU, "heads": len(UNITS), "layers": LAYERS * len(KINDS),
               "worst_single_head_delta": min(changes), "best_single_head_delta": max(changes),
               "heads_significant": len(one_off), "heads_significant_bh": len(one_off),
               "layers_significant": len([1 for _, _, protocol in kept if protocol == "dev"])}  # fmt: skip
    return write(root, "ablate_heads", tables=tables, metrics=metrics, **kwargs)


def transfer(root: Path, second: str = "multi30k", **kwargs: Any) -> Path:
    """A run of ``transfer``: r is 1 within self-attention of the encoder, -1 within that of the decoder."""
    first = -0.001 * np.arange(1, len(UNITS) + 1)
    sign = UNITS["kind"].map({"enc-enc": 1.0, "enc-dec": 2.0, "dec-dec": -1.0})
    table = UNITS.assign(first_delta=first, second_delta=first * sign)
    metrics = {"metric": "bleu", "pearson_r": float(np.corrcoef(first, first * sign)[0, 1]), "p_value": 0.04,
               "heads": len(UNITS), "first": "multi30k/test", "second": f"{second}/validation",
               "first_baseline": BLEU, "second_baseline": BLEU}  # fmt: skip
    config = {"second": {"name": second}}
    return write(root, "transfer", config, tables={"effects": table}, metrics=metrics, **kwargs)


def pruning(
    root: Path,
    order: str = "importance",
    kinds: list[str] | None = None,
    values: Mapping[float, float] | None = None,
    **kwargs: Any,
) -> Path:
    """A run of ``prune_heads`` of all kinds or of ``kinds``, over ``values``: BLEU by share."""
    values = {0.0: BLEU, 0.5: 0.30, 0.8: 0.20, 1.0: 0.01} if values is None else values
    units = UNITS[UNITS["kind"].isin(kinds or KINDS)].reset_index(drop=True)
    rank = np.random.default_rng(len(order)).permutation(len(units))
    points, kept = [], []
    for share, value in values.items():
        cut = int(len(units) * share)
        points.append(point(share, cut, len(units), value, kinds))
        alive = units[rank >= cut].groupby(["kind", "layer"]).size()
        kept += [
            {"share": share, "kind": kind, "layer": layer, "heads_kept": int(alive.get((kind, layer), 0)),
             "heads": HEADS}
            for kind in kinds or KINDS
            for layer in range(LAYERS)
        ]  # fmt: skip
    return write(
        root,
        "prune_heads",
        {"order": order, "share": None, "kinds": kinds},
        tables={"points": pd.DataFrame(points), "kept": pd.DataFrame(kept),
                "scores": units.assign(score=rank / len(rank), rank=rank)},
        metrics={"order": order, "metric": "bleu", "kinds": list(kinds or KINDS), "baseline": BLEU,
                 "baseline_low": BLEU - 0.01, "baseline_high": BLEU + 0.01,
                 "share_within_baseline_band": within(points, BLEU - 0.01)},
        sparsity={"requested_heads": points[-1]["share"]}
        | {name: points[-1][name] for name in ("achieved_heads", "achieved_macs", "achieved_parameters")},
        **kwargs,
    )  # fmt: skip


def point(share: float, cut: int, total: int, value: float, kinds: list[str] | None = None) -> dict[str, Any]:
    """A point of a curve: ``cut`` of ``total`` heads are gone."""
    gone = cut / total
    return {"share": share, "kinds": "+".join(kinds or KINDS), "heads_kept": total - cut, "heads_total": total,
            "achieved_heads": gone, "metric": "bleu", "value": value, "low": value - 0.01, "high": value + 0.01,
            "parameters": round(7_000_000 * (1 - 0.1 * gone)), "achieved_parameters": 0.1 * gone,
            "macs": round(10**8 * (1 - 0.2 * gone)), "achieved_macs": 0.2 * gone, "length": 14,
            "target_length": 15}  # fmt: skip


def dynamics(root: Path, curves: Mapping[int, Mapping[float, float]] | None = None, **kwargs: Any) -> Path:
    """A run of ``head_dynamics`` over ``curves``: BLEU by epoch and share."""
    if curves is None:
        curves = {1: {0.0: 0.0, 0.4: 0.0}, 2: {0.0: 0.20, 0.4: 0.10}, 8: {0.0: BLEU, 0.4: 0.315}}
    points = [
        {"epoch": epoch, **point(share, int(24 * share), 24, value),
         "relative": value / curve[0.0] if curve[0.0] else None}
        for epoch, curve in curves.items()
        for share, value in curve.items()
    ]  # fmt: skip
    scores = [UNITS.assign(score=UNITS.index / 24, rank=UNITS.index, epoch=epoch) for epoch in curves]
    agreement = [{"epoch": epoch, "rank_correlation": epoch / max(curves)} for epoch in curves]
    tables = {"points": pd.DataFrame(points), "agreement": pd.DataFrame(agreement),
              "scores": pd.concat(scores)[["epoch", "kind", "layer", "head", "score", "rank"]]}  # fmt: skip
    epochs = list(curves)
    metrics = {"order": "importance", "metric": "bleu", "kinds": list(KINDS), "epochs": epochs,
               "baseline": curves[epochs[-1]][0.0], "first_baseline": curves[epochs[0]][0.0],
               "first_rank_correlation": agreement[0]["rank_correlation"]}  # fmt: skip
    config = {"order": "importance", "kinds": None}
    return write(root, "head_dynamics", config, tables=tables, metrics=metrics, **kwargs)


def decoding(root: Path, **kwargs: Any) -> Path:
    """A run of ``time_decoding``: heads of all kinds gone make decoding 1 + share / 2 times faster."""
    rows = [
        {"kinds": kinds, "share": share, "achieved_heads": share, "batch_size": batch, "length": 14, "words": 24,
         "beams": 5, "repeats": 10, "original_words_per_second": 100.0 * batch,
         "words_per_second": 100.0 * batch * speedup, "speedup": speedup, "speedup_low": speedup - 0.02,
         "speedup_high": speedup + 0.02}
        for batch in (1, 16)
        for kinds in ("+".join(KINDS), *KINDS)
        for share in (0.25, 0.5, 0.75)
        for speedup in [1 + share / (2 if "+" in kinds else 8)]
    ]  # fmt: skip
    return write(root, "time_decoding", tables={"decoding": pd.DataFrame(rows)}, metrics={"words": 24, "beams": 5},
                 sparsity={"requested_heads": 0.75, "achieved_heads": 0.75}, **kwargs)  # fmt: skip


def everything(root: Path) -> None:
    """All verbs of one setting."""
    ablation(root)
    transfer(root)
    for order in ("importance", "oracle"):
        pruning(root, order, values={0.0: BLEU, 0.2: 0.34, 0.5: 0.30, 0.8: 0.20, 1.0: 0.01})
    for kind in KINDS:
        for order in ("importance", "random"):
            pruning(root, order, [kind])
    dynamics(root)
    decoding(root)

"""Small synthetic run records of pruned heads, shaped like the experiments' own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.records.frame import write_run

ORDERS = ("importance", "importance_released", "importance_stepwise", "oracle", "magnitude", "random")


def ablation(root: Path, model: dict[str, Any], teacher: int = 0, rows: int = 2000, **kwargs: Any) -> Path:
    """A run of ``ablate_heads`` with most heads near zero and a few that matter."""
    random = np.random.default_rng([teacher, model["heads"]])
    layers, width = model["layers"], model["heads"] // model["layers"]
    deltas = np.round(random.normal(-0.001, 0.002, (layers, width)) * rows) / rows
    deltas[0, 1], deltas[layers - 1, width - 1] = -0.0215, -0.013
    p_values = np.clip(np.exp(-((np.abs(deltas) / 0.0042) ** 2) * 2.2), 1e-6, 1.0)
    heads = pd.DataFrame(
        [
            {"kind": "self", "layer": layer, "head": head, "ablation": ablation, "metric": "accuracy",
             "examples": rows, "baseline": 0.7, "value": 0.7 + delta, "delta": delta,
             "p_value": p_values[layer, head], "significant": p_values[layer, head] < 0.01,
             "significant_bh": p_values[layer, head] < 0.0005}
            for ablation in ("one_off", "all_but_one")
            for layer in range(layers)
            for head in range(width)
            for delta in [deltas[layer, head] * (1 if ablation == "one_off" else 4)]
        ]
    )  # fmt: skip
    layer_rows = [
        {"kind": "self", "layer": layer, "protocol": protocol, "head": int(deltas[layer].argmax()),
         "selection_examples": 5000 if protocol == "train" else rows, "metric": "accuracy", "examples": rows,
         "baseline": 0.7, "value": 0.69, "delta": [-0.0003, -0.006, -0.03, 0.02][layer % 4],
         "p_value": [0.9, 0.2, 0.0001, 0.002][layer % 4], "significant": layer % 4 > 1,
         "significant_bh": layer % 4 == 2}
        for protocol in ("dev", "train")
        for layer in range(layers)
    ]  # fmt: skip
    return write_run(
        root, "ablate_heads", model=model, teacher=teacher, rows=rows,
        tables={"heads": heads, "layers": pd.DataFrame(layer_rows)},
        metrics={
            "metric": "accuracy", "baseline": 0.7, "heads": model["heads"], "layers": layers,
            "worst_single_head_delta": float(deltas.min()), "best_single_head_delta": float(deltas.max()),
            "heads_significant": int((p_values < 0.01).sum()), "heads_significant_bh": int((p_values < 0.0005).sum()),
            "layers_significant": sum(layer % 4 > 1 for layer in range(layers)),
        },
        **kwargs,
    )  # fmt: skip


def transfer(root: Path, model: dict[str, Any], teacher: int = 0, task: str = "mnli", **kwargs: Any) -> Path:
    random = np.random.default_rng(teacher)
    first = random.normal(-0.002, 0.004, model["heads"])
    second = 0.6 * first + random.normal(0, 0.003, model["heads"])
    width = model["heads"] // model["layers"]
    table = pd.DataFrame(
        {"kind": "self", "layer": np.arange(model["heads"]) // width,
         "head": np.arange(model["heads"]) % width, "first_delta": first, "second_delta": second}
    )  # fmt: skip
    metrics = {"metric": "accuracy", "pearson_r": float(np.corrcoef(first, second)[0, 1]), "p_value": 1e-6,
               "heads": model["heads"], "first": f"{task}/validation_matched", "second": "snli/validation",
               "first_baseline": 0.7, "second_baseline": 0.72}  # fmt: skip
    return write_run(root, "transfer", model=model, teacher=teacher, task=task, tables={"effects": table},
                     metrics=metrics, **kwargs)  # fmt: skip


def pruning(
    root: Path,
    model: dict[str, Any],
    order: str,
    teacher: int = 0,
    seed: int = 0,
    values: dict[float, float] | None = None,
    **kwargs: Any,
) -> Path:
    """A run of ``prune_heads`` over ``values`` (metric by share), or over a plausible 10 % grid."""
    random = np.random.default_rng([teacher, seed, ORDERS.index(order)])
    knee = {"importance": 0.62, "importance_released": 0.58, "importance_stepwise": 0.66, "oracle": 0.48,
            "magnitude": 0.4, "random": 0.3}[order]  # fmt: skip
    base = 0.70 + 0.006 * (teacher - 1)
    if values is None:
        values = {
            s: base + (random.normal(0, 0.006) - (base - 0.34) / (1 + np.exp(-(s - knee) * 11))) * (s > 0)
            for s in np.round(np.arange(0, 1.01, 0.1), 2)
        }
    total, width = model["heads"], model["heads"] // model["layers"]
    scores = random.random(total) + (np.arange(total) / total if order != "random" else 0)
    rank = np.empty(total, int)
    rank[scores.argsort()] = np.arange(total)
    units = pd.DataFrame({"kind": "self", "layer": np.arange(total) // width, "head": np.arange(total) % width})
    points, kept = [], []
    for share, value in values.items():
        cut = int(total * share)
        points.append(
            {"share": share, "kinds": "self", "heads_kept": total - cut, "heads_total": total,
             "achieved_heads": cut / total, "metric": "accuracy", "value": value, "low": value - 0.02,
             "high": value + 0.02, "parameters": 1, "achieved_parameters": 0.156 * cut / total, "macs": 1,
             "achieved_macs": 0.344 * cut / total, "length": 39}
        )  # fmt: skip
        alive = units[rank >= cut].groupby("layer").size()
        kept += [{"share": share, "kind": "self", "layer": layer, "heads_kept": int(alive.get(layer, 0)),
                  "heads": width} for layer in range(model["layers"])]  # fmt: skip
    unpruned, last = values.get(0.0, base), points[-1]
    return write_run(
        root, "prune_heads", model=model, teacher=teacher, seed=seed,
        config={"order": order, "share": None} | kwargs.pop("config", {}),
        tables={"points": pd.DataFrame(points), "kept": pd.DataFrame(kept),
                "scores": units.assign(score=scores, rank=rank)},
        metrics={
            "order": order, "metric": "accuracy", "kinds": ["self"], "baseline": unpruned,
            "baseline_low": unpruned - 0.0202, "baseline_high": unpruned + 0.0198,
            "share_within_baseline_band": within(points, unpruned - 0.0202),
        },
        sparsity={"requested_heads": last["share"]}
        | {name: last[name] for name in ("achieved_heads", "achieved_macs", "achieved_parameters")},
        **{"seconds": {"head importance": 27.0, "evaluate pruned models": 140.0} if "importance" in order else None}
        | kwargs,
    )  # fmt: skip


def within(points: Iterable[Mapping[str, Any]], low: float) -> float:
    """The share up to which no point is below ``low``."""
    return max((point["share"] for point in itertools.takewhile(lambda p: p["value"] >= low, points)), default=0.0)


def timing(root: Path, model: dict[str, Any], teacher: int | None = 0, **kwargs: Any) -> Path:
    rows = []
    for length, label in ((32, "32"), (40, "mean"), (128, "128"), (512, "512")):
        for batch in (1, 4, 16, 64):
            base = 3 + 0.02 * batch * length * (1 + length / 700)
            gain = 0.03 + 0.18 * min(1.0, batch * length / 2000)
            for variant, share, ms in (("original", 0.0, base), ("gated", 0.5, base * 1.01),
                                       ("pruned", 0.5, base / (1 + gain))):  # fmt: skip
                rows.append(
                    {"variant": variant, "share": share, "batch_size": batch, "length": length,
                     "length_label": label, "median_ms": ms, "low_ms": ms * 0.985, "high_ms": ms * 1.02,
                     "examples_per_second": 1000 * batch / ms, "repeats": 10, "peak_memory_mb": 700 + batch}
                )  # fmt: skip
    tables = {"timings": pd.DataFrame(rows)}
    return write_run(root, "time_inference", model=model, teacher=teacher, tables=tables,
                     metrics={"attention_parameter_share": 0.157},
                     sparsity={"requested_heads": 0.5, "achieved_heads": 0.5}, **kwargs)  # fmt: skip


def benchmark(root: Path, model: dict[str, Any]) -> Path:
    ratios = {"full length 128": [4.4, 4.6, 4.5], "bucketed": [2.0, 2.1, 1.9]}
    rows = [
        {"comparison": name, "repeat": i, "plain_seconds": 10 * r, "fast_seconds": 10.0, "ratio": r}
        for name, found in ratios.items()
        for i, r in enumerate(found)
    ]
    return write_run(root, "benchmark", model=model, config={"benchmark": "lengths"},
                     tables={"repeats": pd.DataFrame(rows)})  # fmt: skip


def finetune(root: Path, **kwargs: Any) -> Path:
    return write_run(root, "finetune", metrics={"accuracy": 0.7, "steps": 766, "created": []}, **kwargs)


def everything(root: Path, model: dict[str, Any], teachers: tuple[int, ...] = (0,), **kwargs: Any) -> None:
    """All verbs of one setting."""
    for teacher in teachers:
        ablation(root, model, teacher, **kwargs)
        transfer(root, model, teacher, **kwargs)
        for order in ORDERS:
            for seed in range(5 if order == "random" else 1):
                pruning(root, model, order, teacher, seed, **kwargs)
    timing(root, model, **kwargs)

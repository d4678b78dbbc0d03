"""Small synthetic run records of CoFi and its baselines, shaped like the experiments' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.records.frame import hash_of, spread, write_run
from tests.support.records.kwon import DENSE, EVALUATED, METRIC

DEFAULT: dict[str, Any] = {
    "sparsity": 0.9, "variant": "paper", "units": ["hidden", "layers", "heads", "neurons"], "matching": "paper",
    "learn_from": "teacher", "structure": "learned", "prediction_weight": 0.5, "pred_direction": "distillation",
    "student": {"prune_epochs": 10, "select_on": "train_slice"}, "batch_sizes": [1, 128], "length": 128,
}  # fmt: skip
WORSE = {"learned": 0.0, "fisher": 0.03, "magnitude": 0.045, "random": 0.04, "layers": 0.06, "dense": 0.035}
"""Points of the metric, as a share, that a structure loses beyond CoFi."""


def run(
    root: Path,
    model: dict[str, Any],
    task: str = "sst2",
    *,
    seed: int = 0,
    teacher: int = 0,
    loss: float | None = None,
    counted: float | None = None,
    speedup: float | None = None,
    reached: bool = True,
    scale: str | None = "small",
    kept: list[dict[str, Any]] | None = None,
    seconds: float = 1500.0,
    **changed: Any,
) -> Path:
    """A run of ``prune_cofi``.

    Arguments:
        loss: the metric lost; plausible numbers where it is None, as for sparsity, speed-up and kept units.
        changed: what differs from the default setting.
    """
    config = DEFAULT | changed
    random = np.random.default_rng(hash_of([task, seed, teacher, config]))
    sparsity = config["sparsity"]
    dense = DENSE.get(task, 0.705) + 0.004 * teacher
    if loss is None:
        loss = 0.012 + 0.05 * max(0.0, sparsity - 0.5) / 0.45 + WORSE[config["structure"]]
        loss += 0.01 * (len(config["units"]) < 4) + 0.02 * (config["learn_from"] == "labels")
        loss += 0.008 * (config["matching"] == "none") + float(random.normal(0, 0.004))
    if counted is None:  # nearer than what is a missed target
        counted = sparsity + float(np.clip(random.normal(0, 0.006), -0.009, 0.009))
    speedup = 1 + 0.55 * (1 / (1 - sparsity) - 1) if speedup is None else speedup
    name = METRIC.get(task, "accuracy")
    value = dense - loss
    remaining = 1 - 0.95 * counted
    latency = [{"batch_size": batch, "length": 128, "dense_ms": 10.0 * batch, "pruned_ms": 10.0 * batch / gain,
                "speedup": gain, **spread(gain), "mac_speedup": 1 / remaining}
               for batch, gain in ((1, 1 + 0.5 * (speedup - 1)), (128, speedup))]  # fmt: skip
    source = "demo" if task == "demo" else "nyu-mll/glue"
    data = [{"role": role, "name": task, "source": source, "split": split, "rows": rows, "rows_available": available}
            for role, split, rows, available in (
                ("evaluation", "validation", EVALUATED.get(task, 2000), EVALUATED.get(task, 2000)),
                ("selection", "train", 500, 24511), ("distillation", "train", 24011, 24511))]  # fmt: skip
    return write_run(
        root, "prune_cofi", model=model, task=task, teacher=teacher, seed=seed, scale=scale,
        config=config, data=data, seconds={"train": seconds},
        tables={"latency": pd.DataFrame(latency), "kept": pd.DataFrame(kept or shape(model, config, random))},
        metrics={
            "metric": name, name: value, "value": value, "low": value - 0.02, "high": value + 0.02,
            "baseline": dense, "baseline_low": dense - 0.02, "baseline_high": dense + 0.02, "speedup": speedup,
            "remaining_macs": remaining, "remaining_parameters": 1 - 0.4 * counted, "reached_target": reached,
        },
        sparsity={
            "requested": sparsity, "counted": counted, "achieved_macs": 1 - remaining,
            "achieved_parameters": 0.4 * counted,
        },
        log=[(step, {"stage": stage, **values}) for step, stage, values in history(sparsity, value)],
    )  # fmt: skip


def history(sparsity: float, score: float) -> list[tuple[int, str, dict[str, float]]]:
    """What a run logs."""
    pruning = {"loss": 1.5, "layer_loss": 1.0, "prediction_loss": 0.4, "target_sparsity": sparsity,
               "linear_multiplier": -0.1, "quadratic_multiplier": 0.2}  # fmt: skip
    return [
        (20, "distil", {"loss": 1.0, "layer_loss": 2.0, "prediction_loss": 0.5}),
        (40, "prune", pruning | {"expected_sparsity": 0.6 * sparsity}),
        (60, "prune", pruning | {"expected_sparsity": sparsity}),
        (80, "finetune", {"loss": 0.6, "layer_loss": 0.5, "prediction_loss": 0.1, "score": score}),
    ]


def shape(model: dict[str, Any], config: dict[str, Any], random: np.random.Generator) -> list[dict[str, Any]]:
    """Units kept: fewer in upper layers, fewer neurons than heads, some sublayers gone at high sparsity."""
    layers, width = model["layers"], model["heads"] // model["layers"]
    left = 1 - config["sparsity"]
    lean = [1.3 - 0.9 * layer / max(1, layers - 1) for layer in range(layers)]

    def units(share: float, total: int, layer: int) -> int:
        return int(np.clip(round(total * share * lean[layer] + random.normal(0, 0.04 * total)), 0, total))

    rows = []
    for layer in range(layers):
        heads, neurons = units(min(1.0, 1.5 * left), width, layer), units(0.7 * left, 1536, layer)
        rows += [{"unit": "heads", "layer": layer, "kept": heads, "total": width},
                 {"unit": "neurons", "layer": layer, "kept": neurons, "total": 1536},
                 {"unit": "self layers", "layer": layer, "kept": int(heads > 0), "total": 1},
                 {"unit": "ffn layers", "layer": layer, "kept": int(neurons > 40), "total": 1}]  # fmt: skip
    rows.append({"unit": "hidden", "layer": 0, "kept": int(384 * min(1.0, 0.5 + left)), "total": 384})
    return rows


def ablations(root: Path, model: dict[str, Any], task: str = "sst2", **kwargs: Any) -> None:
    """Runs without some units, and without parts of the distillation."""
    for units in (["layers", "heads", "neurons"], ["hidden", "heads", "neurons"], ["heads", "neurons"], ["heads"],
                  ["neurons"]):  # fmt: skip
        run(root, model, task, units=units, **kwargs)
    for learn_from, matching in (("teacher", "fixed"), ("teacher", "none"), ("labels", "paper"), ("labels", "none")):
        run(root, model, task, learn_from=learn_from, matching=matching, **kwargs)


def everything(root: Path, model: dict[str, Any], task: str = "sst2", *, seeds: int = 3, **kwargs: Any) -> None:
    """Records for every figure of one task: the sweep, seeds of one cell, every baseline and ablation."""
    for sparsity in (0.6, 0.9, 0.95):
        for seed in range(seeds if sparsity == 0.9 else 1):
            run(root, model, task, sparsity=sparsity, seed=seed, **kwargs)
    for structure in ("random", "fisher", "magnitude", "layers", "dense"):
        run(root, model, task, structure=structure, **kwargs)
    ablations(root, model, task, **kwargs)

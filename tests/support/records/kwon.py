"""Small synthetic run records of Fisher pruning, shaped like the experiments' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.records.frame import hash_of, spread, write_run

DENSE = {"cola": 0.42, "mnli": 0.705, "mrpc": 0.84, "rte": 0.6, "squad": 0.81, "sst2": 0.912, "stsb": 0.855}
METRIC = {"cola": "matthews", "stsb": "spearman", "squad": "f1", "mrpc": "f1"}
EVALUATED = {"cola": 1043, "mnli": 1000, "mrpc": 408, "rte": 277, "squad": 2000, "sst2": 872, "stsb": 1500}
CONSTRAINTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DEFAULT: dict[str, Any] = {
    "constraint": 0.5, "budget": "mac", "score": "fisher", "variant": "paper", "labels": "gold",
    "calibration_examples": 2048, "rearrange": True, "tune": True, "target": "dense", "on_failure": "skip",
}  # fmt: skip
WEAKER = {"fisher": 0.0, "importance": 0.03, "magnitude": 0.08, "random": 0.12}


def pruning(
    root: Path,
    model: dict[str, Any],
    task: str = "mnli",
    *,
    seed: int = 0,
    teacher: int = 0,
    loss: float | None = None,
    remaining: float | None = None,
    speedup: float | None = None,
    scale: str | None = "small",
    rows: int | None = None,
    **changed: Any,
) -> Path:
    """A run of ``prune_fisher``.

    Arguments:
        loss: the metric lost in the end; plausible numbers where it is None.
        changed: what differs from the default setting.
    """
    config = DEFAULT | {"rearrange": changed.get("score", "fisher") == "fisher"} | changed
    random = np.random.default_rng(hash_of([task, seed, teacher, config]))
    constraint = config["constraint"]
    dense = DENSE.get(task, 0.705) + 0.004 * teacher
    if loss is None:
        few = 0.05 * (64 / config["calibration_examples"]) ** 0.7
        loss = 0.3 * (1 - constraint) ** 3.2 + 2 * (1 - constraint) * (WEAKER[config["score"]] + few) * 0.3
        loss += float(random.normal(0, 0.003))
    remaining = constraint * (1 - 1e-4) if remaining is None else remaining
    speedup = 1 + 0.9 * (1 / remaining - 1) if speedup is None else speedup
    name = METRIC.get(task, "accuracy")
    steps = ["search", *(["rearrange"] if config["rearrange"] else []), *(["tune"] if config["tune"] else [])]
    left = {"search": 3.0, "rearrange": 2.2, "tune": 1.0}
    worth = {stage: dense - loss * left[stage] / left[steps[-1]] for stage in steps}
    took = {"gradients": 18.5, "search": 0.02, "rearrange": 0.6, "tune": 21.0}
    stages = [{"stage": "dense", "metric": name, "value": dense, "low": dense - 0.02, "high": dense + 0.02,
               "length": 39, "macs": 10**9, "achieved_macs": 0.0, "parameters": 10**7, "achieved_parameters": 0.0,
               "seconds": None}]  # fmt: skip
    stages += [{"stage": stage, "metric": name, "value": worth[stage], "low": worth[stage] - 0.02,
                "high": worth[stage] + 0.02, "length": 39, "macs": int(10**9 * remaining),
                "achieved_macs": 1 - remaining, "parameters": 10**7, "achieved_parameters": 0.3,
                "seconds": took[stage]} for stage in steps]  # fmt: skip
    layers, width = model["layers"], model["heads"] // model["layers"]
    kept = [{"unit": unit, "layer": layer, "kept": int(total * min(1.0, constraint + 0.3 * (layer / layers - 0.4))),
             "total": total}
            for unit, total in (("heads", width), ("neurons", 1536)) for layer in range(layers)]  # fmt: skip
    units = pd.DataFrame(kept)
    tuning = [{"layer": layer, "sublayer": sublayer, "status": "tuned", "units": 3, "error_before": 0.2,
               "error_after": 0.1, "largest_scale": 1.4}
              for layer in range(layers) for sublayer in ("attention", "ffn")]  # fmt: skip
    latency = [{"batch_size": batch, "length": 39, "dense_ms": 10.0 * batch, "pruned_ms": 10.0 * batch / gain,
                "speedup": gain, **spread(gain), "mac_speedup": 1 / remaining}
               for batch, gain in ((1, 1 + 0.5 * (speedup - 1)), (32, speedup))]  # fmt: skip
    tables = {"stages": stages, "kept": kept, "latency": latency} | ({"tuning": tuning} if config["tune"] else {})
    seconds = {f"seconds_{stage}": took[stage] for stage in ["gradients", *steps]}
    source = "demo" if task == "demo" else "nyu-mll/glue"
    data = [{"role": role, "name": task, "source": source, "split": split, "rows": found, "rows_available": available}
            for role, split, found, available in (
                ("train", "train", 24511, 24511),
                ("evaluation", "validation", rows or EVALUATED.get(task, 2000), EVALUATED.get(task, 2000)),
                ("calibration", "train", config["calibration_examples"], 24511))]  # fmt: skip
    return write_run(
        root, "prune_fisher", model=model, task=task, teacher=teacher, seed=seed, scale=scale, config=config,
        data=data, tables={name: pd.DataFrame(table) for name, table in tables.items()},
        metrics={
            "metric": name, name: worth[steps[-1]], "value": worth[steps[-1]], "baseline": dense,
            "baseline_low": dense - 0.02, "baseline_high": dense + 0.02, "remaining_macs": remaining,
            "remaining_parameters": 0.53 + 0.47 * remaining, "speedup": speedup, **seconds,
            "seconds_pruning": sum(seconds.values()),
            "sublayers_tuned": 2 * layers * config["tune"], "sublayers_not_tuned": 0,
        },
        sparsity={
            "requested_macs" if config["budget"] == "mac" else "requested_latency": 1 - constraint,
            "achieved_macs": 1 - remaining, "achieved_parameters": 0.3,
            **{f"achieved_{unit}": 1 - float(units.loc[units["unit"] == unit, "kept"].sum()) / (layers * total)
               for unit, total in (("heads", width), ("neurons", 1536))},
        },
    )  # fmt: skip


def latency_table(root: Path, model: dict[str, Any], task: str = "mnli", **kwargs: Any) -> Path:
    width = model["heads"] // model["layers"]
    rows = [{"sublayer": sublayer, "units": units, "median_ms": ms, "low_ms": ms * 0.97, "high_ms": ms * 1.04,
             "repeats": 20}
            for sublayer, every, fixed, each in (("attention", range(width + 1), 0.4, 0.35),
                                                 ("ffn", range(0, 1537, 64), 0.3, 0.0031))
            for units in every for ms in [fixed + each * units]]  # fmt: skip
    return write_run(
        root, "latency_table", model=model, task=task, config={"batch_size": 32, "length": None},
        metrics={"batch_size": 32, "length": 39, "layers_ms": 60.0, "share_without_units": 0.1},
        tables={"latency": pd.DataFrame(rows)}, **kwargs,
    )  # fmt: skip


def everything(root: Path, model: dict[str, Any], task: str = "mnli", *, seeds: int = 3, **kwargs: Any) -> None:
    """Records for every figure of one task: the main sweep and each comparison."""
    for seed in range(seeds):
        for constraint in CONSTRAINTS:
            pruning(root, model, task, seed=seed, constraint=constraint, **kwargs)
        for examples in (64, 256, 1024, 4096):
            pruning(root, model, task, seed=seed, calibration_examples=examples, **kwargs)
    for constraint in (0.3, 0.5, 0.7):
        pruning(root, model, task, constraint=constraint, budget="latency", **kwargs)
        for score in ("importance", "magnitude", "random"):
            pruning(root, model, task, constraint=constraint, score=score, **kwargs)
        released: dict[str, Any] = {"variant": "released", "target": "assistant", "on_failure": "stop"}
        pruning(root, model, task, constraint=constraint, **kwargs, **released)
        pruning(root, model, task, constraint=constraint, labels="predicted", **kwargs)
    latency_table(root, model, task, **kwargs)

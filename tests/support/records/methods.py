"""Small synthetic run records of `compress`, shaped like the experiment's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prunekit.evaluation.row_answers import RowAnswers, of_labels
from tests.support.records.frame import add_answers, spread, write_run
from tests.support.records.kwon import DENSE, EVALUATED, METRIC

REFINE = {"fisher": "rearrange"}
REFIT = {"ziplm": "none", "kprune": "none", "flap": "bias"}
OWN = {"refine": REFINE, "refit": REFIT}
USUAL = {"refine": "none", "refit": "scales"}
ROWS = 400
GOLD = np.random.default_rng(0).integers(0, 2, ROWS)
LOST = {"fisher": 0.02, "ziplm": 0.03, "kprune": 0.04, "flap": 0.06, "magnitude": 0.08, "random": 0.12}
"""At half of the MACs, as a share."""


def resolved(method: str, stage: str, asked: str) -> str:
    """What ``refine`` or ``refit`` comes to."""
    return OWN[stage].get(method, USUAL[stage]) if asked == "auto" else asked


def last_stage(method: str, **stages: str) -> str:
    """The stage whose model a run ends with."""
    refine, refit = (resolved(method, name, stages.get(name, "auto")) for name in ("refine", "refit"))
    return refit if refit != "none" else refine if refine != "none" else "search"


def run(
    root: Path,
    model: dict[str, Any],
    method: str,
    task: str = "sst2",
    *,
    constraint: float = 0.5,
    seed: int = 0,
    teacher: int = 0,
    weights: str | None = None,
    loss: float | None = None,
    loss_before: float | None = None,
    seconds: float = 20.0,
    memory: float = 2e9,
    options: dict[str, Any] | None = None,
    **changed: Any,
) -> Path:
    """A run of ``compress``.

    Arguments:
        weights: fingerprint of the fine-tuned model; by default its own.
        loss: the metric lost.
        loss_before: after a stage ``stitch`` before all others, as ZipLM has.
        options: of the method.
        changed: what differs from the default setting.
    """
    config: dict[str, Any] = {
        "constraint": constraint, "budget": "mac", "labels": "gold", "calibration_examples": 2048, "refine": "auto",
        "refit": "auto", "uniform": False, "all_heads": False, "method": {"name": method, "options": options or {}},
    } | changed  # fmt: skip
    weights = f"sha256:a{teacher}" if weights is None else weights
    dense, name = DENSE.get(task, 0.705), METRIC.get(task, "accuracy")
    value = dense - (2 * (1 - constraint) * LOST[method] if loss is None else loss)
    refine, refit = (resolved(method, stage, config[stage]) for stage in OWN)
    steps = ["search", *(stage for stage in (refine, refit) if stage != "none")]
    before = [] if loss_before is None else [("stitch", dense - loss_before)]
    layers, width = model["layers"], model["heads"] // model["layers"]
    stages = [
        {"stage": stage, "metric": name, "value": worth, "low": worth - 0.02, "high": worth + 0.02,
         "length": 39, "macs": int(1e9 * (1 if stage == "dense" else constraint)),
         "achieved_macs": 0.0 if stage == "dense" else 1 - constraint, "parameters": 10**7,
         "achieved_parameters": 0.0, "seconds": None if stage == "dense" else 1.0}
        for stage, worth in [("dense", dense), *before, *((step, value) for step in steps)]
    ]  # fmt: skip
    kept = [{"unit": unit, "layer": layer, "kept": int(total * constraint), "total": total}
            for unit, total in (("heads", width), ("neurons", 1536)) for layer in range(layers)]  # fmt: skip
    refits = [{"layer": layer, "sublayer": sublayer, "status": "tuned", "units": 3, "error_before": 0.2,
               "error_after": 0.1, "largest_scale": 1.4}
              for layer in range(layers) for sublayer in ("attention", "ffn")]  # fmt: skip
    latency = [{"batch_size": batch, "length": 39, "dense_ms": 10.0 * batch, "pruned_ms": 5.0 * batch, "speedup": 2.0,
                **spread(2.0), "mac_speedup": 1 / constraint} for batch in (1, 32)]  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {"stages": stages, "kept": kept, "latency": latency}
    tables |= {"refit": refits} if refit != "none" else {}
    data = [{"role": role, "name": task, "source": "nyu-mll/glue", "split": split, "rows": rows,
             "rows_available": available, "fingerprint": "sha256:cd"}
            for role, split, rows, available in (
                ("evaluation", "validation", EVALUATED[task], EVALUATED[task]),
                ("calibration", "train", config["calibration_examples"], 24511))]  # fmt: skip
    folder = write_run(
        root, "compress", model=model | {"fingerprint": weights}, task=task, teacher=teacher, seed=seed,
        config=config | {"run": {"folder": str(root), "threads": None, "of": weights}}, data=data,
        tables={table: pd.DataFrame(rows) for table, rows in tables.items()},
        metrics={
            "metric": name, name: value, "value": value, "baseline": dense, "baseline_low": dense - 0.02,
            "baseline_high": dense + 0.02, "remaining_macs": constraint, "remaining_parameters": 0.5 + constraint / 2,
            "speedup": 2.0, "seconds_search": seconds, "seconds_pruning": seconds,
            **({"seconds_levels": 0.0} if method == "ziplm" else {}), "method": method, "refine": refine,
            "refit": refit, "sublayers_refitted": 2 * layers * (refit != "none"), "sublayers_not_refitted": 0,
        },
        sparsity={
            "requested_macs": 1 - constraint, "achieved_macs": 1 - constraint, "achieved_parameters": 0.3,
            "achieved_heads": 0.5, "achieved_neurons": 0.5,
        },
    )  # fmt: skip
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"peak_memory_bytes": int(memory)}))
    return folder


def answers(wrong: int) -> RowAnswers:
    """To rows of two classes, of which the first ones are answered wrong."""
    return of_labels("classification", "f", GOLD, np.where(np.arange(ROWS) < wrong, 1 - GOLD, GOLD))


def answered(root: Path, model: dict[str, Any], method: str, wrong: int, **how: Any) -> Path:
    """A run of ``compress`` whose model answers so many of 400 rows wrong."""
    folder = run(root, model, method, loss=DENSE[how.get("task", "sst2")] - 1 + wrong / ROWS, **how)
    stages = {stage: how[stage] for stage in OWN if stage in how}
    add_answers(folder, ({"stage": "dense"}, answers(20)), ({"stage": last_stage(method, **stages)}, answers(wrong)))
    return folder


def contest(root: Path, model: dict[str, Any], wrong: dict[str, list[int]], **how: Any) -> None:
    """Methods with the rows that they answer wrong, a calibration draw each."""
    for method, numbers in wrong.items():
        for seed, number in enumerate(numbers):
            answered(root, model, method, number, seed=seed, **how)

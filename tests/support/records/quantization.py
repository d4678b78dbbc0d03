"""Small synthetic run records of `quantize`, shaped like the experiment's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.records.frame import mark_quiet, write_run

DENSE, MEGABYTES = 0.9, 90.0
PRUNING = {1.0: 0.0, 0.5: 0.01, 0.1: 0.03}
"""What it costs, as a share, by what remains of the MACs."""
FURTHER = {1.0: 0.002, 0.5: 0.006, 0.1: 0.015}
"""What more training gains."""
EIGHT_BITS = {"dynamic": 0.008, "aware": 0.004, "trained": 0.008}


def run(
    root: Path,
    model: dict[str, Any],
    task: str = "mrpc",
    *,
    remaining: float = 1.0,
    quantization: str = "dynamic",
    teacher: int = 0,
    of_product: float = 1.0,
    beyond: float = 0.0,
    share: float | None = 0.0,
    **changed: Any,
) -> Path:
    """A run of ``quantize`` whose gains multiply and whose losses add.

    Arguments:
        of_product: the speed of both over the product of each.
        share: of the CPUs that other processes took while it was timed; None where nobody looked.
        beyond: what 8 bits cost a pruned model beyond what they cost the whole one, as a share.
    """
    dense, metric = DENSE + 0.001 * teacher, "accuracy" if task == "sst2" else "f1"
    scores = {"dense": dense, "pruned": dense - PRUNING[remaining]}
    before = scores["pruned"] if remaining < 1 else dense
    if quantization != "dynamic":
        before += FURTHER[remaining]
        scores |= {"simulated": before - 0.003} if quantization == "aware" else {}
        scores["trained"] = before - 0.001 * (1 + remaining) * (quantization == "aware")
    scores["quantized"] = before - EIGHT_BITS[quantization] - (beyond if remaining < 1 else 0)
    if remaining == 1:
        del scores["pruned"]
    size = MEGABYTES * (0.5 + 0.5 * remaining) * 1e6
    stages: list[dict[str, Any]] = [
        {
            "stage": stage, "precision": {"quantized": "int8", "simulated": "simulated"}.get(stage, "float32"),
            "metric": metric, "value": value, "low": value - 0.02, "high": value + 0.02, metric: value, "length": 53,
            "macs": int(1e9 * (1 if stage == "dense" else remaining)),
            "achieved_macs": 0.0 if stage == "dense" else 1 - remaining, "parameters": 10**7,
            "achieved_parameters": 0.0,
            "bytes": None if stage == "simulated" else int(
                MEGABYTES * 1e6 if stage == "dense" else size / 4 if stage == "quantized" else size
            ),
        }
        for stage, value in scores.items()
    ]  # fmt: skip
    gains, timed = list[dict[str, Any]](), list[dict[str, Any]]()
    for batch, int8 in ((1, 1.5), (32, 2.0)):
        pruning = 1 / (0.1 + 0.9 * remaining)
        gains.append({
            "batch_size": batch, "length": 53, "pruning": pruning, "int8": int8, "both": of_product * pruning * int8,
            "of_product": of_product, "low": of_product - 0.02, "high": of_product + 0.02, "repeats": 50,
        })  # fmt: skip
        speeds = {("original", "onnx"): 1.0, ("pruned", "onnx"): pruning, ("original", "onnx-int8"): int8,
                  ("pruned", "onnx-int8"): of_product * pruning * int8}  # fmt: skip
        for (variant, runtime), speed in speeds.items():
            took = 10.0 * batch / speed
            timed.append({"variant": variant, "runtime": runtime, "batch_size": batch, "length": 53, "median_ms": took,
                          "low_ms": 0.99 * took, "high_ms": 1.01 * took, "repeats": 50, "fastest": False})  # fmt: skip
    value = scores["quantized"]
    data = [{"role": role, "name": task, "source": "nyu-mll/glue", "split": split, "rows": rows, "rows_available": rows}
            for role, split, rows in (("evaluation", "validation", 408), ("train", "train", 3668))]  # fmt: skip
    config = {"remaining": remaining, "quantization": quantization, "source": None, "batch_sizes": [1, 32]}
    folder = write_run(
        root, "quantize", model=model, task=task, teacher=teacher, seed=teacher, config=config | changed, data=data,
        tables={"stages": pd.DataFrame(stages), "gains": pd.DataFrame(gains), "runtimes": pd.DataFrame(timed)},
        metrics={
            "metric": metric, metric: value, "value": value, "low": value - 0.02, "high": value + 0.02,
            "baseline": dense, "baseline_low": dense - 0.02, "baseline_high": dense + 0.02,
            "quantization": quantization, "remaining_macs": remaining, "remaining_parameters": 1.0,
            "speedup": gains[-1]["both"],
            "bytes": stages[-1]["bytes"], "remaining_bytes": stages[-1]["bytes"] / stages[0]["bytes"],
            **{f"speedup_{name}_batch_{row['batch_size']}": row[name]
               for row in gains for name in ("pruning", "int8", "both")},
        },
        sparsity={"achieved_macs": 1 - remaining, "achieved_parameters": 0.0},
    )  # fmt: skip
    return folder if share is None else mark_quiet(folder, {"time runtimes": share})


def everything(root: Path, model: dict[str, Any], task: str = "mrpc", *, teachers: int = 3, **changed: Any) -> None:
    """The whole grid."""
    for teacher in range(teachers):
        for remaining in PRUNING:
            for quantization in EIGHT_BITS:
                run(root, model, task, remaining=remaining, quantization=quantization, teacher=teacher, **changed)

"""Verbs that time models in other runtimes than torch, from command to record."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.benchmarks import latency
from experiments.cli.verb import named
from prunekit.config.choices import RUNTIMES
from tests.support.commands import TINY, composed, perform
from tests.support.same_runs import table

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of onnxscript


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def test_runtimes_are_timed_side_by_side(folder: Path) -> None:
    overrides = [f"run.folder={folder}", "batch_sizes=[1,2]", "lengths=[8]", "mean_length=false", "repeats=1"]
    record = perform("time_inference", *TINY, *overrides, "warmup=0", f"runtimes=[{','.join(RUNTIMES)}]")
    rows, metrics = table(folder, record, "runtimes"), record["metrics"]
    assert list(zip(rows.batch_size, rows.variant, rows.runtime, strict=True)) == [
        (batch, variant, runtime)
        for batch in (1, 2) for runtime in RUNTIMES for variant in ("original", "pruned")
    ]  # fmt: skip
    assert rows.groupby(["batch_size", "variant"]).fastest.sum().tolist() == [1, 1, 1, 1]
    assert metrics["speedup_as_served_batch_1"] > 0 and metrics["runtime_pruned_batch_2"] in RUNTIMES
    in_torch = composed("time_inference", *TINY, *overrides)
    assert (record["revision"], named("time_inference").revision(in_torch)) == (3, 1)


@pytest.mark.parametrize(("runtime", "apart"), [("onnx", 1e-5), ("onnx-int8", 0.5)])
def test_pruned_models_are_timed_beside_hand_built_ones_in_onnx_runtime(
    runtime: str, apart: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs of two pruned models, of both built by hand, and of the whole one; their logits are compared before."""
    monkeypatch.setattr(latency, "CONSTRAINTS", (0.5,))
    monkeypatch.setattr(latency, "SHAPES", latency.SHAPES[1:])
    overrides = [f"run.folder={folder}", "benchmark=latency", "examples=24", "repeats=1", "evaluation.batch_size=2"]
    in_torch = composed("benchmark", *TINY, *overrides)
    record = perform("benchmark", *TINY, *overrides, f"runtime={runtime}")
    metrics, repeats = record["metrics"], table(folder, record, "repeats")
    assert 0 < metrics["max_logit_difference"] < apart
    assert len(set(repeats.comparison)) == 2 * 2 * 2
    assert (record["revision"], named("benchmark").revision(in_torch)) == (4, 2)

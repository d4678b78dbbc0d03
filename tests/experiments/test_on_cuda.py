"""Verbs on a GPU: every stage brings its tensors to one device, and gives the CPU's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prunekit.support.errors import UserError
from tests.support.commands import TINY, TINY_STUDENT, perform
from tests.support.fake_cuda import fake_cuda

TIMED = ("calibration_examples=48", "batch_sizes=[2]", "repeats=1")
STUDENT = (
    *TINY_STUDENT, "student.held_out=176", "student.prune_epochs=1", "student.sparsity_epochs=1", "batch_sizes=[2]",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher that a CPU has trained."""
    folder = tmp_path_factory.mktemp("runs")
    perform("finetune", *TINY, f"run.folder={folder}")
    return folder


def on_both(runs: Path, verb: str, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics on the CPU and on the GPU."""
    given = [*TINY, f"run.folder={runs}", *overrides]
    own = perform(verb, *given)
    with fake_cuda():
        there = perform(verb, *given, "run.device=cuda:0", "run.force=true")
    assert (own["device"]["type"], there["device"]["type"]) == ("cpu", "cuda")
    return own["metrics"], there["metrics"]


def assert_same(own: dict[str, Any], there: dict[str, Any]) -> None:
    timed = ("speedup", "seconds", "latency")
    numbers = [
        name for name, value in own.items() if isinstance(value, float) and not any(word in name for word in timed)
    ]
    assert numbers and {name: there[name] for name in numbers} == pytest.approx(
        {name: own[name] for name in numbers}, abs=1e-5
    )


def test_ablation(runs: Path) -> None:
    assert_same(*on_both(runs, "ablate_heads", "selection_examples=40"))


@pytest.mark.parametrize(
    ("verb", "overrides"),
    [
        ("time_inference", ("runtimes=[torch,onnx]",)),
        ("time_inference", ("runtimes=[onnx-int8]", "model.weights=random", "mean_length=false")),
        ("benchmark", ("benchmark=latency", "runtime=onnx")),
        ("quantize", ("run.device=auto",)),
    ],
)
def test_graphs_are_not_timed_beside_a_gpu_that_is_there(
    tmp_path: Path, verb: str, overrides: tuple[str, ...]
) -> None:
    """Whose device nobody has named; before a teacher is trained."""
    expected = r"^run\.device: ONNX Runtime is timed on CPUs, not on cuda; use run\.device=cpu$"
    with fake_cuda(), pytest.raises(UserError, match=expected):
        perform(verb, *TINY, f"run.folder={tmp_path}", *overrides)
    assert not list(tmp_path.glob("*/*/config.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "overrides"),
    [
        ("prune_fisher", (*TIMED, "constraint=0.5")),
        ("compress", (*TIMED, "method=magnitude", "refine=swap", "refit=weights", "constraint=0.6")),
        ("prune_heads", ("order=importance", "share=0.5")),
        ("prune_heads", ("order=oracle", "share=0.5", "save=true")),
    ],
    ids=["fisher", "swaps", "importance", "oracle"],
)
def test_pruning(runs: Path, verb: str, overrides: tuple[str, ...]) -> None:
    assert_same(*on_both(runs, verb, *overrides))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "overrides"),
    [
        ("finetune", ("train.seed=1",)),
        ("prune_cofi", STUDENT),
        ("time_inference", ("lengths=[16]", "batch_sizes=[2]", "repeats=1")),
        ("benchmark", ("benchmark=fisher", "examples=64", "repeats=1")),
        ("benchmark", ("benchmark=cofi_step", "examples=64", "repeats=1")),
    ],
    ids=["training", "cofi", "latency", "benchmark-fisher", "benchmark-cofi_step"],
)
def test_what_trains_or_is_timed(runs: Path, verb: str, overrides: tuple[str, ...]) -> None:
    with fake_cuda():
        record = perform(verb, *TINY, f"run.folder={runs}", "run.device=cuda:0", *overrides)
    assert record["status"] == "finished" and record["device"]["name"] == "no GPU"

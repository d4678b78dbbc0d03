"""Implementations of the same thing timed in turn, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from prunekit.support.errors import UserError
from prunekit.support.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.data.batches import Examples
    from prunekit.runs.execute import Run

Row = dict[str, Any]
Results = tuple[list[Row], dict[str, Any]]
"""The table of repeats, and metrics beside its ratios."""


@dataclass(frozen=True)
class BenchmarkCase:
    """What a benchmark is about, and how often it is timed."""

    model: PreTrainedModel
    examples: Examples | None
    """None for benchmarks of shapes only."""
    size: int
    """Examples asked for; also of benchmarks that make their own."""
    batch_size: int
    seed: int
    repeats: int
    warmup: int
    run: Run
    runtime: str = "torch"
    """In which models of ``latency`` run."""

    @property
    def device(self) -> torch.device:
        return self.run.device

    @property
    def data(self) -> Examples:
        assert self.examples is not None
        return self.examples

    def require_cpu(self) -> None:
        """
        Raises:
            UserError: the device is another one, under whose name a computation on the CPU would be recorded.
        """
        if self.device.type != "cpu":
            config: Any = self.run.config
            raise UserError(f"run.device: benchmark={config.benchmark} computes on the CPU, use cpu")


def paired(
    case: BenchmarkCase,
    functions: Mapping[str, Callable[[], Any]],
    agreement: Callable[[dict[str, Any]], dict[str, Any]],
) -> Results:
    """Time each function once a round, and every other against ``fast``; then stage by stage, where results have
    ``seconds`` of stages.

    Args:
        agreement: from each function's last result to how far they agree.
    """
    results: dict[str, Any] = {}
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in functions}

    def keeping(name: str) -> Callable[[], None]:
        def call() -> None:
            results[name] = functions[name]()
            stages[name].append(getattr(results[name], "seconds", {}))
            advance(1)

        return call

    with case.run.stage("benchmark", len(functions) * (case.repeats + case.warmup)) as advance:
        calls = {name: keeping(name) for name in functions}
        timings = interleaved(calls, warmup=case.warmup, repeats=case.repeats)
    rows = []
    for name in functions:
        if name != "fast":
            rows += compared(name, timings[name].seconds, timings["fast"].seconds)
    for stage in stages["fast"][-1]:
        plain, fast = ([taken[stage] for taken in stages[name][case.warmup :]] for name in ("plain", "fast"))
        rows += compared(stage, plain, fast)
    return rows, agreement(results) | {f"seconds_{name}": timings[name].median for name in functions}


def compared(comparison: str, plain: Any, fast: Any) -> list[Row]:
    """A row a round, from the seconds of both."""
    return [
        {"comparison": comparison, "repeat": repeat, "plain_seconds": one, "fast_seconds": other, "ratio": one / other}
        for repeat, (one, other) in enumerate(zip(plain, fast, strict=True))
    ]


def median_ratios(rows: list[Row]) -> dict[str, float]:
    """``ratio_COMPARISON``: the median over rounds."""
    ratios_of: dict[str, list[float]] = {}
    for row in rows:
        ratios_of.setdefault(row["comparison"], []).append(row["ratio"])
    return {f"ratio_{name}": statistics.median(ratios) for name, ratios in ratios_of.items()}

"""The whole and the pruned model in every runtime that could serve them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

from prunekit.evaluation.runtimes import in_runtime
from prunekit.evaluation.speed import forward_calls, rounds
from prunekit.support.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.runs.execute import Run

Row = dict[str, Any]
VARIANTS = ("original", "pruned")


class Rounds(Protocol):
    """Settings of a run that times models."""

    @property
    def batch_sizes(self) -> list[int]: ...
    @property
    def warmup(self) -> int: ...
    @property
    def repeats(self) -> int: ...
    @property
    def dtype(self) -> str: ...


def time_runtimes(
    original: PreTrainedModel, pruned: PreTrainedModel, runtimes: list[str], lengths: list[int],
    config: Rounds, run: Run,
) -> dict[str, Any]:  # fmt: skip
    """:func:`runtime_rows` of both models, nothing where torch is the only runtime.

    Args:
        lengths: tokens an example, unpadded.

    Returns:
        metrics of the last length, see :func:`served`.
    """
    if runtimes == ["torch"]:
        return {}
    rows = runtime_rows(original, pruned, runtimes, lengths, config, run)
    return {
        name: value
        for size in config.batch_sizes
        for name, value in served([row for row in rows if row["batch_size"] == size], size, lengths[-1]).items()
    }


def runtime_rows(
    original: PreTrainedModel, pruned: PreTrainedModel, runtimes: list[str], lengths: list[int],
    config: Rounds, run: Run,
) -> list[Row]:  # fmt: skip
    """Time both models in all runtimes in turn; the rows of the table ``runtimes``, which is written."""
    models = {
        (variant, runtime): in_runtime(model, runtime)
        for runtime in runtimes
        for variant, model in zip(VARIANTS, (original, pruned), strict=True)
    }
    rows: list[Row] = []
    with run.stage("time runtimes", len(lengths) * len(config.batch_sizes)) as advance:
        for length, batch_size in product(lengths, config.batch_sizes):
            calls = forward_calls(
                {" in ".join(name): model for name, model in models.items()}, batch_size, length, run.device,
                config.dtype,
            )  # fmt: skip
            for call in calls.values():
                call()  # some are compiled for this size then
            taken = interleaved(calls, warmup=config.warmup, repeats=rounds(config.repeats, batch_size, length))
            rows += with_fastest([
                {
                    "variant": variant, "runtime": runtime, "batch_size": batch_size, "length": length,
                    "median_ms": timing.median * 1e3, "low_ms": timing.low * 1e3, "high_ms": timing.high * 1e3,
                    "repeats": timing.repeats,
                }
                for (variant, runtime), timing in zip(models, taken.values(), strict=True)
            ])  # fmt: skip
            advance(1)
    run.table("runtimes", rows)
    return rows


def with_fastest(rows: list[Row]) -> list[Row]:
    """Rows of one batch size and length, each saying whether its runtime is the fastest of its variant."""
    best = {which: min(row["median_ms"] for row in rows if row["variant"] == which) for which in VARIANTS}
    return [{**row, "fastest": row["median_ms"] == best[row["variant"]]} for row in rows]


def served(rows: list[Row], batch_size: int, length: int) -> dict[str, Any]:
    """Metrics of one batch size and length: pruned over original in each runtime, and as served, which is each model in
    its own fastest runtime, named."""
    times = {(row["variant"], row["runtime"]): row for row in rows if row["length"] == length}
    runtimes = list(dict.fromkeys(runtime for _, runtime in times))

    def ratio(first: Row, second: Row) -> float:
        return float(first["median_ms"] / second["median_ms"])

    metrics: dict[str, Any] = {
        f"speedup_{one}_batch_{batch_size}": ratio(times["original", one], times["pruned", one])
        for one in runtimes
    }
    best = {row["variant"]: row for row in times.values() if row["fastest"]}
    metrics |= {f"runtime_{which}_batch_{batch_size}": row["runtime"] for which, row in best.items()}
    metrics[f"speedup_as_served_batch_{batch_size}"] = ratio(best["original"], best["pruned"])
    return metrics

"""The whole and the pruned model in every runtime that could serve them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

from prunekit.evaluation.runtimes import in_runtime
from prunekit.evaluation.speed import forward_calls, rounds
from prunekit.models.export.graphs import random_inputs
from prunekit.support.timing import Timing, interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.runs.execute import Run

Row = dict[str, Any]
Named = tuple[str, str]
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
    """Time both models in all runtimes in turn and write the table ``runtimes``; nothing where torch is the only one.

    Args:
        lengths: tokens an example, unpadded.

    Returns:
        metrics of the last length, see :func:`served`.
    """
    if runtimes == ["torch"]:
        return {}
    inputs = random_inputs(original, 2, 8)
    models = {
        (variant, runtime): in_runtime(model, runtime, inputs)
        for runtime in runtimes
        for variant, model in zip(VARIANTS, (original, pruned), strict=True)
    }
    rows = [row for own, _ in in_turn(models, inputs, lengths, config, run) for row in own]
    return {
        name: value
        for size in config.batch_sizes
        for name, value in served([row for row in rows if row["batch_size"] == size], size, lengths[-1]).items()
    }


def in_turn(
    models: Mapping[Named, Any], names: Collection[str], lengths: list[int], config: Rounds, run: Run
) -> list[tuple[list[Row], dict[Named, Timing]]]:
    """Time models in turn and write the table ``runtimes``.

    Args:
        models: by variant (:data:`VARIANTS`) and runtime; what takes inputs by name and has a ``config``.
        names: of the inputs that a graph of the models takes; all of them get these.

    Returns:
        for each length and batch size the rows of the table, and the seconds of every round.
    """
    taken = []
    with run.stage("time runtimes", len(lengths) * len(config.batch_sizes)) as advance:
        for length, batch_size in product(lengths, config.batch_sizes):
            named = {" in ".join(name): model for name, model in models.items()}
            calls = forward_calls(named, batch_size, length, run.device, config.dtype, names)
            for call in calls.values():
                call()  # some are compiled for this size then
            timings = interleaved(calls, warmup=config.warmup, repeats=rounds(config.repeats, batch_size, length))
            rows = [
                {
                    "variant": variant, "runtime": runtime, "batch_size": batch_size, "length": length,
                    "median_ms": timing.median * 1e3, "low_ms": timing.low * 1e3, "high_ms": timing.high * 1e3,
                    "repeats": timing.repeats,
                }
                for (variant, runtime), timing in zip(models, timings.values(), strict=True)
            ]  # fmt: skip
            taken.append((with_fastest(rows), dict(zip(models, timings.values(), strict=True))))
            advance(1)
    run.table("runtimes", [row for own, _ in taken for row in own])
    return taken


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

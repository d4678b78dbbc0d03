"""What the structure is worth: each fast path beside a plain implementation, in one process, in turn.

python -m experiments.benchmark scale=small benchmark=ablation
python -m experiments.benchmark scale=small benchmark=importance examples=128
python -m experiments.benchmark scale=small benchmark=fisher repeats=1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.entry import run_main
from prunekit.checks import at_least, one_of
from prunekit.config import Experiment, without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run

VERB, REVISION = "benchmark", 1
BENCHMARKS = {"ablation": 256, "importance": 512, "fisher": 2048}
"""By name: examples."""


@dataclass(kw_only=True)
class Benchmark(Experiment):
    """Paired timings; the ratios are taken round by round."""

    benchmark: str = "ablation"
    """Which: ``ablation``, ``importance`` or ``fisher``."""
    examples: int | None = None
    """Examples of the evaluation split (``fisher``: of the training split); null for the benchmark's own number."""
    repeats: int = 3
    """Rounds; in each, every implementation runs once."""
    warmup: int = 0
    """Rounds that are not counted."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from one_of("benchmark", self.benchmark, BENCHMARKS)
        if self.examples is not None:
            yield from at_least("examples", self.examples, 1)
        yield from at_least("repeats", self.repeats, 1)
        yield from at_least("warmup", self.warmup, 0)


def story(config: Benchmark, run: Run) -> None:
    import importlib
    import statistics

    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher
    from prunekit.timing import interleaved

    bench = importlib.import_module(f"experiments.benchmarks.{config.benchmark}")
    teacher = load_teacher(config, run)
    split = config.task.train if config.benchmark == "fisher" else config.task.evaluation
    rows = load_rows(config.task, split).sample(config.examples or BENCHMARKS[config.benchmark])
    run.data.append(rows.record("evaluation"))
    functions = bench.variants(teacher.model, teacher.encode(rows), config.evaluation.batch_size, run.device)
    results: dict[str, Any] = {}
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in functions}

    def keeping(name: str) -> Any:
        def call() -> None:
            results[name] = functions[name]()
            stages[name].append(getattr(results[name], "seconds", {}))
            advance(1)

        return call

    with run.stage("benchmark", len(functions) * (config.repeats + config.warmup)) as advance:
        timings = interleaved({name: keeping(name) for name in functions}, warmup=config.warmup, repeats=config.repeats)
    table = []
    for name in functions:
        if name != "fast":
            pairs = zip(timings[name].seconds, timings["fast"].seconds, strict=True)
            table += [_row(name, repeat, plain, fast) for repeat, (plain, fast) in enumerate(pairs)]
    for stage in stages["fast"][-1]:  # where a benchmark has stages
        rounds = zip(stages["plain"][config.warmup :], stages["fast"][config.warmup :], strict=True)
        table += [_row(stage, repeat, plain[stage], fast[stage]) for repeat, (plain, fast) in enumerate(rounds)]
    run.table("repeats", table)
    run.metrics = bench.agreement(results)
    for name in functions:
        run.metrics[f"seconds_{name}"] = timings[name].median
    for name in dict.fromkeys(row["comparison"] for row in table):
        run.metrics[f"ratio_{name}"] = statistics.median(row["ratio"] for row in table if row["comparison"] == name)


def _row(comparison: str, repeat: int, plain: float, fast: float) -> dict[str, Any]:
    return {
        "comparison": comparison, "repeat": repeat, "plain_seconds": plain, "fast_seconds": fast, "ratio": plain / fast,
    }  # fmt: skip


def perform(config: Benchmark) -> None:
    from experiments.report import announce
    from prunekit.runs import execute

    announce(execute(VERB, REVISION, config, story, measures_time=True), config)


if __name__ == "__main__":
    run_main(VERB, Benchmark, perform)

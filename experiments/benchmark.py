"""What the structure is worth: each fast path beside a plain implementation, in one process, in turn.

python -m experiments.benchmark scale=small benchmark=ablation
python -m experiments.benchmark scale=small benchmark=importance examples=128
python -m experiments.benchmark scale=small benchmark=fisher repeats=1
python -m experiments.benchmark scale=small benchmark=latency evaluation.batch_size=32 runtime=onnx
python -m experiments.benchmark model=bert-base benchmark=rearrange run.device=cpu
python -m experiments.benchmark scale=small task=sst2 benchmark=cofi_step evaluation.batch_size=32
python -m experiments.benchmark scale=small task=multi30k model=marian-small benchmark=ablation_translation
python -m experiments.benchmark scale=base task=mrpc benchmark=finetune repeats=1
python -m experiments.benchmark scale=paper benchmark=estimate repeats=1
python -m experiments.benchmark benchmark=sweep repeats=1
python -m experiments.benchmark benchmark=analysis
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.cli.verb import runs_in, verb
from prunekit.config.checks import one_of, runtime_problems, shares_threads
from prunekit.config.ranges import EXAMPLES as EXAMPLES_AT_MOST
from prunekit.config.ranges import ROUNDS, within
from prunekit.config.sections import Experiment
from prunekit.config.task import ONE_LABEL_A_ROW, without_questions, without_tags, without_translation

if TYPE_CHECKING:
    from prunekit.runs.execute import Run

OWN_REVISION = {"latency": 2, "estimate": 2}
"""Of a benchmark that has changed by itself."""
EXAMPLES = {
    "ablation": 256, "importance": 512, "fisher": 2048, "latency": 512, "rearrange": 64, "cofi_step": 192,
    "ablation_translation": 128, "finetune": 1600, "sweep": 2048, "analysis": 10_000, "ziplm": 4096,
    "estimate": 392_702,
}  # fmt: skip
"""Of each benchmark; of ``rearrange``: rows of gradients, of ``sweep``: calibration examples of a cell, ``analysis``:
run records, ``ziplm``: tokens that it makes, ``estimate``: rows that train a teacher, as many as MNLI has."""
FROM_TRAINING = ("fisher", "latency", "cofi_step", "finetune")  # examples of the training split
OF_TRANSLATION = ("ablation_translation",)
OF_SHAPES = ("rearrange", "sweep", "analysis", "ziplm", "estimate")
"""No trained model and no data: ``sweep`` starts commands that have their own, ``analysis`` reads what is logged."""


@dataclass(kw_only=True)
class Benchmark(Experiment):
    """Paired timings; the ratios are taken round by round."""

    autocasts: ClassVar[bool] = False
    benchmark: str = "ablation"
    """Which: ``ablation``, ``importance``, ``fisher``, ``rearrange``, ``cofi_step``: of its training, in batches of
    ``evaluation.batch_size``, ``latency``: of pruned models, ``ablation_translation``, ``sweep``: of Fisher pruning
    with two processes, ``finetune``: of a teacher as ``train`` says, ``analysis``: of thousands of records,
    ``ziplm``: the order in which it removes neurons, or ``estimate``: seconds and memory of some verbs at this model's
    true shape, on random weights, of which `reproduce estimate=true` makes those of a paper."""
    examples: int | None = within(None, 1, EXAMPLES_AT_MOST)
    """Examples of the evaluation split (``fisher``, ``cofi_step``, ``latency`` and ``finetune``: of the training
    split); null for the benchmark's own number."""
    repeats: int = within(3, 1, ROUNDS)
    """Rounds; in each, every implementation runs once (``latency``: up to 20 times as many for small inputs)."""
    warmup: int = within(0, 0, ROUNDS)
    """Rounds that are not counted."""
    runtime: str = "torch"
    """In which models run (``latency`` only): ``torch``, ``compile``, ``onnx`` or ``onnx-int8``."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from (*without_questions(self.task, ONE_LABEL_A_ROW), *without_tags(self.task))
        yield from one_of("benchmark", self.benchmark, EXAMPLES)
        yield from runtime_problems("runtime", [self.runtime], self.dtype, self.run.device)
        if self.runtime != "torch" and self.benchmark != "latency":
            yield f"runtime: {self.runtime} is of benchmark=latency, others run in torch"
        if self.benchmark in OF_TRANSLATION and not self.task.translation:
            yield f"task: {self.task.name} is no translation, benchmark={self.benchmark} needs one"
        elif self.benchmark not in OF_TRANSLATION:
            yield from without_translation(self.task, ONE_LABEL_A_ROW)


def procedure(config: Benchmark, run: Run) -> None:
    from experiments.benchmarks.paired import BenchmarkCase, median_ratios

    model, examples, size = subject(config, run)
    bench = importlib.import_module(f"experiments.benchmarks.{config.benchmark}")
    rows, metrics = bench.compare(BenchmarkCase(
        model, examples, size, batch_size=config.evaluation.batch_size, seed=config.seed, repeats=config.repeats,
        warmup=config.warmup, run=run, runtime=config.runtime,
    ))  # fmt: skip
    run.metrics = metrics | median_ratios(rows)
    if rows:
        run.table("repeats", rows)


def subject(config: Benchmark, run: Run) -> tuple[Any, Any, int]:
    """The model and the examples of a benchmark, and how many."""
    from prunekit.evaluation.evaluate import model_record
    from prunekit.models.pretrained import on_device
    from prunekit.runs.run_data import recorded_rows
    from prunekit.runs.teachers import load_teacher, new_model, untrained

    size = config.examples or EXAMPLES[config.benchmark]
    if config.benchmark in OF_SHAPES:
        model, _ = new_model(dataclasses.replace(config.model, weights="random"), config.task, config.seed)
        on_device(model, run.device)
        run.model = model_record(model, config.model.name, config.model.path, "random")
        return model, None, size
    teacher = untrained(config, run) if config.benchmark == "finetune" else load_teacher(config, run)
    split = config.task.train if config.benchmark in FROM_TRAINING else config.task.evaluation
    return teacher.model, teacher.encode(recorded_rows(run, "evaluation", config.task, split, size)), size


main = verb("benchmark", Benchmark, procedure, measures_time=True, needs=runs_in("runtime", lambda own: [own.runtime]),
            scores=lambda own: own.benchmark not in (*OF_SHAPES, "finetune"),  # in other runtimes all that graphs take
            revision=lambda own: OWN_REVISION.get(own.benchmark, 1) + (own.runtime != "torch")
            + shares_threads([own.runtime], own.run.threads))  # fmt: skip

if __name__ == "__main__":
    main()

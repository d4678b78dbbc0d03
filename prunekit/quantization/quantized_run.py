"""A run that quantises a model: what it is trained on, its graphs and their scores, and what is recorded of it."""

from __future__ import annotations

import copy
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from prunekit.data.batches import Examples
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import Evaluated, evaluate
from prunekit.heads.runtime_speed import runtime_rows
from prunekit.models import checkpoints
from prunekit.models.costs import cost
from prunekit.models.export.exporting import Exported, export
from prunekit.models.export.graphs import MODEL, check_graph
from prunekit.models.export.sessions import Session
from prunekit.quantization.fake_quantization import fake_quantization
from prunekit.quantization.onnx_answers import answered_by, check_int8
from prunekit.quantization.settings import QuantizeSettings
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Run
from prunekit.runs.run_data import evaluation_examples
from prunekit.runs.teachers import Teacher
from prunekit.support.fingerprints import model_fingerprint
from prunekit.training.finetuning import steps_in, train, training_attention
from prunekit.training.loop import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RUNTIMES = ["onnx", "onnx-int8"]
"""That whole and quantised model are timed in, in turn."""


class QuantizedRun:
    """Data, models and record of a run.

    Args:
        small: what is quantised, in float32; None for the teacher itself.

    Raises:
        UserError: a model without a graph, or a machine without ONNX Runtime or its operators in 8 bits.
    """

    def __init__(self, config: QuantizeSettings, run: Run, teacher: Teacher, small: PreTrainedModel | None) -> None:
        self.config, self.run, self.teacher, self.whole = config, run, teacher, teacher.model
        check_graph(self.whole)
        check_int8()
        self.pruned = small is not None
        self.model = copy.deepcopy(self.whole) if small is None else small
        self.evaluation = evaluation_examples(config, teacher, run)
        self.length = max(1, self.evaluation.mean_lengths[0])
        self.dense = cost(self.whole, self.length)
        self.rows: list[dict[str, Any]] = []
        self.training = None if config.quantization == "dynamic" else self._training_examples()

    def perform(self) -> None:
        """Everything: trained if it is asked for, exported, scored, timed, recorded."""
        before = self._graph_of("dense", self.whole)
        record_beside_trivial(self.run, self.config.task, self.whole, self.evaluation.rows, before)
        if self.pruned:
            self._graph_of("pruned", self.model)
        if self.training is not None:
            self._train(self.training)
            checkpoints.save(self.model, self.run.folder / "model", tokenizer=self.teacher.tokenizer)
            self._graph_of("trained", self.model)
        folder = self.run.folder / "onnx"
        with self.run.stage("export"):
            export(self.model, folder / "float32", "onnx", tokenizer=self.teacher.tokenizer)
            written = export(
                self.model, folder / "int8", "onnx", precision="int8", tokenizer=self.teacher.tokenizer
            )
        self._record(before, self._scored("quantized", self.model, written))

    def _training_examples(self) -> Examples:
        recipe, task = self.config.recipe, self.config.task
        rows = load_rows(task, task.train).sample(recipe.examples)
        self.run.data.append(rows.record("quantization"))
        return self.teacher.encode(rows)

    def _train(self, examples: Examples) -> None:
        """Of ``aware`` in fake quantisation, which is gone afterwards; there the model is scored as it was trained."""
        run, config, recipe, aware = self.run, self.config, self.config.recipe, self.config.quantization == "aware"
        inputs = {"source": model_fingerprint(self.model), "examples": examples.fingerprint()}
        attention = training_attention(self.model, run.device, recipe)
        with fake_quantization(self.model, config.decay) if aware else nullcontext():
            with attention, run.stage("train", steps_in(len(examples), recipe)) as advance:
                context = Context(
                    examples=examples, device=run.device, folder=run.folder, inputs=inputs,
                    checkpoint_seconds=config.run.checkpoint_seconds,
                    identity={"quantization": config.quantization, "decay": str(config.decay)},
                    on_resume=lambda step: (run.logged(until=step), None)[1],
                    on_log=lambda step, values: run.log(step, **values), on_step=advance,
                )  # fmt: skip
                self.steps = train(self.model, recipe, context).step
            if aware:
                self._add("simulated", "simulated", self.model, self._evaluated("simulated", self.model), None)
        run.leftovers += [run.folder / name for name in ("checkpoint.safetensors", "best.safetensors")]

    def _graph_of(self, stage: str, model: PreTrainedModel) -> Evaluated:
        """Score a model's graph in float32, which is not kept."""
        with tempfile.TemporaryDirectory() as folder:
            return self._scored(stage, model, export(model, Path(folder) / "float32", "onnx"))

    def _scored(self, stage: str, model: PreTrainedModel, written: Exported) -> Evaluated:
        with answered_by(model, Session(written.folder / MODEL, torch.get_num_threads())):
            evaluated = self._evaluated(stage, model)
        self._add(stage, written.precision, model, evaluated, written.bytes)
        return evaluated

    def _evaluated(self, stage: str, model: PreTrainedModel) -> Evaluated:
        config = self.config
        with self.run.stage(f"evaluate {stage}", len(self.evaluation)) as advance:
            evaluated = evaluate(
                config.task, model, self.evaluation, device=self.run.device, batch_size=config.evaluation.batch_size,
                precision=config.dtype, on_rows=advance,
            )  # fmt: skip
        self.run.answers.add("evaluation", [{"stage": stage}], evaluated.answers)
        return evaluated

    def _add(
        self, stage: str, precision: str, model: PreTrainedModel, evaluated: Evaluated, size: int | None
    ) -> None:
        own, metric = cost(model, self.length), self.config.task.metric
        self.rows.append({
            "stage": stage, "precision": precision, "metric": metric, "value": evaluated.metrics[metric],
            "low": evaluated.low, "high": evaluated.high, **evaluated.metrics, "length": self.length,
            "macs": own.macs, "achieved_macs": 1 - own.macs / self.dense.macs, "parameters": own.parameters,
            "achieved_parameters": 1 - own.parameters / self.dense.parameters, "bytes": size,
        })  # fmt: skip

    def _record(self, before: Evaluated, after: Evaluated) -> None:
        run, config, metric = self.run, self.config, self.config.task.metric
        run.table("stages", self.rows)
        timed = runtime_rows(self.whole, self.model, RUNTIMES, [self.length], config, run)
        first, last = self.rows[0], self.rows[-1]
        speeds = {
            name: value for size in config.batch_sizes
            for name, value in speedups([row for row in timed if row["batch_size"] == size], size).items()
        }  # fmt: skip
        run.metrics = {
            "metric": metric, "baseline": before.metrics[metric], "baseline_low": before.low,
            "baseline_high": before.high, "value": after.metrics[metric], "low": after.low, "high": after.high,
            **after.metrics, "quantization": config.quantization, "remaining_macs": last["macs"] / first["macs"],
            "remaining_parameters": last["parameters"] / first["parameters"],
            "speedup": speeds[f"speedup_batch_{config.batch_sizes[-1]}"], **speeds,
            "bytes": last["bytes"], "remaining_bytes": last["bytes"] / first["bytes"],
        }  # fmt: skip
        if self.training is not None:
            run.metrics["steps"] = self.steps
        run.sparsity = {name: last[name] for name in ("achieved_macs", "achieved_parameters")}


def speedups(rows: list[dict[str, Any]], batch_size: int) -> dict[str, float]:
    """Over the whole model in float32: of pruning alone, of 8 bits alone, of both.

    Args:
        rows: of :func:`prunekit.heads.runtime_speed.runtime_rows`, of this batch size.
    """
    times = {(row["variant"], row["runtime"]): row["median_ms"] for row in rows}
    dense = times["original", "onnx"]
    return {
        f"speedup_pruning_batch_{batch_size}": dense / times["pruned", "onnx"],
        f"speedup_int8_batch_{batch_size}": dense / times["original", "onnx-int8"],
        f"speedup_batch_{batch_size}": dense / times["pruned", "onnx-int8"],
    }

"""A run that quantises a model: what it is trained on, its graphs and their scores, and what is recorded of it."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.data.batches import Examples
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import Evaluated, evaluate
from prunekit.evaluation.runtimes import Served
from prunekit.models import checkpoints
from prunekit.models.costs import cost
from prunekit.models.export.exporting import export
from prunekit.models.export.graphs import MODEL, check_graph, quantize_graph, random_inputs
from prunekit.models.export.sessions import Session
from prunekit.quantization.fake_quantization import fake_quantization
from prunekit.quantization.onnx_answers import answered_by
from prunekit.quantization.settings import QuantizeSettings
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Run
from prunekit.runs.run_data import evaluation_examples
from prunekit.runs.runtime_speed import in_turn
from prunekit.runs.teachers import Teacher
from prunekit.support.fingerprints import model_fingerprint
from prunekit.support.timing import Timing
from prunekit.training.finetuning import steps_in, train, training_attention
from prunekit.training.loop import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class QuantizedRun:
    """Data, models and record of a run.

    Args:
        small: what is quantised, in float32; None for the teacher itself.

    Raises:
        UserError: a model without a graph.
    """

    def __init__(self, config: QuantizeSettings, run: Run, teacher: Teacher, small: PreTrainedModel | None) -> None:
        self.config, self.run, self.teacher, self.whole = config, run, teacher, teacher.model
        check_graph(self.whole)
        self.pruned = small is not None
        self.model = copy.deepcopy(self.whole) if small is None else small
        self.evaluation = evaluation_examples(config, teacher, run)
        self.length = max(1, self.evaluation.mean_lengths[0])
        self.dense = cost(self.whole, self.length)
        self.rows: list[dict[str, Any]] = []
        self.training = None if config.quantization == "dynamic" else self._training_examples()

    def perform(self) -> None:
        """Everything: trained if it is asked for, exported, scored, timed, recorded."""
        folder, tokenizer = self.run.folder / "onnx", self.teacher.tokenizer
        with tempfile.TemporaryDirectory() as scratch:
            last = "trained" if self.training is not None else "pruned" if self.pruned else "dense"
            homes = {stage: Path(scratch) / stage for stage in ("dense", "pruned", "trained")}
            homes[last] = folder / "float32"
            before = self._exported("dense", self.whole, homes["dense"])
            record_beside_trivial(self.run, self.config.task, self.whole, self.evaluation.rows, before)
            if self.pruned:
                self._exported("pruned", self.model, homes["pruned"])
            if self.training is not None:
                self._train(self.training)
                checkpoints.save(self.model, self.run.folder / "model", tokenizer=tokenizer)
                self._exported("trained", self.model, homes["trained"])
            after = self._exported("quantized", self.model, folder / "int8", homes[last])
            dense, dense_int8 = homes["dense"] / MODEL, Path(scratch) / "int8.onnx"
            quantize_graph(dense, dense_int8)
            graphs = {
                ("original", "onnx"): dense, ("pruned", "onnx"): homes[last] / MODEL,
                ("original", "onnx-int8"): dense_int8, ("pruned", "onnx-int8"): folder / "int8" / MODEL,
            }  # fmt: skip
            self._record(before, after, self._gains(graphs))

    def _gains(self, graphs: dict[tuple[str, str], Path]) -> list[dict[str, Any]]:
        """Time all four in turn."""
        models = {name: Served(self.whole.config, path) for name, path in graphs.items()}
        taken = in_turn(models, random_inputs(self.whole, 1, 1), [self.length], self.config, self.run)
        rows = [
            {"batch_size": own[0]["batch_size"], "length": own[0]["length"], **gains(timings)} for own, timings in taken
        ]
        self.run.table("gains", rows)
        return rows

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

    def _exported(
        self, stage: str, model: PreTrainedModel, folder: Path, exact: Path | None = None
    ) -> Evaluated:
        """Write a model's graph, in int8 where its folder in float32 is given, and score it."""
        precision = "float32" if exact is None else "int8"
        with self.run.stage("export"):
            written = export(
                model, folder, "onnx", precision=precision, tokenizer=self.teacher.tokenizer, exact=exact
            )  # fmt: skip
        with answered_by(model, Session(folder / MODEL, torch.get_num_threads())):
            evaluated = self._evaluated(stage, model)
        self._add(stage, precision, model, evaluated, written.bytes)
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

    def _record(self, before: Evaluated, after: Evaluated, timed: list[dict[str, Any]]) -> None:
        run, config, metric = self.run, self.config, self.config.task.metric
        run.table("stages", self.rows)
        first, last = self.rows[0], self.rows[-1]
        run.metrics = {
            "metric": metric, "baseline": before.metrics[metric], "baseline_low": before.low,
            "baseline_high": before.high, "value": after.metrics[metric], "low": after.low, "high": after.high,
            **after.metrics, "quantization": config.quantization, "remaining_macs": last["macs"] / first["macs"],
            "remaining_parameters": last["parameters"] / first["parameters"], "speedup": timed[-1]["both"],
            **{
                f"speedup_{name}_batch_{row['batch_size']}": row[name]
                for row in timed for name in ("pruning", "int8", "both")
            },
            "bytes": last["bytes"], "remaining_bytes": last["bytes"] / first["bytes"],
        }  # fmt: skip
        if self.training is not None:
            run.metrics["steps"] = self.steps
        run.sparsity = {name: last[name] for name in ("achieved_macs", "achieved_parameters")}


def gains(timings: Mapping[tuple[str, str], Timing]) -> dict[str, Any]:
    """Speed over the whole model in float32, of pruning, of 8 bits and of both, and both over the product of the two:
    medians over the rounds, of the last also the quartiles.

    Args:
        timings: of the whole model (original) and the pruned one in ``onnx`` and ``onnx-int8``, taken in turn.
    """
    seconds = {name: np.asarray(timing.seconds) for name, timing in timings.items()}
    dense = seconds["original", "onnx"]
    pruning, int8 = dense / seconds["pruned", "onnx"], dense / seconds["original", "onnx-int8"]
    both = dense / seconds["pruned", "onnx-int8"]
    of_product = both / (pruning * int8)
    low, high = np.quantile(of_product, (0.25, 0.75)).tolist()
    return {
        "pruning": float(np.median(pruning)), "int8": float(np.median(int8)), "both": float(np.median(both)),
        "of_product": float(np.median(of_product)), "low": low, "high": high, "repeats": len(dense),
    }  # fmt: skip

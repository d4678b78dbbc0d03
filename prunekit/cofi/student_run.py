"""A run of CoFi or of one of its baselines: what the student is trained on, and what is recorded of it."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.cofi.fixed import Pruned, train_fixed
from prunekit.cofi.pruning import Cofi
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.settings import CofiSettings
from prunekit.cofi.structures import drawn, scored, small_dense, whole_layers
from prunekit.data.batches import Examples
from prunekit.data.rows import load_rows
from prunekit.evaluation.cached import cached_evaluation
from prunekit.evaluation.evaluate import Evaluated, evaluate
from prunekit.evaluation.speed import latency_rows
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.input_tables import positions
from prunekit.models.masks import Masks
from prunekit.models.pretrained import on_device
from prunekit.models.surgery import prune
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Run
from prunekit.runs.run_data import evaluation_examples
from prunekit.runs.teachers import Teacher, new_model
from prunekit.stages.emptied import warn_of_emptied
from prunekit.support.errors import UserError
from prunekit.support.files import write_json
from prunekit.support.fingerprints import model_fingerprint
from prunekit.support.progress import Advance
from prunekit.training.finetuning import training_attention
from prunekit.training.loop import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CALIBRATION = 2048
"""Examples that Fisher information of the baseline is computed from."""


class StudentRun:
    """Data, student and record of a run."""

    def __init__(self, config: CofiSettings, run: Run, teacher: Teacher) -> None:
        self.config, self.run, self.teacher = config, run, teacher
        self.advance: Advance = lambda steps: None
        self.length = min(config.length, positions(teacher.model))
        self.evaluation = evaluation_examples(config, teacher, run)
        training = load_rows(config.task, config.task.train).sample(config.train.examples)
        if config.student.select_on == "train_slice":
            if config.student.held_out >= len(training):
                raise UserError(
                    f"student.held_out: {config.student.held_out} of {len(training)} training rows leave none to train "
                    "on; take fewer, or student.select_on=validation"
                )
            order = np.random.default_rng(config.seed).permutation(len(training))
            chosen, rest = order[: config.student.held_out], order[config.student.held_out :]
            slice_ = training.take(np.sort(chosen))
            run.data.append(slice_.record("selection"))
            self.selection, training = teacher.encode(slice_), training.take(np.sort(rest))
        else:
            self.selection = self.evaluation
        self.examples: Examples = teacher.encode(training)
        run.data.append(training.record("distillation"))

    @property
    def steps(self) -> int:
        """Of all stages."""
        student = self.config.student
        return student.steps(len(self.examples), student.epochs)

    def train(
        self, shape: dict[str, list[int]] | None = None, start: tuple[PreTrainedModel, Masks] | None = None
    ) -> Pruned:
        """The student of the run's structure, trained with the attention implementation of the teacher's recipe.

        Args:
            shape: of the learned model, for ``random``.
            start: of another method: the smaller model, and the bool masks by which it was cut.
        """
        config, whole = self.config, self.teacher.model
        recipe = config.recipe
        if start is None and config.structure in ("learned", "random"):
            student = self._student()
            with training_attention(student, self.run.device, config.train):
                context, runs = self._context(recipe, student), Path(config.run.folder)
                cofi = Cofi(whole, student, recipe, self._score, context, runs)
                return cofi.run() if shape is None else cofi.run_with(drawn(student, shape, config.seed))
        model, masks = start or self._cut()
        with training_attention(model, self.run.device, config.train):
            return train_fixed(whole, model, masks, recipe, self._score, self._context(recipe, model))

    def _cut(self) -> tuple[PreTrainedModel, Masks | None]:
        """What a baseline trains, and the masks by which it was cut; none of a small dense model."""
        config, whole = self.config, self.teacher.model
        if config.structure == "dense":
            return small_dense(whole, config.sparsity, config.seed), None
        masks = self._masks()
        return prune(whole, masks), masks

    def _masks(self) -> Masks:
        """Of the fine-tuned model, by a baseline's rule."""
        config, model = self.config, self.teacher.model
        if config.structure == "layers":
            return whole_layers(model, config.sparsity)
        with self.run.stage("scores"):
            return scored(model, config.structure, config.sparsity, self.calibration)

    @cached_property
    def calibration(self) -> Examples:
        """What a method looks at that chooses units before any training."""
        chosen = np.random.default_rng(self.config.seed).permutation(len(self.examples))[:CALIBRATION]
        return self.examples.take(np.sort(chosen))

    def _context(self, recipe: Recipe, student: PreTrainedModel) -> Context:
        run, config = self.run, self.config
        inputs = {
            "student": model_fingerprint(student), "teacher": model_fingerprint(self.teacher.model),
            "examples": self.examples.fingerprint(), "selection": self.selection.fingerprint(),
        }  # fmt: skip
        return Context(
            examples=self.examples, device=run.device, folder=run.folder, identity={"recipe": repr(recipe)},
            inputs=inputs,
            checkpoint_seconds=config.run.checkpoint_seconds,
            on_log=lambda step, values: run.log(step, **values),
            on_resume=lambda step: (run.logged(until=step), None)[1], on_step=lambda steps: self.advance(steps),
        )  # fmt: skip

    def finish(self, pruned: Pruned, small: PreTrainedModel) -> None:
        """Evaluate and time what was saved, write the tables and the summary."""
        run, config, metric = self.run, self.config, self.config.task.metric
        with run.stage("evaluate dense"):
            whole = self.teacher.model
            dense = cached_evaluation(config.run.folder, config.task, whole, self.evaluation, **self._how())
            record_beside_trivial(run, config.task, whole, self.evaluation.rows, dense)
        with run.stage("evaluate"):
            found = self._evaluated(small, self.evaluation)
        for stage, evaluated in (("dense", dense), ("final", found)):
            run.answers.add("evaluation", [{"stage": stage}], evaluated.answers)
        units = kept_rows(whole, small)
        run.table("kept", units)
        warn_of_emptied(units)
        if pruned.masks is not None:
            write_json(run.folder / "masks" / "masks.json", {
                "heads": {kind: mask.tolist() for kind, mask in pruned.masks.heads.items()},
                "neurons": pruned.masks.neurons.tolist(),
                "layers": {kind: mask.tolist() for kind, mask in pruned.masks.layers.items()},
                "hidden": None if pruned.masks.hidden is None else pruned.masks.hidden.tolist(),
            })  # fmt: skip
        with run.stage("measure latency"):
            timed = latency_rows(
                whole, small, config.batch_sizes, self.length, repeats=config.repeats, device=run.device,
                precision=config.dtype,
            )  # fmt: skip
        before, after = (cost(model, self.length) for model in (whole, small))
        run.table("latency", [{**row, "mac_speedup": before.macs / max(1, after.macs)} for row in timed])
        stages = {f"steps_{name}": progress.step for name, progress in pruned.stages.items()}
        run.metrics = {
            "metric": metric, "baseline": dense.metrics[metric], "baseline_low": dense.low,
            "baseline_high": dense.high, "value": found.metrics[metric], "low": found.low, "high": found.high,
            **found.metrics, "remaining_macs": after.macs / before.macs,
            "remaining_parameters": after.parameters / before.parameters, "speedup": timed[-1]["speedup"],
            "reached_target": not pruned.missed, **({"missed": pruned.missed} if pruned.missed else {}), **stages,
            **{f"best_{name}": progress.best for name, progress in pruned.stages.items() if progress.best is not None},
        }  # fmt: skip
        run.sparsity = {
            "requested": config.sparsity, **pruned.sparsity,
            "achieved_macs": 1 - after.macs / before.macs,
            "achieved_parameters": 1 - after.parameters / before.parameters,
        }  # fmt: skip
        run.leftovers += run.folder.glob("*.safetensors")

    def _student(self) -> PreTrainedModel:
        config = self.config
        start = config.student.start
        if start == "auto":
            start = "pretrained" if config.model.weights == "pretrained" and config.teacher is None else "teacher"
        if start == "teacher":
            return copy.deepcopy(self.teacher.model)
        student, _ = new_model(config.model, config.task, config.seed, self.teacher.tokenizer)
        return on_device(student, self.run.device)

    def _score(self, model: PreTrainedModel) -> float:
        return self._evaluated(model, self.selection).metrics[self.config.task.metric]

    def _evaluated(self, model: PreTrainedModel, examples: Examples) -> Evaluated:
        return evaluate(self.config.task, model, examples, **self._how())

    def _how(self) -> dict[str, Any]:
        config = self.config
        how = {"device": self.run.device, "batch_size": config.evaluation.batch_size, "precision": config.dtype}
        return {**how, "on_rows": lambda rows: None}


def kept_rows(whole: PreTrainedModel, small: PreTrainedModel) -> list[dict[str, Any]]:
    """What a smaller model has of every unit of a whole one; a layer that it lacks has none."""
    rows = []
    before, after = describe(whole), describe(small)

    def row(unit: str, layer: int, kept: int, total: int) -> None:
        rows.append({"unit": unit, "layer": layer, "kept": kept, "total": total})

    for kind in before.kinds:
        left = {shape.layer: shape for shape in after.of_kind(kind)}
        for shape in before.of_kind(kind):
            own = left.get(shape.layer)
            row("heads", shape.layer, own.heads if own else 0, shape.heads)
            row(f"{kind} layers", shape.layer, int(own is not None and not own.removed), 1)
    left_ffn = {shape.layer: shape for shape in after.ffn}
    for ffn in before.ffn:
        mine = left_ffn.get(ffn.layer)
        row("neurons", ffn.layer, mine.neurons if mine else 0, ffn.neurons)
        row("ffn layers", ffn.layer, int(mine is not None and not mine.removed), 1)
    row("hidden", 0, after.hidden, before.hidden)
    return rows

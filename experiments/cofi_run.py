"""What `prune_cofi` trains on and records."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.fisher_stages import kept_rows
from prunekit.cofi.stages import Surroundings
from prunekit.cofi.training import Pruned, Recipe, Training
from prunekit.costs import cost
from prunekit.errors import UserError
from prunekit.evaluation import Evaluated, evaluate
from prunekit.evaluation_cache import cached_evaluation
from prunekit.files import remove, write_json
from prunekit.fingerprints import examples_fingerprint, weights_fingerprint
from prunekit.progress import Advance
from prunekit.speed import latency_rows
from prunekit.tasks.rows import load_rows
from prunekit.teachers import new_model, positions

if TYPE_CHECKING:
    from experiments.prune_cofi import PruneCofi
    from prunekit.runs import Run
    from prunekit.tasks.batches import Examples
    from prunekit.teachers import Teacher


class Cell:
    """Data, student and record of a run."""

    def __init__(self, config: PruneCofi, run: Run, teacher: Teacher) -> None:
        self.config, self.run, self.teacher = config, run, teacher
        self.advance: Advance = lambda steps: None
        self.length = min(config.length, positions(teacher.model))
        rows = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
        run.data.append(rows.record("evaluation"))
        self.evaluation = teacher.encode(rows)
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
        epochs = student.distil_epochs + student.prune_epochs + student.finetune_epochs
        return epochs * -(-len(self.examples) // student.batch_size)

    def training(self) -> Training:
        config, run, how = self.config, self.run, self.config.student
        recipe = Recipe(
            sparsity=config.sparsity, variant=config.variant, units=tuple(config.units), matching=config.matching,
            prediction_weight=config.prediction_weight, pred_direction=config.pred_direction,
            distil_epochs=how.distil_epochs, prune_epochs=how.prune_epochs, sparsity_epochs=how.sparsity_epochs,
            finetune_epochs=how.finetune_epochs, batch_size=how.batch_size, learning_rate=how.learning_rate,
            finetune_learning_rate=how.finetune_learning_rate, gates_learning_rate=how.gates_learning_rate,
            evaluate_every=how.evaluate_every, precision=how.precision, seed=config.seed,
        )  # fmt: skip
        student = self._student()
        identity = {"recipe": repr(recipe), "student": weights_fingerprint(student),
                    "teacher": weights_fingerprint(self.teacher.model),
                    "examples": examples_fingerprint(self.examples)}  # fmt: skip

        def log(step: int, values: dict[str, Any]) -> None:
            matched = {f"match_{layer}": at for layer, at in training.matches.items()}
            run.log(step, **values, **matched)

        around = Surroundings(
            self.examples, run.device, run.folder, config.seed, identity,
            checkpoint_seconds=config.run.checkpoint_seconds, on_log=log,
            on_resume=lambda step: (run.logged(until=step), None)[1], on_step=lambda steps: self.advance(steps),
        )  # fmt: skip
        training = Training(self.teacher.model, student, recipe, self._score, around)
        return training

    def finish(self, pruned: Pruned, small: Any) -> None:
        """Evaluate and time what was saved, write the tables and the summary."""
        run, config, metric = self.run, self.config, self.config.task.metric
        with run.stage("evaluate dense"):
            whole = self.teacher.model
            dense = cached_evaluation(config.run.folder, config.task, whole, self.evaluation, **self._how())
        with run.stage("evaluate"):
            found = self._evaluated(small, self.evaluation)
        kept = [*kept_rows(self.teacher.model, pruned.masks), *_other_rows(pruned.masks)]
        run.table("kept", kept)
        write_json(run.folder / "masks" / "masks.json", {
            "heads": {kind: mask.tolist() for kind, mask in pruned.masks.heads.items()},
            "neurons": pruned.masks.neurons.tolist(),
            "layers": {kind: mask.tolist() for kind, mask in pruned.masks.layers.items()},
            "hidden": None if pruned.masks.hidden is None else pruned.masks.hidden.tolist(),
        })  # fmt: skip
        with run.stage("measure latency"):
            timed = latency_rows(
                whole, small, config.batch_sizes, self.length, repeats=config.repeats, device=run.device
            )
        before, after = (cost(model, self.length) for model in (whole, small))
        run.table("latency", [{**row, "mac_speedup": before.macs / max(1, after.macs)} for row in timed])
        stages = {f"steps_{name}": progress.step for name, progress in pruned.stages.items()}
        run.metrics = {
            "metric": metric, "baseline": dense.metrics[metric], "baseline_low": dense.low,
            "baseline_high": dense.high, "value": found.metrics[metric], "low": found.low, "high": found.high,
            **found.metrics, "remaining_macs": after.macs / before.macs,
            "remaining_parameters": after.parameters / before.parameters, "speedup": timed[-1]["speedup"],
            "reached_target": pruned.on_target, **stages,
            **{f"best_{name}": progress.best for name, progress in pruned.stages.items() if progress.best is not None},
        }  # fmt: skip
        run.sparsity = {
            "requested": config.sparsity, **pruned.sparsity,
            "achieved_macs": 1 - after.macs / before.macs,
            "achieved_parameters": 1 - after.parameters / before.parameters,
        }  # fmt: skip
        remove(*run.folder.glob("*.safetensors"))

    def _student(self) -> Any:
        config = self.config
        start = config.student.start
        if start == "auto":
            start = "pretrained" if config.model.weights == "pretrained" and config.teacher is None else "teacher"
        if start == "teacher":
            return copy.deepcopy(self.teacher.model)
        student, _ = new_model(config.model, config.task, config.seed, self.teacher.tokenizer)
        return student.to(self.run.device)

    def _score(self, model: Any) -> float:
        return self._evaluated(model, self.selection).metrics[self.config.task.metric]

    def _evaluated(self, model: Any, examples: Examples) -> Evaluated:
        return evaluate(self.config.task, model, examples, **self._how())

    def _how(self) -> dict[str, Any]:
        config = self.config
        how = {"device": self.run.device, "batch_size": config.evaluation.batch_size, "precision": config.dtype}
        return {**how, "on_rows": lambda rows: None}


def _other_rows(masks: Any) -> list[dict[str, Any]]:
    """Sublayers and hidden dimensions that are kept."""
    rows = [
        {"unit": f"{kind} layers", "layer": layer, "kept": int(gate != 0), "total": 1}
        for kind, gates in masks.layers.items()
        for layer, gate in enumerate(gates.tolist())
    ]
    hidden = masks.hidden
    return [*rows, {"unit": "hidden", "layer": 0, "kept": int((hidden != 0).sum()), "total": len(hidden)}]

"""What is recorded of each stage of pruning to a budget: the physically pruned model's score, costs and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from prunekit.data.batches import Examples
from prunekit.evaluation.cached import cached_evaluation
from prunekit.evaluation.evaluate import evaluate
from prunekit.evaluation.speed import latency_rows
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.masks import Masks
from prunekit.runs.beside_trivial import record_beside_trivial, scored_row
from prunekit.runs.execute import Run
from prunekit.runs.run_data import logged_on_the_same
from prunekit.runs.teachers import Teacher
from prunekit.stages.emptied import warn_of_emptied
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.latency import latency_table
from prunekit.stages.settings import BudgetSettings
from prunekit.support.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OF_LAYERS = {"latency": "achieved_latency_by_table", "parameters": "achieved_parameters_of_layers"}
"""What a budget of layers came to, by its kind, beside what the whole model did; MACs are counted of layers alone."""


class StageTable:
    """The evaluation data of a run and its table of stages."""

    def __init__(self, config: BudgetSettings, run: Run, teacher: Teacher, evaluation: Examples) -> None:
        self.config, self.run, self.teacher, self.evaluation = config, run, teacher, evaluation
        self.length = max(1, evaluation.mean_lengths[0])
        self.dense = cost(teacher.model, self.length)
        self.rows: list[dict[str, Any]] = []
        self.limit: Budget | None = None
        """What is searched under, once it is asked for."""

    @cached_property
    def done(self) -> dict[str, dict[str, Any]]:
        """Stages of an interrupted run; looked up once all rows are read."""
        return {line["stage"]: line for line in logged_on_the_same(self.run)}

    def evaluate(self, stage: str, model: PreTrainedModel) -> None:
        """Score a model, unless the run was interrupted after that."""
        if stage not in self.done or not self.run.answers.has("evaluation", [{"stage": stage}]):
            with self.run.stage(f"evaluate {stage}", len(self.evaluation)) as advance:
                # all cells of a sweep have the dense model in common
                score = partial(cached_evaluation, self.config.run.folder) if stage == "dense" else evaluate
                result = score(
                    self.config.task, model, self.evaluation, device=self.run.device,
                    batch_size=self.config.evaluation.batch_size, precision=self.config.dtype, on_rows=advance,
                )  # fmt: skip
            self.run.answers.add("evaluation", [{"stage": stage}], result.answers)
            own, metric = cost(model, self.length), self.config.task.metric
            self.done[stage] = {
                "stage": stage, "metric": metric, "value": result.metrics[metric], "low": result.low,
                "high": result.high, **result.metrics, "length": self.length, "macs": own.macs,
                "achieved_macs": 1 - own.macs / self.dense.macs, "parameters": own.parameters,
                "achieved_parameters": 1 - own.parameters / self.dense.parameters,
            }  # fmt: skip
            self.run.log(len(self.rows), **self.done[stage])
        if stage == "dense":
            whole = scored_row(self.config.task, self.done[stage])
            record_beside_trivial(self.run, self.config.task, model, self.evaluation.rows, whole)
        self.rows.append({name: value for name, value in self.done[stage].items() if name != "step"})

    def budget(self) -> Budget:
        """The run's budget; latency is measured unless it has been."""
        config, table = self.config, None
        if config.budget == "latency":
            with self.run.stage("latency table"):
                table = latency_table(
                    self.teacher.model, config.batch_sizes[-1], self.length, config.run.folder, dtype=config.dtype
                )
        self.limit = Budget(config.constraint, config.budget, self.length, table)
        return self.limit

    def finish(self, masks: Masks, small: PreTrainedModel, timed: Sequence[str]) -> None:
        """Write the tables, measure the latency of what was saved, and fill in the summary.

        Args:
            masks: of the teacher's units.
            timed: stages of the run whose seconds are those of pruning.
        """
        run, config = self.run, self.config
        seconds = {name: run.seconds[name] for name in timed if name in run.seconds}
        run.table("stages", [{**row, "seconds": seconds.get(row["stage"])} for row in self.rows])
        units = kept_rows(self.teacher.model, masks)
        run.table("kept", units)
        warn_of_emptied(units)
        write_json(run.folder / "masks" / "masks.json", {
            "heads": masks.heads["self"].tolist(), "neurons": masks.neurons.tolist(),
        })  # fmt: skip
        with run.stage("measure latency"):
            speeds = latency_rows(
                self.teacher.model, small, config.batch_sizes, self.length, repeats=config.repeats, device=run.device,
                precision=config.dtype,
            )  # fmt: skip
        first, last = self.rows[0], self.rows[-1]
        run.table("latency", [{**row, "mac_speedup": first["macs"] / max(1, last["macs"])} for row in speeds])
        totals = {
            unit: [sum(row[name] for row in units if row["unit"] == unit) for name in ("kept", "total")]
            for unit in ("heads", "neurons")
        }
        run.metrics = {
            "metric": config.task.metric, "baseline": first["value"], "baseline_low": first["low"],
            "baseline_high": first["high"], "value": last["value"],
            **{name: last[name] for name in config.task.metrics},
            "remaining_macs": last["macs"] / first["macs"],
            "remaining_parameters": last["parameters"] / first["parameters"], "speedup": speeds[-1]["speedup"],
            **{f"seconds_{name}": value for name, value in seconds.items()},
            "seconds_pruning": sum(seconds.values()),
        }  # fmt: skip
        run.sparsity = {
            f"requested_{'macs' if config.budget == 'mac' else config.budget}": 1 - config.constraint,
            "achieved_macs": last["achieved_macs"], "achieved_parameters": last["achieved_parameters"],
            **{f"achieved_{unit}": 1 - left / total for unit, (left, total) in totals.items()},
        }  # fmt: skip
        if self.limit is not None and self.limit.kind in OF_LAYERS:
            run.sparsity[OF_LAYERS[self.limit.kind]] = 1 - self.limit.share(self.teacher.model, masks)
        if config.budget == "latency":
            run.sparsity["achieved_latency"] = 1 - speeds[-1]["pruned_ms"] / speeds[-1]["dense_ms"]


def kept_rows(model: PreTrainedModel, masks: Masks) -> list[dict[str, Any]]:
    """Heads and neurons kept in each physical layer."""
    layout = describe(model)
    tensors: dict[str, tuple[torch.Tensor, list[int]]] = {
        "heads": (masks.heads["self"], [shape.heads for shape in layout.of_kind("self")]),
        "neurons": (masks.neurons, [shape.neurons for shape in layout.ffn]),
    }
    return [
        {"unit": unit, "layer": layer, "kept": int(row.count_nonzero()), "total": total}
        for unit, (mask, totals) in tensors.items()
        for layer, (row, total) in enumerate(zip(mask, totals, strict=True))
    ]

"""The sizes of the scales, typed: a section of every configuration (:mod:`prunekit.config.sections`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prunekit.config.ranges import EXAMPLES, FINEST_GRID, LENGTH, ROUNDS, SEEDS, path_setting, within


@dataclass(kw_only=True)
class TranslationScale:
    """What the translation experiments of a scale are run on; the scale's own model and task are an encoder's."""

    task: str = ""
    """Of ``conf/task/``; none: the scale has no translation."""
    model: str = ""
    """Of ``conf/model/``."""
    teacher: str | None = path_setting()
    """Hub id or folder of a finished model; null: it is trained here."""
    second: str = ""
    """The other data of their transfer experiment, of ``conf/second/``."""
    seeds: list[int] = within([0, 1, 2], 0, SEEDS)
    """Seeds of the random order in their pruning curves."""
    dynamics: list[str] = field(default_factory=list)
    """Tasks whose model is trained here and then looked at epoch by epoch (Fig. 5); none where it is not."""


@dataclass(kw_only=True)
class ScaleConfig:
    """The sizes in which demo, small, base and paper differ (``conf/scale/``). Other sections take them from here."""

    name: str = "custom"
    """demo, small, base or paper."""
    evaluation_examples: int | None = within(None, 1, EXAMPLES)
    """Rows of the evaluation split; null for all."""
    importance_examples: int | None = within(10000, 1, EXAMPLES)
    """Training examples that head importance is estimated from; null for all."""
    selection_examples: int = within(5000, 0, EXAMPLES)
    """Training examples on which the head that stays is chosen (paper, App. Table 6)."""
    grid: float = within(0.1, FINEST_GRID, 1)
    """Step of the pruning curves, as a share of all heads."""
    teacher_seeds: list[int] = within([0], 0, SEEDS)
    """Teachers of the pruning curves."""
    random_seeds: list[int] = within([0, 1, 2, 3, 4], 0, SEEDS)
    """Seeds of the random order."""
    translation: TranslationScale = field(default_factory=TranslationScale)
    """Of the translation experiments."""
    lengths: list[int] = within([32, 128, 512], 1, LENGTH)
    """Input lengths of the speed table; the task's mean length is added."""
    repeats: int = within(10, 1, ROUNDS)
    """Timed repetitions of each cell of the speed table."""
    calibration_examples: int = within(2048, 1, EXAMPLES)
    """Training examples that Fisher information and mask tuning are computed from."""
    calibration_seeds: list[int] = within([0, 1, 2], 0, SEEDS)
    """Draws of the calibration examples."""
    calibration_sizes: list[int] = within([64, 256, 1024, 4096], 1, EXAMPLES)
    """Numbers of calibration examples that are compared."""
    constraints: list[float] = within([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 0, 1, above=True, below=True)
    """Budgets of the Fisher experiments."""
    latency_constraints: list[float] = within([], 0, 1, above=True, below=True)
    """Latency budgets of the Fisher experiments; empty for the same shares as ``constraints`` has of MACs."""
    compared_constraints: list[float] = within([0.3, 0.5, 0.7], 0, 1, above=True, below=True)
    """Budgets at which scores, labels and variants are compared; some of ``constraints``."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the Fisher experiments; none: the scale's own task only."""
    compared_tasks: list[str] = field(default_factory=list)
    """Tasks on which all methods are compared; none: the scale's own task only."""
    sparsities: dict[str, list[float]] = within({}, 0, 1, above=True, below=True)
    """Of the CoFi experiments, by task."""
    compared_sparsity: float = within(0.95, 0, 1, above=True, below=True)
    """At which CoFi is compared to its baselines and ablations."""
    baseline_task: str = ""
    """Of CoFi's baselines; the scale's own if not given."""
    ablation_task: str = ""
    """Of CoFi's ablations, and of further seeds."""
    further_seeds: list[int] = within([], 0, SEEDS)
    """Of CoFi on that task, beside the default one."""
    ablated_units: list[list[str]] = field(default_factory=list)
    """Groups of gates that CoFi is compared with, at the compared sparsity."""
    alone: dict[str, float] = within({}, 0, 1, above=True, below=True)
    """Groups of gates that CoFi is compared with by themselves, each with the sparsity that it can reach."""
    distillations: list[list[str]] = field(default_factory=list)
    """Kinds of distillation that CoFi is compared with: answers (``learn_from``) and layers (``matching``)."""
    quantized: list[list[Any]] = field(default_factory=list)
    """Teachers that are quantised, whole and pruned: task, seed and number of training examples, null for all."""
    what: str = ""
    """What this scale is, told at the end of a reproduction."""
    next: str = ""
    """The next scale."""
    next_takes: dict[str, str] = field(default_factory=dict)
    """What the next scale is, by paper, and downloads; its hours are of the machine, `reproduce estimate=true` measures
    them."""

"""The sizes of demo, small and paper, typed: a section of every configuration (:mod:`prunekit.config.sections`)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class TranslationScale:
    """What the translation experiments of a scale are run on; the scale's own model and task are an encoder's."""

    task: str = ""
    """Of ``conf/task/``; none: the scale has no translation."""
    model: str = ""
    """Of ``conf/model/``."""
    teacher: str | None = None
    """Hub id or folder of a finished model; null: it is trained here."""
    second: str = ""
    """The other data of their transfer experiment, of ``conf/second/``."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds of the random order in their pruning curves."""
    dynamics: list[str] = field(default_factory=list)
    """Tasks whose model is trained here and then looked at epoch by epoch (Fig. 5); none where it is not."""


@dataclass(kw_only=True)
class ScaleConfig:
    """The sizes in which demo, small and paper differ (``conf/scale/``). Other sections take them from here."""

    name: str = "custom"
    """demo, small or paper."""
    evaluation_examples: int | None = None
    """Rows of the evaluation split; null for all."""
    importance_examples: int | None = 10000
    """Training examples that head importance is estimated from; null for all."""
    selection_examples: int = 5000
    """Training examples on which the head that stays is chosen (paper, App. Table 6)."""
    grid: float = 0.1
    """Step of the pruning curves, as a share of all heads."""
    teacher_seeds: list[int] = field(default_factory=lambda: [0])
    """Teachers of the pruning curves."""
    random_seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    """Seeds of the random order."""
    translation: TranslationScale = field(default_factory=TranslationScale)
    """Of the translation experiments."""
    lengths: list[int] = field(default_factory=lambda: [32, 128, 512])
    """Input lengths of the speed table; the task's mean length is added."""
    repeats: int = 10
    """Timed repetitions of each cell of the speed table."""
    calibration_examples: int = 2048
    """Training examples that Fisher information and mask tuning are computed from."""
    calibration_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Draws of the calibration examples."""
    calibration_sizes: list[int] = field(default_factory=lambda: [64, 256, 1024, 4096])
    """Numbers of calibration examples that are compared."""
    constraints: list[float] = field(default_factory=lambda: [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    """Budgets of the Fisher experiments."""
    compared_constraints: list[float] = field(default_factory=lambda: [0.3, 0.5, 0.7])
    """Budgets at which scores, labels and variants are compared; some of ``constraints``."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the Fisher experiments; none: the scale's own task only."""
    sparsities: dict[str, list[float]] = field(default_factory=dict)
    """Of the CoFi experiments, by task."""
    compared_sparsity: float = 0.95
    """At which CoFi is compared to its baselines and ablations."""
    baseline_task: str = ""
    """Of CoFi's baselines; the scale's own if not given."""
    ablation_task: str = ""
    """Of CoFi's ablations, and of further seeds."""
    further_seeds: list[int] = field(default_factory=list)
    """Of CoFi on that task, beside the default one."""
    ablated_units: list[list[str]] = field(default_factory=list)
    """Groups of gates that CoFi is compared with, at the compared sparsity."""
    alone: dict[str, float] = field(default_factory=dict)
    """Groups of gates that CoFi is compared with by themselves, each with the sparsity that it can reach."""
    distillations: list[list[str]] = field(default_factory=list)
    """Kinds of distillation that CoFi is compared with: answers (``learn_from``) and layers (``matching``)."""
    what: str = ""
    """What this scale is, told at the end of a reproduction."""
    next: str = ""
    """The next scale."""
    next_takes: dict[str, str] = field(default_factory=dict)
    """What the next scale would take, by paper."""

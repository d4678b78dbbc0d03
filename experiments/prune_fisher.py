"""Prune heads and neurons to a budget without training (Kwon et al. 2022): search, rearrangement, mask tuning.

python -m experiments.prune_fisher scale=small task=sst2 constraint=0.5
python -m experiments.prune_fisher -m scale=small constraint=0.3,0.5,0.7 seed=0,1,2
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.checks import at_least, one_of
from prunekit.config import Experiment
from prunekit.task_config import without_translation

if TYPE_CHECKING:
    from prunekit.runs import Run


@dataclass(kw_only=True)
class PruneFisher(Experiment):
    """One budget for heads and neurons together."""

    constraint: float = 0.5
    """Share of the unpruned layers' MACs (or latency) that may remain, in (0, 1)."""
    budget: str = "mac"
    """What ``constraint`` limits: ``mac``, at the task's mean length, or ``latency``, measured on this machine."""
    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    score: str = "fisher"
    """What units are worth: ``fisher``; ``importance`` (Michel et al. 2019), ``magnitude`` and ``random`` under the
    same budget, for comparison."""
    labels: str = "gold"
    """Labels of the calibration data: ``gold``, or ``predicted`` by the model itself (no annotation needed)."""
    calibration_examples: int = 2048
    """Training examples that gradients and mask tuning are computed from."""
    rearrange: bool | None = None
    """Rearrange the masks that the search found; null: yes for ``score=fisher``, whose information it uses."""
    tune: bool = True
    """Tune the kept masks by layer-wise least squares."""
    target: str = "auto"
    """What mask tuning reconstructs: the ``dense`` model, or the ``assistant`` masked at √constraint; ``auto``: dense,
    and assistant for ``variant=released``."""
    on_failure: str = "auto"
    """A sublayer that cannot be tuned is left out and later ones are tuned (``skip``), or none after it
    (``stop``); ``auto``: skip, and stop for ``variant=released``."""
    batch_sizes: list[int] = field(default_factory=lambda: [1, 32])
    """Batch sizes at which latency is measured; a latency budget is for the last."""
    repeats: int = 5
    """Timed rounds, up to 20 times as many for small inputs."""

    def __post_init__(self) -> None:
        released = self.variant == "released"
        self.rearrange = self.score == "fisher" if self.rearrange is None else self.rearrange
        if self.target == "auto":
            self.target = "assistant" if released else "dense"
        if self.on_failure == "auto":
            self.on_failure = "stop" if released else "skip"

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_translation(self.task)
        if not 0 < self.constraint < 1:
            yield f"constraint: {self.constraint} is the share that may remain, right would be between 0 and 1"
        yield from one_of("budget", self.budget, ("mac", "latency"))
        yield from one_of("variant", self.variant, ("paper", "released"))
        yield from one_of("score", self.score, ("fisher", "importance", "magnitude", "random"))
        yield from one_of("labels", self.labels, ("gold", "predicted"))
        yield from one_of("target", self.target, ("dense", "assistant"))
        yield from one_of("on_failure", self.on_failure, ("skip", "stop"))
        yield from at_least("calibration_examples", self.calibration_examples, 1)
        yield from at_least("repeats", self.repeats, 1)
        for size in self.batch_sizes or [0]:
            yield from at_least("batch_sizes", size, 1)
        if self.rearrange and self.score != "fisher":
            yield f"rearrange: it needs Fisher information, use rearrange=false with score={self.score}"


def story(config: PruneFisher, run: Run) -> None:
    from experiments.fisher_stages import Stages
    from prunekit import checkpoints
    from prunekit.blocks import blocks
    from prunekit.fisher.alternatives import NEED_GRADIENTS, unit_scores
    from prunekit.fisher.calibration import cached_gradients, draw
    from prunekit.fisher.gradients import by_batch, released_group
    from prunekit.fisher.rearrange import rearrange
    from prunekit.fisher.tuning import check_tunable, tune
    from prunekit.surgery import prune
    from prunekit.tasks.batches import evaluation_batches
    from prunekit.tasks.rows import load_rows
    from prunekit.teachers import load_teacher

    teacher = load_teacher(config, run)
    if config.tune:
        check_tunable(teacher.model)  # before anything is computed
    rows = load_rows(config.task, config.task.evaluation).sample(config.evaluation.examples)
    run.data.append(rows.record("evaluation"))
    stages = Stages(config, run, teacher, teacher.encode(rows))
    training = load_rows(config.task, config.task.train, labelled=config.labels == "gold")
    group = released_group(questions=config.task.questions, large="large" in config.model.name)
    calibration = draw(training, config.calibration_examples, config.seed, config.variant, group)
    run.data.append(calibration.record("calibration"))
    examples = teacher.encode(calibration)

    stages.evaluate("dense", teacher.model)
    gradients = cached_gradients(teacher, examples, run, config.labels) if config.score in NEED_GRADIENTS else None
    if gradients is not None and config.variant == "released":
        gradients = by_batch(gradients, group)
    scores = unit_scores(config.score, teacher.model, gradients, config.seed)
    search = stages.search(scores)
    with run.stage("search"):
        masks = search(config.constraint)
    stages.evaluate("search", prune(teacher.model, masks))
    if config.rearrange and gradients is not None:
        with run.stage("rearrange"):
            masks = rearrange(gradients, masks)
        stages.evaluate("rearrange", prune(teacher.model, masks))
    report: list[dict[str, Any]] = []
    if config.tune:
        with run.stage("tune", 2 * len(blocks(teacher.model))) as advance:
            tuned = tune(
                teacher.model, masks, evaluation_batches(examples, 32),
                target=config.target, variant=config.variant, on_failure=config.on_failure, progress=advance,
                assistant=search(config.constraint**0.5) if config.target == "assistant" else None,
            )  # fmt: skip
        masks, report = tuned.masks, tuned.report
        run.table("tuning", report)

    checkpoints.save(prune(teacher.model, masks), run.folder / "model", tokenizer=teacher.tokenizer)
    small: Any = checkpoints.load(run.folder / "model", attention=config.model.attention)
    small.to(run.device)
    if config.tune:
        stages.evaluate("tune", small)  # what was saved is what is evaluated
    stages.finish(masks, small, report)


main = verb(
    "prune_fisher", PruneFisher, story, revision=1,
    measures_time=lambda config: config.budget == "latency",  # the machine then decides which masks are found
)  # fmt: skip

if __name__ == "__main__":
    main()

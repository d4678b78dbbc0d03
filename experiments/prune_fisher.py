"""Prune heads and neurons to a budget without training (Kwon et al. 2022): search, rearrangement, mask tuning.

python -m experiments.prune_fisher scale=small task=sst2 constraint=0.5
python -m experiments.prune_fisher -m scale=small constraint=0.3,0.5,0.7 seed=0,1,2
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.config.choices import NEED_GRADIENTS
from prunekit.fisher.settings import FisherSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


TIMED = ("gradients", "search", "rearrange", "tune")
"""Stages whose seconds are those of pruning."""


@dataclass(kw_only=True)
class PruneFisher(FisherSettings):
    """One budget for heads and neurons together."""


def procedure(config: PruneFisher, run: Run) -> None:
    from prunekit.data.batches import evaluation_batches
    from prunekit.data.rows import load_rows
    from prunekit.models import checkpoints
    from prunekit.models.blocks import blocks
    from prunekit.models.pretrained import on_device
    from prunekit.models.surgery import prune
    from prunekit.runs.run_data import evaluation_examples
    from prunekit.runs.teachers import load_teacher
    from prunekit.stages.calibration import cached_gradients, draw
    from prunekit.stages.refine.rearrange import rearrange
    from prunekit.stages.refit.tuning import check_tunable, tune
    from prunekit.stages.score.gradients import by_batch, released_group
    from prunekit.stages.score.unit_scores import unit_scores
    from prunekit.stages.search.under_budget import check_reach, search
    from prunekit.stages.stage_table import StageTable

    teacher = load_teacher(config, run)
    if config.tune:
        check_tunable(teacher.model)  # before anything is computed
    stages = StageTable(config, run, teacher, evaluation_examples(config, teacher, run))
    training = load_rows(config.task, config.task.train, labelled=config.uses_labels and config.labels == "gold")
    group = released_group(questions=config.task.questions, large="large" in config.model.name)
    calibration = draw(training, config.calibration_examples, config.seed, config.variant, group)
    run.data.append(calibration.record("calibration"))
    examples = teacher.encode(calibration)
    budget = stages.budget()
    check_reach(teacher.model, budget)  # before anything is computed

    stages.evaluate("dense", teacher.model)
    released = config.variant == "released"
    gradients = None
    if config.score in NEED_GRADIENTS:
        padded = group if released and config.task.questions else None
        gradients = cached_gradients(teacher, examples, run, config.labels, padded)
        gradients = by_batch(gradients, group) if released else gradients
    scores = unit_scores(config.score, teacher.model, gradients, config.seed)
    with run.stage("search"):
        masks = search(scores, teacher.model, budget, variant=config.variant)
    stages.evaluate("search", prune(teacher.model, masks))
    if config.rearrange and gradients is not None:
        with run.stage("rearrange"):
            masks = rearrange(gradients, masks)
        stages.evaluate("rearrange", prune(teacher.model, masks))
    report: list[dict[str, Any]] = []
    if config.tune:
        assistant = None
        if config.target == "assistant":
            larger = dataclasses.replace(budget, constraint=config.constraint**0.5)
            assistant = search(scores, teacher.model, larger, variant=config.variant)
        with run.stage("tune", 2 * len(blocks(teacher.model))) as advance:
            tuned = tune(
                teacher.model, masks, evaluation_batches(examples, 32), target=config.target, assistant=assistant,
                variant=config.variant, on_failure=config.on_failure, progress=advance,
            )  # fmt: skip
        masks, report = tuned.masks, tuned.report
        run.table("tuning", report)

    checkpoints.save(prune(teacher.model, masks), run.folder / "model", tokenizer=teacher.tokenizer)
    small = on_device(checkpoints.load(run.folder / "model", attention=config.model.attention), run.device)
    if config.tune:
        stages.evaluate("tune", small)  # what was saved is what is evaluated
    stages.finish(masks, small, TIMED)
    run.metrics |= {
        "sublayers_tuned": sum(row["status"] == "tuned" for row in report),
        "sublayers_not_tuned": sum(row["status"] != "tuned" for row in report),
    }


def revision(config: PruneFisher) -> int:
    """2: questions without padding in their losses; the released target of an FFN. One more: the rows that have a
    label, also where none is needed."""
    of_padding = config.task.questions and config.score in NEED_GRADIENTS
    of_target = config.tune and config.variant == "released" and config.target == "assistant"
    return (2 if of_padding or of_target else 1) + (config.labels == "predicted" and config.may_lack_labels())


main = verb(
    "prune_fisher", PruneFisher, procedure, revision=revision,
    measures_time=lambda config: config.budget == "latency",  # the machine then decides which masks are found
)  # fmt: skip

if __name__ == "__main__":
    main()

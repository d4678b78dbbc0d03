"""Prune heads and neurons to a budget by any method of ``prunekit/methods/``.

python -m experiments.compress method=fisher constraint=0.5 budget=mac task=sst2
python -m experiments.compress -m method=fisher,flap,magnitude,random constraint=0.3,0.5,0.7 seed=0,1,2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.methods.common.settings import CompressSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class Compress(CompressSettings):
    """One method, one budget."""


def procedure(config: Compress, run: Run) -> None:
    from prunekit.data.rows import load_rows
    from prunekit.methods.common.checked_stages import checked_stages
    from prunekit.methods.common.chosen import chosen_stages
    from prunekit.methods.common.compression import check_family
    from prunekit.methods.common.problem import Problem
    from prunekit.methods.common.registry import method
    from prunekit.methods.common.stage_tables import recorded
    from prunekit.models import checkpoints
    from prunekit.models.pretrained import on_device
    from prunekit.runs.run_data import evaluation_examples
    from prunekit.runs.teachers import load_teacher
    from prunekit.stages.calibration import cached_statistics, calibration_batches, draw
    from prunekit.stages.stage_table import StageTable

    own = method(config.method.name, config.method.options)
    refine, refit = chosen_stages(
        config.method.name, own, config.refine, config.refit, config.uniform, config.all_heads, config.labels,
        config.budget,
    )
    teacher = load_teacher(config, run)
    check_family(config.method.name, own.families, teacher.model)
    stages = StageTable(config, run, teacher, evaluation_examples(config, teacher, run))
    labelled = own.labels and config.labels == "gold"
    training = load_rows(config.task, config.task.train, labelled=labelled)
    calibration = draw(training, config.calibration_examples, config.seed)
    run.data.append(calibration.record("calibration"))
    examples = teacher.encode(calibration)
    problem = Problem(
        model=teacher.model, batches=calibration_batches(examples), budget=stages.budget(), seed=config.seed,
        labels=config.labels, refine=refine, refit=refit, uniform=config.uniform,
        all_heads=config.all_heads, stage=run.stage,
        keep=lambda *what: cached_statistics(teacher, examples, run, *what),
    )  # fmt: skip
    before = set(run.seconds)
    following_stages = checked_stages(config.method.name, own, problem)  # refuses before anything is computed
    stages.evaluate("dense", teacher.model)
    outcome = None
    for following in following_stages:
        if outcome is not None:
            stages.evaluate(outcome.stage, outcome.smaller(teacher.model))
        outcome = following
        for name, rows in outcome.tables.items():
            run.table(name, recorded(rows))
    assert outcome is not None
    timed = [name for name in run.seconds if name not in before and not name.startswith("evaluate ")]
    if outcome.report:
        run.table("refit", outcome.report)
    checkpoints.save(outcome.smaller(teacher.model), run.folder / "model", tokenizer=teacher.tokenizer)
    small = on_device(checkpoints.load(run.folder / "model", attention=config.model.attention), run.device)
    stages.evaluate(outcome.stage, small)  # what was saved is what is evaluated
    stages.finish(outcome.masks, small, timed)
    run.metrics |= {
        "method": config.method.name, "refine": refine,
        "refit": "by the method" if refit == "none" and outcome.report else refit,
        **counted(outcome.report),
    }


def counted(report: list[dict[str, Any]]) -> dict[str, int]:
    """Of the table ``refit``: sublayers by what was done to them, and what the solutions needed or left out."""
    tuned = [row for row in report if row["status"].startswith("tuned")]
    counts = {"sublayers_refitted": len(tuned), "sublayers_not_refitted": len(report) - len(tuned)}
    if any("damping" in row for row in report):
        counts["sublayers_with_more_damping"] = sum(row["status"] == "tuned with more damping" for row in report)
    if any("dropped" in row for row in report):
        counts["directions_dropped"] = sum(row["dropped"] for row in report)
    return counts


def revision(config: Compress) -> int:
    """2: the rows that have a label, also where none is needed; one more each: swaps, and the exact refit for them;
    K-prune by MACs under any budget, and its released solution in float64."""
    needed = config.uses_labels is not False and config.labels == "gold"
    of_swaps = config.refine == "swap" and config.refit == "auto"
    released = config.method.options.get("variant") == "released"
    of_kprune = config.method.name == "kprune" and (config.budget == "parameters" or released)
    return (1 if needed or not config.may_lack_labels() else 2) + of_swaps + of_kprune


main = verb(
    "compress", Compress, procedure, revision=revision,
    measures_time=lambda config: config.budget == "latency",  # the machine then decides which masks are found
)  # fmt: skip

if __name__ == "__main__":
    main()

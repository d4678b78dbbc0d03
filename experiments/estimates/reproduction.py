"""Hours and memory of all runs of a paper, from measured steps of models of their true shape."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.cli.composition import preset_named
from experiments.estimates.steps import STEPS, Measured, MeasuredModel, measured
from experiments.estimates.work import WORK, Work, seconds_of, work_of
from prunekit.models.blocks import describe
from prunekit.models.pretrained import on_device
from prunekit.runs.run_device import prepare_device
from prunekit.runs.teachers import new_model
from prunekit.support.devices import describe_device
from prunekit.support.progress import bar

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.table import Table


LEARNED_VOCABULARY = {"pad_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": 1, "forced_eos_token_id": None}
"""Special tokens of a model whose vocabulary would be learned from the training data."""


class Planned(NamedTuple):
    """A run that is not made."""

    preset: str
    verb: str
    settings: Any


@dataclass
class PlannedRuns:
    """The runs of a preset on a model and a task."""

    preset: str
    model: str
    task: str
    runs: int = 0
    seconds: float = 0.0
    """Of all of them, with teachers that no earlier part has trained."""
    longest: float = 0.0
    """Of one run, in seconds."""
    megabytes: float = 0.0
    step: str = ""
    """Which takes that."""
    left_out: list[str] = field(default_factory=list)
    """Verbs whose work is not counted."""


def estimate(planned: Iterable[tuple[str, Any]], console: Console) -> list[PlannedRuns]:
    """Measure what the runs need and print it: each step, then hours and memory by preset and task.

    Each step is measured once for all runs in which it is the same. Nothing is downloaded, nothing is written.

    Args:
        planned: preset and settings of every run; one that stands there twice is one.
    """
    runs: list[Planned] = []
    for preset, settings in planned:
        if all(settings != run.settings for run in runs):
            runs.append(Planned(preset, preset_named(preset).verb, settings))
    device = prepare_device(runs[0].settings)
    groups: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        if is_counted(run):
            groups.setdefault(what_is_measured(run), []).append(number)
    work: dict[int, list[Work]] = {}
    steps: dict[int, dict[str, Measured]] = {}
    rows: list[tuple[str, str, Measured]] = []
    for numbers in groups.values():
        subject = subject_of(runs[numbers[0]], device)
        name, layout = name_of(subject, runs[numbers[0]]), describe(subject.model)
        for number in numbers:
            work[number] = work_of(runs[number].verb, runs[number].settings, layout)
        needed = {part.step for number in numbers for part in work[number]}
        taken = {}
        with bar(f"measure {name}", len(needed)) as advance:
            for step in filter(needed.__contains__, STEPS):
                taken[step] = measured(step, subject)
                rows.append((name, step, taken[step]))
                advance(1)
        steps |= dict.fromkeys(numbers, taken)
    parts = summed(runs, work, steps)
    machine = describe_device(device)
    console.print(f"\n{machine.name}, {machine.threads} CPU threads, {precisions(runs)}", style="bold")
    console.print(_steps_table(rows))
    console.print(_parts_table(parts))
    for part in parts:
        if part.left_out:
            console.print(f"{part.preset}, {part.task}: {', '.join(sorted(set(part.left_out)))} is not estimated")
    return parts


def is_counted(run: Planned) -> bool:
    return run.verb in WORK and not run.settings.task.tags


def what_is_measured(run: Planned) -> str:
    """All settings that change what a step takes; not a task's name, which changes nothing."""
    own, task = run.settings, run.settings.task
    train = {name: getattr(own.train, name) for name in ("batch_size", "precision", "attention", "attention_dropout")}
    student = own.student if run.verb == "prune_cofi" else None
    return json.dumps([
        asdict(own.model), task.kind, task.max_length, task.question_length, len(task.labels), train,
        asdict(own.evaluation) if hasattr(own, "evaluation") else None, getattr(own, "dtype", None),
        student and [student.batch_size, student.precision],
    ], sort_keys=True)  # fmt: skip


def subject_of(run: Planned, device: torch.device) -> MeasuredModel:
    """The model of a run, with random weights on the device, and how it is trained and evaluated."""
    own = run.settings
    shape = own.model.shape
    if own.task.translation and own.model.path is None:
        shape = {**shape, "vocab_size": own.task.vocabulary, **LEARNED_VOCABULARY}
    random = dataclasses.replace(own.model, weights="random", shape=shape)
    model, _ = new_model(random, own.task, own.train.seed)
    precision = getattr(own, "dtype", "float32")
    return MeasuredModel(
        model=on_device(model.double() if precision == "float64" else model, device), task=own.task, train=own.train,
        evaluation=own.evaluation, precision=precision, student=own.recipe if run.verb == "prune_cofi" else None,
    )  # fmt: skip


def name_of(subject: MeasuredModel, run: Planned) -> str:
    """As ``bert-base, questions of 384 tokens``."""
    return f"{run.settings.model.name}, {subject.task.kind} of {subject.task.max_length} tokens"


def precisions(runs: Sequence[Planned]) -> str:
    """In which numbers are computed."""
    of = {
        "teachers train": {run.settings.train.precision for run in runs},
        "students train": {run.settings.student.precision for run in runs if run.verb == "prune_cofi"},
        "evaluation": {getattr(run.settings, "dtype", "float32") for run in runs},
    }
    return ", ".join(f"{what} in {' and '.join(sorted(names))}" for what, names in of.items() if names)


def summed(
    runs: Sequence[Planned], work: dict[int, list[Work]], steps: dict[int, dict[str, Measured]]
) -> list[PlannedRuns]:
    """By preset, model and task, in the order of the runs."""
    parts: dict[tuple[str, str, str], PlannedRuns] = {}
    done: set[tuple[str, str]] = set()
    for number, run in enumerate(runs):
        names = (run.preset, run.settings.model.name, run.settings.task.name)
        part = parts.setdefault(names, PlannedRuns(*names))
        part.runs += 1
        if number not in work:
            part.left_out.append(run.verb)
            continue
        taken = {name: one.seconds for name, one in steps[number].items()}
        seconds = seconds_of(work[number], taken, done)
        part.seconds += seconds
        part.longest = max(part.longest, seconds)
        for name in {one.step for one in work[number]}:
            if steps[number][name].megabytes > part.megabytes:
                part.megabytes, part.step = steps[number][name].megabytes, name
    return list(parts.values())


def _steps_table(rows: Sequence[tuple[str, str, Measured]]) -> Table:
    lines = [(name, step, _short(one.seconds), f"{one.megabytes / 1e3:.2f}") for name, step, one in rows]
    return _table(("measured once", "", "seconds", "peak GB"), lines)


def _parts_table(parts: Sequence[PlannedRuns]) -> Table:
    lines = [
        (
            one.preset, one.model, one.task, str(one.runs), f"{one.seconds / 3600:.2f}", f"{one.longest / 3600:.2f}",
            f"{one.megabytes / 1e3:.2f}", one.step,
        )
        for one in parts
    ]  # fmt: skip
    runs, seconds = sum(one.runs for one in parts), sum(one.seconds for one in parts)
    most = max(one.megabytes for one in parts)
    lines.append(("all", "", "", str(runs), f"{seconds / 3600:.2f}", "", f"{most / 1e3:.2f}", ""))
    return _table(("preset", "model", "task", "runs", "hours", "longest", "peak GB", "by"), lines)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        number = heading in ("runs", "hours", "longest", "seconds", "peak GB")
        folds = heading in ("model", "by", "measured once")
        table.add_column(heading, justify="right" if number else "left", no_wrap=not folds, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _short(seconds: float) -> str:
    return f"{seconds:.3g}"

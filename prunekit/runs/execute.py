"""The run record: identity, resume, and everything a figure needs to be a pure function of what is on disk.

``runs/VERB/RUN_ID/`` holds ``config.yaml``, ``metrics.jsonl``, ``tables/*.csv``, ``answers.npz`` and, written last and
atomically, ``result.json``. ``RUN_ID`` is a hash of what changes the result; the same configuration is never run twice.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from prunekit.config.sections import Settings
from prunekit.runs import provenance
from prunekit.runs.finished import FinishedRecord, lock_of, read_result, why_again
from prunekit.runs.identity import run_id
from prunekit.runs.local_input import check_unchanged, local_input
from prunekit.runs.recorded_shape import with_its_own_model
from prunekit.runs.schema.fields import VERSION
from prunekit.runs.schema.table_rows import rows_in
from prunekit.runs.schema.writing import check_answers, check_line, check_record, check_rows
from prunekit.runs.tracking import Tracker
from prunekit.support.errors import UserError
from prunekit.support.files import locked, plain, remove, remove_leftovers, write_json, write_text
from prunekit.support.progress import Advance, bar, console
from prunekit.support.quiet import Quietness, watched_stage, watching
from prunekit.training import processes

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from prunekit.runs.model_facts import Again

INPUTS = "inputs.json"
"""What a run that goes on from its log was begun on; gone once it is finished."""


@dataclass
class Run:
    """A run in progress. A procedure fills ``metrics``, ``sparsity``, ``model``, ``teacher`` and writes tables."""

    verb: str
    folder: Path
    config: Settings
    tracker: Tracker
    device: torch.device
    metrics: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    """Metrics that every verb has beside its own (:mod:`prunekit.runs.beside_trivial`)."""
    sparsity: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] | None = None
    data: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    quiet: dict[str, Quietness] = field(default_factory=dict)
    last_step: int = -1
    leftovers: list[Path] = field(default_factory=list)
    """Files that only an interrupted run needs; deleted once the record is written."""
    news: list[Callable[[], None]] = field(default_factory=list)
    """Said at the first stage, so not where the input is refused before."""

    def __post_init__(self) -> None:
        from prunekit.runs.answer_parts import AnswerParts  # and so NumPy, which no finished record needs

        self.answers = AnswerParts(self.folder)

    def log(self, step: int, **values: Any) -> None:
        """Append one line to ``metrics.jsonl``. Steps rise; one that an interrupted run had logged stays as it is."""
        if step <= self.last_step:
            return
        self.last_step = step
        line = plain({"step": step, **values})
        check_line(self.verb, {name: value for name, value in line.items() if name != "step"})
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.tracker.log(step, {name: value for name, value in line.items() if name != "step"})

    def logged(self, until: int | None = None) -> list[dict[str, Any]]:
        """Lines of an interrupted run, up to and with step ``until``; later and torn lines are cut off for good."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        lines = []
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                break
            if until is not None and line["step"] > until:
                break
            lines.append(line)
        self.last_step = lines[-1]["step"] if lines else -1
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
        return lines

    def table(self, name: str, rows: list[dict[str, Any]] | pd.DataFrame) -> None:
        """Write ``tables/NAME.csv``, which must be as the schema of the verb says."""
        import pandas as pd

        frame = pd.DataFrame(rows)
        check_rows(self.verb, name, cast(Any, frame.to_dict("records")) if isinstance(rows, pd.DataFrame) else rows)
        write_text(self.folder / "tables" / f"{name}.csv", frame.to_csv(index=False))

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[Advance]:
        """Time a stage, and watch how quiet the machine is meanwhile; with a ``total``, show a bar for it."""
        self.say_news()
        with watched_stage() as watched:
            start = time.perf_counter()
            with bar(name, total, shown=self.config.run.progress and total > 0) as advance:
                yield advance
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        if watched.quiet is not None:
            self.quiet[name] = watched.quiet.and_also(self.quiet.get(name))

    def say_news(self) -> None:
        while self.news:
            self.news.pop()()


class Helper(Run):
    """The run of a process that helps the first one to train, and writes nothing."""

    def log(self, step: int, **values: Any) -> None:
        pass

    def logged(self, until: int | None = None) -> list[dict[str, Any]]:
        return []

    def table(self, name: str, rows: list[dict[str, Any]] | pd.DataFrame) -> None:
        pass


@dataclass(frozen=True)
class Ahead:
    """What a run needs and makes first where no run did before: that is said, and its seconds are told apart."""

    run: Run
    what: str
    """It needs, of :data:`prunekit.runs.schema.seconds.AHEAD`."""

    def begin(self, verb: str, folder: Path, config: Settings) -> None:
        self.run.say_news()
        console.print(
            f"{self.run.verb}: its {self.what} is trained first, by {verb} into {folder}: {config.model.name} on "
            f"{config.task.name}; all runs that need the same share it",
            soft_wrap=True,
        )

    def end(self, seconds: float) -> None:
        self.run.seconds[self.what] = self.run.seconds.get(self.what, 0.0) + seconds


Procedure = Callable[[Any, Run], None]
Check = Callable[[Any, "torch.device"], None]
"""Refuses a configuration on a device: by what is known before anything is computed."""
Draw = Callable[[Path], list[Path]]
"""Draws the figures of a finished run in its folder; returns the pictures."""


def execute(
    verb: str, revision: int, config: Settings, procedure: Procedure, *, measures_time: bool = False,
    check: Check | None = None, draw: Draw | None = None, again: Again | None = None, needs_model: bool = False,
    ahead: Ahead | None = None,
) -> dict[str, Any]:
    """Run a procedure once for this configuration and return its record (``result.json``).

    A finished run is returned as it is (:class:`FinishedRecord`), unless :func:`prunekit.runs.finished.why_again` says
    why not (``needs_model``: the model that it leaves must be there); an interrupted one goes on from what it left; two
    processes on the same configuration wait for each other. Local input whose content has changed makes another run.
    ``measures_time`` puts hardware, threads and dtype into the identity. What ``check`` refuses is refused before a
    record is deleted. What ``draw`` makes goes to Weights & Biases,
    where the run is copied to. ``again`` says the command that makes a run again whose weights are missing here;
    ``ahead`` which run needs this one. A finished record is returned before torch is imported, unless its identity has
    hardware in it or the sizes of a finished teacher.
    Of processes that have :func:`prunekit.training.processes.joined`, the first one returns the record, others an empty
    one.
    """
    asked = time.perf_counter()
    config = with_its_own_model(config, again)
    resolved, content = plain(dataclasses.asdict(config)), local_input(config)
    machine = _machine(config) if measures_time or processes.count() > 1 else None
    hardware = machine[1] if measures_time and machine else None
    identity = run_id(verb, revision, config, hardware, content)
    earlier = run_id(verb, revision - 1, config, hardware, content) if revision > 1 else None
    root = Path(config.run.folder)
    folder = root / verb / identity
    if processes.rank() > 0:
        return _help(verb, folder, config, procedure, check, machine or _machine(config))
    before = time.perf_counter()
    with locked(lock_of(root, verb, identity), str(folder)):
        waited = time.perf_counter() - before
        finished = read_result(folder)
        if finished is None or config.run.force:
            why = "run.force" if config.run.force else None
        else:
            why = why_again(folder, finished, needs_model)
        needed = processes.broadcast(finished is None or why is not None, machine[0] if machine else None)
        if finished is not None and not needed:
            if ahead is not None and waited > 1:  # for another process that made it
                ahead.end(waited)
            return FinishedRecord(finished)
        from prunekit.support.timing import PeakMemory

        device, hardware = machine or _machine(config)  # what is wrong with it is refused before a record is deleted
        if check is not None:
            check(config, device)
        if processes.count() > 1:
            hardware["processes"] = processes.count()
        if finished is not None:
            if folder.is_symlink():
                raise UserError(f"{why}: {folder} is a link, what it leads to is not deleted; remove the link")
            (folder / "result.json").unlink()  # first: what is left of a finished run must not pass for one
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        write_text(folder / "config.yaml", yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))
        tracker = Tracker(config.run.wandb, config.run.project, verb, identity, resolved, root)
        news: list[Callable[[], None]] = [] if ahead is None else [partial(ahead.begin, verb, folder, config)]
        run = Run(verb=verb, folder=folder, config=config, tracker=tracker, device=device, news=news)
        peak, started, start = PeakMemory(device), _now(), time.perf_counter()
        try:
            for line in run.logged():  # an offline W&B run starts empty when resumed
                tracker.log(line["step"], {name: value for name, value in line.items() if name != "step"})
            with watching(config.run.quiet_seconds):
                procedure(config, run)
            run.metrics |= run.beside
            check_unchanged(config, content)
        except BaseException as error:
            tracker.abandon()
            if isinstance(error, UserError) and {path.name for path in folder.iterdir()} <= {"config.yaml", INPUTS}:
                shutil.rmtree(folder)  # before anything was done
                with suppress(OSError):  # unless the verb has other runs
                    folder.parent.rmdir()
            raise
        sheets = run.answers.join()
        record = {
            "schema": VERSION, "verb": verb, "revision": revision, "run_id": identity, "replaces": earlier,
            "status": "finished", "config": resolved,
            "metrics": run.metrics, "sparsity": run.sparsity, "model": run.model, "teacher": run.teacher,
            "data": run.data, "seed": config.run_seed, "scale": config.scale.name,
            "seconds": {**run.seconds, "total": time.perf_counter() - start},
            "quiet": {name: mark.as_dict() for name, mark in run.quiet.items()},
            "peak_memory_bytes": peak.so_far(), "device": hardware,
            "versions": provenance.library_versions(), "git": provenance.git_state(),
            "started": started, "finished": _now(), **({"input": content} if content else {}),
            "tables": {path.stem: rows_in(path) for path in sorted(folder.glob("tables/*.csv"))},
            **({"answers": {role: len(sheet.models) for role, sheet in sheets.items()}} if sheets else {}),
        }  # fmt: skip
        check_record(plain(record), record["tables"])
        check_answers(record, sheets)
        remove(*run.leftovers, run.answers.parts)  # first: a run killed in between would keep them for good
        write_json(folder / "result.json", record)
        tracker.start()
        tracker.finish(run.metrics, folder, draw(folder) if draw and tracker.run is not None else [])
        if ahead is not None:
            ahead.end(time.perf_counter() - asked)
        return plain(record)


def _machine(config: Settings) -> tuple[torch.device, dict[str, Any]]:
    """The device that a run computes on, and how its record names that."""
    from prunekit.runs.run_device import prepare_device
    from prunekit.support.devices import describe_device

    device = prepare_device(config)
    return device, {**describe_device(device).as_dict(), "dtype": config.run_dtype}


def _help(
    verb: str, folder: Path, config: Settings, procedure: Procedure, check: Check | None,
    machine: tuple[torch.device, dict[str, Any]],
) -> dict[str, Any]:
    """The part of processes other than the first; the record is that one's."""
    device, _ = machine
    if processes.broadcast(False, device):
        if check is not None:  # as the first one does: it would be waited for
            check(config, device)
        silent = dataclasses.replace(config, run=dataclasses.replace(config.run, progress=False))
        tracker = Tracker("disabled", config.run.project, verb, folder.name, {}, folder)
        procedure(silent, Helper(verb=verb, folder=folder, config=silent, tracker=tracker, device=device))
    return {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The record that a run has left in its folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from prunekit.runs.schema.place import place_of
from prunekit.runs.schema.records import damage
from prunekit.support.errors import UserError
from prunekit.support.files import locked

log = logging.getLogger(__name__)


class FinishedRecord(dict[str, Any]):
    """The record of a run that had finished before."""

    @property
    def when(self) -> str:
        """It finished, in words."""
        return "on " + str(self["finished"]).replace("T", " ").replace("+00:00", " UTC")


def read_result(folder: Path) -> dict[str, Any] | None:
    """The record of a finished run, or None if there is none or it is damaged (the run is then done again)."""
    path = folder / "result.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        wrong = damage(record)
    except OSError:
        return None
    except (ValueError, RecursionError) as error:
        record, wrong = None, " ".join(str(error).split())[:160]
    if wrong:
        log.warning("%s: damaged, %s; the run is done again", path, wrong)
        return None
    return record if record["status"] == "finished" else None


def lock_of(runs: Path, verb: str, run_id: str) -> Path:
    """The file that is locked while a run is made."""
    return runs / ".locks" / f"{verb}-{run_id}.lock"


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """While it is entered, no other process makes the run of a folder; one that does is waited for first. Of a folder
    that lies nowhere among runs nobody makes any, and the lock of another user's run may not be ours to hold."""
    folder = place_of(folder)
    lock = lock_of(folder.parent.parent, folder.parent.name, folder.name)
    with ExitStack() as held:
        if lock.parent.is_dir() and os.access(lock.parent, os.W_OK):
            with suppress(PermissionError):
                held.enter_context(locked(lock, str(folder)))
        yield


def has_model(folder: Path) -> bool:
    """Whether a run's folder has the model that it left, with its weights."""
    model = folder / "model"
    return (model / "config.json").exists() and any(model.glob("*.safetensors"))


def why_again(folder: Path, record: dict[str, Any], needs_model: bool) -> str | None:
    """Why a finished run is done again although nobody asks for it: the model that it left is wanted and gone, as of
    logged runs, or what it was made from was made again since, to other weights. It is then said. None if it stands.

    Args:
        folder: of the run; what is not in the folder of all runs around it is as it was.
    """
    runs = folder.parents[1]
    if needs_model and not has_model(folder):
        why = "its weights are gone"
    elif (teacher := _changed_teacher(record, runs)) is not None:
        why = f"its teacher {teacher} was trained again since, to other weights"
    elif (source := _changed_source(record, runs)) is not None:
        why = f"its pruned model {source} was made again since, to other weights"
    else:
        return None
    log.warning("%s/%s: %s; starting anew", record["verb"], record["run_id"], why)
    return why


def _changed_teacher(record: dict[str, Any], runs: Path) -> str | None:
    """The run of the teacher that a finished run was on, if that is now another one."""
    trained = (record["teacher"] or {}).get("run_id")
    before = record["model"].get("fingerprint")
    teacher = read_result(runs / "finetune" / str(trained)) if trained and before else None
    changed = teacher is not None and teacher["model"].get("fingerprint", before) != before
    return f"finetune/{trained}" if changed else None


def _changed_source(record: dict[str, Any], runs: Path) -> str | None:
    """The run of the pruned model that a finished run was made from, if its weights are now others. Of a model that the
    configuration names as its input, the identity of the run has the content. One that cannot be loaded is as it was:
    whoever needs it says what is wrong with it."""
    pruned = record["model"].get("pruned_run")
    if pruned is None or record["config"].get("source") is not None or not has_model(runs / pruned):
        return None
    from prunekit.models import checkpoints
    from prunekit.support.fingerprints import weights_fingerprint

    try:
        with unchanged(runs / pruned):
            now = weights_fingerprint(checkpoints.load(runs / pruned / "model"))
    except UserError:
        return None
    return str(pruned) if now != record["model"]["pruned_fingerprint"] else None

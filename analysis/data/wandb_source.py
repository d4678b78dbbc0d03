"""Run records fetched from a Weights & Biases project, as the files they were on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.data.file_names import one_name
from prunekit.support.errors import UserError

PREFIX = "wandb:"


def fetch(project: str, folder: Path) -> Path:
    """Download the record of every run of ``ENTITY/PROJECT`` (or ``PROJECT``) as ``folder/VERB/RUN_ID/``.

    Files that are there already with the same content are not fetched again.

    Raises:
        UserError: W&B cannot be reached or has no such project, or no run of it has a record.
    """
    import wandb

    count = 0
    try:
        for run in wandb.Api().runs(project):
            verb, _, run_id = str(run.id).rpartition("-")
            artifact = _record_of(run)
            if artifact is not None:
                artifact.download(root=str(folder / one_name(verb) / one_name(run_id)))
                count += 1
    except Exception as error:  # W&B raises many kinds for 'no key', 'no network' and 'not there'
        raise UserError(f"source={PREFIX}{project}: {_first_line(error)}") from error
    if not count:
        raise UserError(f"source={PREFIX}{project}: no run there has a record of prunekit")
    return folder


def _record_of(run: Any) -> Any:
    """The newest version of the run's record."""
    records = [artifact for artifact in run.logged_artifacts() if artifact.type == "record"]
    return max(records, key=lambda artifact: int(artifact.version.removeprefix("v")), default=None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""The record that a run has left in its folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from prunekit.runs.schema.records import damage

log = logging.getLogger(__name__)


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


def teacher_has_changed(record: dict[str, Any], runs: Path) -> bool:
    """Whether the teacher that a finished run was on has been trained again since, to other weights; it is then said.

    Args:
        runs: folder of all runs; a teacher that is not there is as it was.
    """
    trained = (record["teacher"] or {}).get("run_id")
    before = record["model"].get("fingerprint")
    teacher = read_result(runs / "finetune" / str(trained)) if trained and before else None
    if teacher is None or teacher["model"].get("fingerprint", before) == before:
        return False
    log.warning(
        "%s/%s: its teacher finetune/%s was trained again since, to other weights; starting anew",
        record["verb"], record["run_id"], trained,
    )  # fmt: skip
    return True

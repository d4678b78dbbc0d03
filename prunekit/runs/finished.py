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

"""Where a run's record lies: ``VERB/RUN_ID`` in the folder of all runs, however its folder is named."""

from __future__ import annotations

from pathlib import Path

from prunekit.runs.schema.verbs import VERBS


def place_of(run: Path) -> Path:
    """The folder of a run, absolute and without ``..``; around it is its verb's, around that the one of all runs.

    A run that was moved to another disk lies where the link to it is, among the others; a link from elsewhere to a run
    among them is followed.
    """
    parts = run.absolute().parts
    up = max((number for number, part in enumerate(parts, 1) if part == ".."), default=0)
    own, target = Path(*parts[:up]).resolve().joinpath(*parts[up:]), run.resolve()
    leads_to_runs = own.parent.name not in VERBS and target.parent.name in VERBS
    return target if leads_to_runs else own

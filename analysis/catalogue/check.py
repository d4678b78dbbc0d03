"""Check run records against their schema: one line a problem, with the file, the table, the column or the key.

    python -m analysis check [source=runs]

source  folders of run records, separated by commas: a whole folder (runs), one verb's (runs/prune_heads),
        or a single run; wandb:ENTITY/PROJECT fetches the records of a Weights & Biases project
out     where fetched records go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from analysis.catalogue import options
from analysis.data.loading import folders_of
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError

DEFAULTS = {"source": "runs", "out": "figures"}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after a line for each problem, or one about bad input."""
    problems: list[str] = []

    def check(chosen: Mapping[str, str]) -> None:
        folders = finished_runs(options.source_folders(chosen["source"], Path(chosen["out"]) / ".wandb"))
        for folder in folders:
            problems.extend(folder_problems(folder))
        print("\n".join([*problems, f"{len(folders)} records, {len(problems)} problems"]))

    return options.run(check, __doc__, DEFAULTS, arguments) or (2 if problems else 0)


def finished_runs(sources: Iterable[Path]) -> list[Path]:
    """Folders that hold a ``result.json``: the sources themselves, or one or two levels below them.

    Raises:
        UserError: a source is not a folder, or has no record in it.
    """
    runs: dict[Path, None] = {}
    for source in sources:
        folders = [folder for folder in folders_of(source) if (folder / "result.json").exists()]
        if not folders:
            raise UserError(f"source={source}: no finished run in it; it must hold VERB/RUN_ID/result.json")
        runs |= dict.fromkeys(folders)
    return list(runs)

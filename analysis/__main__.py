"""Redraw every figure and table from run records.

    python -m analysis [source=runs] [out=figures]

source  folders of run records, separated by commas: a whole folder (runs), one verb's (runs/prune_heads),
        or a single run; the logged runs of this repository are in analysis/logged_runs;
        wandb:ENTITY/PROJECT fetches the records of a Weights & Biases project
out     where figures (PDF, PNG, CSV) and tables (CSV, Markdown) go: a folder a model and task, one a model for
        figures that show its tasks side by side, and claims.md, the claims of all papers
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prunekit.errors import UserError

DEFAULTS = {"source": "runs", "out": "figures"}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    if any(argument in ("--help", "-h", "help") for argument in arguments):
        print(__doc__.strip())
        return 0
    try:
        options = parse(arguments)
        from rich.console import Console

        import analysis

        console = Console() if sys.stdout.isatty() else Console(width=120)
        out = Path(options["out"])
        sources = [_folder(part, out) for part in options["source"].split(",") if part]
        analysis.draw_all(sources, out, console)
    except UserError as error:
        if os.environ.get("PRUNEKIT_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _folder(source: str, out: Path) -> Path:
    """The folder of a source; a W&B project is fetched into one below ``out``."""
    from analysis.wandb_source import PREFIX, fetch

    if not source.startswith(PREFIX):
        return Path(source)
    project = source.removeprefix(PREFIX)
    return fetch(project, out / ".wandb" / project.replace("/", "_"))


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """``name=value`` arguments over the defaults.

    Raises:
        UserError: an unknown name, an argument without ``=``, or an empty value.
    """
    options = dict(DEFAULTS)
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        if name not in DEFAULTS:
            close = difflib.get_close_matches(name, DEFAULTS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the options are {', '.join(DEFAULTS)}"
            raise UserError(f"{argument}: unknown option, {hint}")
        if not equals or not value.strip(","):
            raise UserError(f"{argument}: give a value, as in {name}={DEFAULTS[name]}")
        options[name] = value
    return options


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Redraw every figure and table from run records.

    python -m analysis [source=runs] [out=figures]
    python -m analysis check [source=runs]     holds records to their schema instead
    python -m analysis pair one=RUN other=RUN  compares two runs on the same rows, answer by answer
    python -m analysis rank method=NAME        ranks a method of `compress` among all others
    python -m analysis.report [source=runs]    puts everything on one HTML page, report.html

source  folders of run records, separated by commas: a whole folder (runs), one verb's (runs/prune_heads),
        or a single run; the logged runs of this repository are in analysis/logged_runs;
        a folder that Weights & Biases wrote offline (runs/wandb, or one wandb/offline-run-... in it) does as well;
        wandb:ENTITY/PROJECT fetches the records of a Weights & Biases project
out     where figures (PDF, PNG, CSV) and tables (CSV, Markdown) go: a folder a model and task, one a model for
        figures that show its tasks side by side, and claims.md, the claims of all papers
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.catalogue import check, method_rank, options, two_runs

DEFAULTS = {"source": "runs", "out": "figures"}
COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "check": check.main,
    "pair": two_runs.main,
    "rank": method_rank.main,
}
"""What is done in place of drawing, each with options of its own."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input, or where a figure could not be drawn."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    return options.run(draw, __doc__, DEFAULTS, arguments, COMMANDS)


def draw(chosen: Mapping[str, str]) -> None:
    """Draw everything and tell what was drawn.

    Raises:
        UserError: bad input; or figures that could not be drawn, once all others are.
    """
    import analysis
    from prunekit.support.progress import plain_console

    console = plain_console(None if sys.stdout.isatty() else 120)
    out = Path(chosen["out"])
    drawn = analysis.draw_all(options.source_folders(chosen["source"], out / ".wandb"), out, console)
    options.require_all(drawn.failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Rank one method of `compress` among all others, on the same rows.

    python -m analysis rank method=mine [source=runs]

method  as its file in prunekit/methods/ is called
source  folders of run records, separated by commas, of this and of other repositories
Of every task and budget: its rank by the mean score, its score less each rival's with the 95 % interval over rows (and
over teachers and seeds where there are several), and the seconds that pruning took.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.catalogue import options
from analysis.catalogue.commands import is_preset, presets
from analysis.compare.ranking import Contest, contests
from analysis.data.marks.trivial import ANSWER
from prunekit.config.checks import near
from prunekit.support.errors import UserError

DEFAULTS = {"method": "", "source": "runs"}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    return options.run(tell, __doc__, DEFAULTS, arguments)


def tell(chosen: Mapping[str, str]) -> None:
    """Print a paragraph a task and budget.

    Raises:
        UserError: no record of the method, or none of another on the same rows.
    """
    from analysis.data.loading import Journal, load

    journal, method = Journal(), chosen["method"]
    if not method:
        raise UserError("method: name one whose runs of compress are to be ranked, as in method=ziplm")
    records = load(options.source_folders(chosen["source"], Path("figures") / ".wandb"), journal)
    _warn(journal.warnings)  # also where they are why a method has no run
    names = {str(record.config["method"]["name"]) for record in records if record.verb == "compress"}
    if method not in names:
        makes = f"python -m experiments.compress method={method} makes some"
        hint = makes if is_preset("method", method) else near(method, names or presets("method"))
        raise UserError(f"method: {method!r} has no run of compress in {chosen['source']}, {hint}")
    ranking = Journal()
    every = list(contests(records, ranking, method))
    _warn(ranking.warnings)
    own = [contest for contest in every if method in [one.method for one in contest.entrants]]
    if not own:
        raise UserError(
            f"method: no other method has pruned the models of {method} to the same budget, on as many examples, in "
            f"{chosen['source']}"
        )
    for contest in own:
        print("\n".join(lines(method, contest)))


def _warn(warnings: Sequence[str]) -> None:
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)


def lines(method: str, contest: Contest) -> list[str]:
    """Where a method stands in a contest, in words."""
    names = [one.method for one in contest.entrants]
    place = names.index(method)
    own = contest.entrants[place]
    head = (
        f"{contest.task} at {contest.constraint:g}: {method} is {place + 1} of {len(names)} with {contest.metric} "
        f"{100 * own.value:.2f}, {own.seconds:.1f} s" + (f"; {ANSWER}: {contest.trivial}" if contest.trivial else "")
    )
    pairs = [(rival, contest.less(own, rival)) for rival in contest.entrants if rival is not own]
    return [head] + [
        f"  against {rival.method} ({100 * rival.value:.2f}, {rival.seconds:.1f} s): {100 * pair.difference:+z.2f} "
        f"({100 * pair.low:+z.2f} to {100 * pair.high:+z.2f}), {pair.test} p = {pair.p_value:.3g}"
        for rival, pair in pairs
    ]

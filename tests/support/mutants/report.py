"""What became of a sample of mutants: how many died a package, with the interval, and who lives and why."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from tests.support.mutants.areas import Mutant

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
"""Mutants that no test can notice, with the reason."""
ALIVE = ("survived", "no test runs it")

Line = Mapping[str, Any]
"""A mutant and what became of it, a line of the results."""


def described(mutant: Mutant, source: str) -> dict[str, Any]:
    """A mutant as the beginning of its line: where it is, and the text before and after."""
    one, encoded = mutant.mutation, source.encode()
    return {
        "key": mutant.key, "area": mutant.area, "number": mutant.number, "module": mutant.module, "line": one.line,
        "operator": one.operator, "before": encoded[one.start : one.end].decode(), "after": one.text,
        "code": source.splitlines()[one.line - 1].strip(),
    }  # fmt: skip


def read(results: Path) -> dict[str, Line]:
    """Lines of the results by mutant; half a line, of a run that was stopped, is none."""
    text = results.read_text("utf-8") if results.exists() else ""
    return {line["key"]: line for line in map(json.loads, text[: text.rfind("\n") + 1].splitlines())}


def equivalents(path: Path = EQUIVALENT) -> dict[tuple[str, str, str, str], str]:
    """Reasons, by module, line of code, and text before and after."""
    entries = tomllib.loads(path.read_text("utf-8"))["mutant"]
    return {(one["module"], one["code"], one["before"], one["after"]): one["why"] for one in entries}


def wilson(died: int, tried: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    interval = binomtest(died, tried).proportion_ci(0.95, method="wilson")
    return interval.low, interval.high


def page(areas: Iterable[str], lines: Iterable[Line], reasons: Mapping[tuple[str, str, str, str], str]) -> str:
    """A table with a row an area and one of all, and a list of who lives."""
    every, rows, alive = list(lines), [], []
    for name in [*areas, "all"]:
        own = [line for line in every if name in ("all", line["area"])]
        living = [line for line in own if line["verdict"] in ALIVE]
        equal = [line for line in living if _place(line) in reasons]
        if own:
            low, high = wilson(len(own) - len(living), len(own))
            other = len(own) - len(equal)
            without = f"{1 - (len(living) - len(equal)) / other:.1%}" if other else ""
            rows.append(
                f"| {name} | {len(own)} | {len(own) - len(living)} | {1 - len(living) / len(own):.1%} "
                f"| {low:.1%} to {high:.1%} | {len(equal)} | {without} |"
            )
    for line in (line for line in every if line["verdict"] in ALIVE):
        reason = reasons.get(_place(line))
        verdict = f"equivalent: {reason}" if reason else f"{line['verdict']} (tests up to tier {line['tier']})"
        alive += [f"- `{line['module']}:{line['line']}` {line['operator']}, {verdict}", f"  `{changed(line)}`"]
    late = [line for line in every if line["verdict"] not in (*ALIVE, "killed")]
    ends = [f"- `{line['module']}:{line['line']}` {line['verdict']}: `{changed(line)}`" for line in late]
    return "\n".join([
        "| package | mutants | died | share | 95 % interval | equivalent | share of the others |",
        "|---|---|---|---|---|---|---|", *rows, "", "Alive:", "", *alive, "",
        "Dead by another end than a failed test:", "", *ends, "",
    ])  # fmt: skip


def _place(line: Line) -> tuple[str, str, str, str]:
    return line["module"], line["code"], line["before"], line["after"]


def changed(line: Line) -> str:
    """What differs, in one line: the part in common at both ends is cut to a few characters."""
    before, after = " ".join(line["before"].split()), " ".join(line["after"].split())
    with suppress(SyntaxError):
        before = ast.unparse(ast.parse(before))  # quotes and brackets as in the text after
    if len(before) + len(after) < 120:
        return f"{before} -> {after}"
    common = 0
    while common < min(len(before), len(after)) and before[common] == after[common]:
        common += 1
    start = max(common - 40, 0)
    return f"…{before[start : common + 60]}… -> …{after[start : common + 60]}…"

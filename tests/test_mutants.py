"""The mutants themselves: what is changed, what is left alone, and that a sample is the same again."""

from __future__ import annotations

import ast
import os
import signal
from pathlib import Path

import pytest

from tests.support.mutants import report
from tests.support.mutants.__main__ import TIERS, changed, restored
from tests.support.mutants.areas import AREAS, ROOT, Area, in_turns, sample
from tests.support.mutants.operators import mutations
from tests.support.mutants.server import forked


def changes(source: str) -> set[str]:
    return {one.apply(source) for one in mutations(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"(a <= b)", "(a >= b)"}),
        ("a is None", {"(a is not None)"}),
        ("x - y", {"(x + y)"}),
        ("x // y", {"(x * y)"}),
        ("p and q or r", {"(p or q) or r", "((p and q) and r)"}),
        ("not a", {"a"}),
        ("(not (a or b))", {"((a or b))", "(not ((a and b)))"}),
        ("k = 3", {"k = 4", "k = 2"}),
        ("k = 0.5", {"k = 1.0", "k = 0.25"}),
        ("k = True", {"k = False"}),
        ("min(x)", {"max(x)", "pass"}),
        ("y = t.sum(dim)", {"y = t.mean(dim)"}),
        ("y = f(a, b, c)", {"y = f(b, a, c)"}),
        ("y = f(a, k=b)", {"y = f(a)"}),
        ("y = x[:n]", {"y = x[:(n + 1)]"}),
        ("y = a if c else b", {"y = (b if c else a)"}),
        ("if ok:\n    y = x", {"if (not ok):\n    y = x"}),
        ("t.a = x", {"pass"}),
        ("t += x", {"pass", "t -= x"}),
        ("größe = é - b  # naïve", {"größe = (é + b)  # naïve"}),
        ("y = (a\n     + b)", {"y = ((a - b))"}),
    ],
)
def test_an_operator(source: str, expected: set[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""About 3 things, not 4."""',
        "raise UserError(f'{a + 1} is too much' if a > 3 else 'no')",
        "log.warning('%d', a + 1)",
        "warnings.warn('x', stacklevel=2)",
        "x = f'{a + 1:>3}'",
        "def f(a: Literal[3] | None) -> tuple[int, Literal[4]]: ...",
        "x: Literal[3, 4]",
        "Kind = Literal[3, 4]",
        "if TYPE_CHECKING:\n    N = 3",
        "if __name__ == '__main__':\n    main(3)",
        "__all__ = ['a'] + ['b']",
        "@lru_cache(maxsize=3)\ndef f(): ...",
        "y = isinstance(a, b)",
        "y = zip(*a, strict=True)",
        "assert n == 3, n + 1",
        "advance(1)",
        "y = f('a', 'b', label='c')",
    ],
)
def test_what_people_read_is_left_alone(source: str) -> None:
    assert changes(source) == set()


def test_a_mutant_runs_where_its_statement_does() -> None:
    """Python counts a statement of several lines as one or another of them."""
    source = "x = f(\n    a,\n    3,\n)\nif (\n    a < b\n):\n    y = 4\n"
    places = {one.line: one.statement for one in mutations(source)}
    assert places == {1: range(1, 5), 3: range(1, 5), 6: range(5, 8), 8: range(8, 9)}


def test_every_mutant_of_a_package_is_python_and_differs_in_its_line() -> None:
    area = next(area for area in AREAS if area.name == "stages")
    for mutant in sample(area, size=40):
        source = (ROOT / mutant.module).read_text("utf-8")
        changed = mutant.mutation.apply(source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
        line = mutant.mutation.line
        assert changed.splitlines()[: line - 1] == source.splitlines()[: line - 1]


@pytest.fixture
def area(tmp_path: Path) -> Area:
    (tmp_path / "one.py").write_text("".join(f"a{n} = b + c\n" for n in range(20)), encoding="utf-8")
    (tmp_path / "two.py").write_text("".join(f"a{n} = b < c\n" for n in range(20)), encoding="utf-8")
    return Area("small", "*.py", (), ())


def test_a_seed_gives_the_same_sample(area: Area, tmp_path: Path) -> None:
    first, again, other = (sample(area, 12, seed, tmp_path) for seed in (0, 0, 1))
    assert [one.key for one in first] == [one.key for one in again] != [one.key for one in other]
    assert sample(area, 5, 0, tmp_path) == first[:5]
    everything = sample(area, 1000, 0, tmp_path)
    assert len({one.key for one in everything}) == len(everything) == 20 + 2 * 20


def test_areas_take_turns(area: Area, tmp_path: Path) -> None:
    long, short = sample(area, 3, 0, tmp_path), sample(area, 1, 1, tmp_path)
    assert list(in_turns([long, short])) == [long[0], short[0], long[1], long[2]]


def test_areas_name_modules_and_tests_that_are_there() -> None:
    for own in AREAS:
        assert own.modules()
        for module in own.modules():
            tiers = own.test_files(module)
            files = [file for tier in tiers for file in tier]
            assert len(tiers) == TIERS
            assert len(set(files)) == len(files)
            assert all((ROOT / file).is_file() for file in files)
            assert tiers[0] or tiers[1]


def test_tests_that_import_a_module_come_first() -> None:
    area = next(area for area in AREAS if area.name == "stages")
    direct, others, far = area.test_files("prunekit/stages/search/mac_search.py")
    assert direct[0] == "tests/prunekit/stages/test_mac_search.py"
    assert "tests/prunekit/stages/test_unit_scores.py" in direct
    assert "tests/prunekit/stages/test_gradients.py" in others
    assert "tests/experiments/test_prune_fisher.py" in far


def test_a_mutant_is_undone_even_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "package" / "one.py"
    path.parent.mkdir()
    path.write_text("a = 1\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), changed(path, "a = 2\n"):
        assert path.read_text("utf-8") == "a = 2\n"
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "a = 1\n"

    def killed() -> int:
        with changed(path, "a = 2\n"):
            os._exit(0)
        return 0

    forked(killed, tmp_path, tmp_path / "log", cpu=30, seconds=60)
    (tmp_path / "log").unlink()
    assert path.read_text("utf-8") == "a = 2\n"
    restored(tmp_path)
    assert [(one.name, one.read_text("utf-8")) for one in path.parent.iterdir()] == [("one.py", "a = 1\n")]


def test_processes_end_with_their_work_and_their_time(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def writes() -> int:
        os.write(1, str(Path.cwd()).encode())
        return 7

    def waits() -> int:
        signal.pause()
        return 0

    outcome = forked(writes, tmp_path, log, cpu=30, seconds=60)
    assert (outcome.status, outcome.passed, outcome.timed_out) == (7, False, False)
    assert log.read_text("utf-8") == str(tmp_path)
    late = forked(waits, tmp_path, log, cpu=30, seconds=0.2)
    assert late.timed_out and late.status == -signal.SIGKILL and late.seconds < 30
    assert forked(lambda: 1 // 0, tmp_path, log, cpu=30, seconds=60).status == 3
    assert "ZeroDivisionError" in log.read_text("utf-8")


def test_the_report_counts() -> None:
    """8 of 10 dead: Wilson's interval, by its formula, is 49.0 % to 94.3 %."""
    lines = [
        {"area": "a", "module": "m.py", "line": n, "code": f"x = {n}", "before": str(n), "after": str(n + 1),
         "operator": "value", "verdict": verdict, "tier": 2}
        for n, verdict in enumerate(["killed"] * 7 + ["timed out", "survived", "no test runs it"])
    ]  # fmt: skip
    page = report.page(["a", "empty"], lines, {("m.py", "x = 8", "8", "9"): "it is not read"})
    assert "| a | 10 | 8 | 80.0% | 49.0% to 94.3% | 1 | 88.9% |" in page.splitlines()
    assert "empty" not in page
    assert "- `m.py:8` value, equivalent: it is not read" in page.splitlines()
    assert "- `m.py:9` value, no test runs it (tests up to tier 2)" in page.splitlines()
    assert "- `m.py:7` timed out: `7 -> 8`" in page.splitlines()


def test_equivalent_mutants_are_mutants() -> None:
    """Of the code as it is: an entry whose code is gone is gone as well."""
    for module, code, before, after in report.equivalents():
        source = (ROOT / module).read_text("utf-8")
        encoded = source.encode()
        assert any(
            source.splitlines()[one.line - 1].strip() == code
            and (encoded[one.start : one.end].decode(), one.text) == (before, after)
            for one in mutations(source)
        ), (module, code, before, after)

"""The house stays one that a stranger finds her way in: sizes, names, and what crosses a module.

Which package may import which is in ``.importlinter`` (``make lint``).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("prunekit", "experiments", "analysis")
MODULES, LINES, VERB_LINES = 16, 300, 120
PARALLEL = {"settings"}
"""Modules that packages have one of each: what the verbs of a paper have in common."""
FILES = [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_there_is_a_house() -> None:
    assert len(FILES) > 150


def test_a_folder_has_few_modules() -> None:
    folders = {path.parent for path in FILES}
    assert {named(one): len(modules(one)) for one in folders if len(modules(one)) > MODULES} == {}


def test_a_module_is_short() -> None:
    assert {named(path): lines(path) for path in FILES if lines(path) > LINES} == {}


def test_a_verb_is_a_screen_or_two() -> None:
    verbs = modules(ROOT / "experiments")
    assert len(verbs) >= 11
    assert {named(path): lines(path) for path in verbs if lines(path) > VERB_LINES} == {}


def test_a_module_says_what_it_is() -> None:
    assert [named(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_a_class_has_its_name_for_itself() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(named(path))
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def test_a_module_of_the_library_has_its_name_for_itself() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        if named(path).startswith("prunekit") and path.stem not in ("__init__", "__main__", *PARALLEL):
            owners[path.stem].append(named(path))
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def private_names(tree: ast.Module) -> Iterator[str]:
    """Private names of other modules of this house that a module uses."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PARTS:
            for alias in node.names:
                imported.add(alias.asname or alias.name)
                if alias.name.startswith("_"):
                    yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            name = node.attr
            if name.startswith("_") and not name.startswith("__"):
                yield f"{node.value.id}.{name}"


def test_no_private_name_crosses_a_module() -> None:
    found = {named(path): list(private_names(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("text", ["from prunekit.a import _b", "from prunekit import a\na._b()"])
def test_private_names_are_noticed(text: str) -> None:
    assert len(list(private_names(ast.parse(text)))) == 1


def test_tests_do_not_import_tests() -> None:
    """What they share is in ``tests/support``."""
    strangers = [
        f"{named(path)}: {node.module}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("tests.")
        and not (node.module or "").startswith("tests.support")
    ]
    assert strangers == []

"""``pip install .``: a wheel of the library alone, which works outside the repository and asks for what it imports."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import prunekit
from prunekit.support.extras import of_extra

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BESIDE = ("prunekit", "analysis", "experiments", "tests", "conf")
"""Folders of the repository that setuptools may mistake for packages of the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, without network: setuptools leaves folders where it builds."""
    source = tmp_path_factory.mktemp("source")
    for name in BESIDE:
        ignored = shutil.ignore_patterns("__pycache__", "logged_runs")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index",
        "--wheel-dir", "built",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "built").iterdir()
    return built


def test_the_wheel_holds_every_file_of_the_library_and_nothing_else(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    information = f"prunekit-{prunekit.__version__}.dist-info"
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "prunekit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in held if not name.startswith(f"{information}/")} == ours
    assert {"prunekit/py.typed", "prunekit/fisher/__init__.py", "prunekit/cofi/__init__.py"} <= ours
    assert f"{information}/licenses/LICENSE" in held
    assert wheel.name == f"prunekit-{prunekit.__version__}-py3-none-any.whl"
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(f"{information}/METADATA").decode())
    assert set(metadata.get_all("Provides-Extra", [])) == {"data", "tags", "translation", "tracking", "onnx"}
    wanted = [one.split(";")[0].strip() for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert {name_of(one) for one in wanted} == {name_of(one) for one in PROJECT["dependencies"]}


def test_who_cites_the_library_names_its_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == prunekit.__version__


@pytest.mark.slow  # which files the wheel holds, and what it asks for, is tested above
def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    unpacked, outside = tmp_path / "unpacked", tmp_path / "outside"
    outside.mkdir()
    zipfile.ZipFile(wheel).extractall(unpacked)
    shutil.copy(ROOT / "tests" / "support" / "installed.py", outside / "use.py")
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "use.py", str(outside)], cwd=outside, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == unpacked / "prunekit"


def name_of(requirement: str) -> str:
    """Normalised, without its versions."""
    (name,) = re.findall(r"^[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(node: ast.AST, lazily: bool = False) -> Iterator[tuple[bool, str]]:
    """Top-level names of absolute imports, and whether a function imports them; those for type checkers left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        modules = []
        if isinstance(child, ast.Import):
            modules = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.module:
            modules = [child.module]
        yield from ((lazily, module.split(".")[0]) for module in modules)
        yield from imported(child, lazily or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_wheel_asks_for_exactly_what_the_library_imports() -> None:
    """At the top of a module: required. In a function: required as well or of an extra."""
    known = packages_distributions()
    top: set[str] = set()
    lazy: set[str] = set()
    for path in (ROOT / "prunekit").rglob("*.py"):
        for lazily, module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if module in known and module != "prunekit" and module not in sys.stdlib_module_names:
                (lazy if lazily else top).add(name_of(known[module][0]))
    required = {name_of(one) for one in PROJECT["dependencies"]}
    extras = {name_of(one) for group in PROJECT["optional-dependencies"].values() for one in group}
    of_tokenizers = {"sacremoses", "sentencepiece"}  # transformers imports them for Marian's tokenizer
    assert required - lazy <= top <= required
    assert lazy - required == extras - of_tokenizers


def test_every_pin_is_in_its_range() -> None:
    from packaging.requirements import Requirement

    pins = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line:
            name, version = line.split("==")
            pins[name_of(name)] = version
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for asked in map(Requirement, (one for group in groups for one in group)):
        assert asked.specifier.contains(pins[name_of(asked.name)]), asked
    assert "setuptools" in pins  # the wheel is built without network


def test_what_an_extra_lacks_is_told_in_one_line() -> None:
    from prunekit.support.errors import UserError

    with pytest.raises(UserError) as told, of_extra("translation"):
        import no_such_package_of_an_extra  # noqa: F401
    assert str(told.value) == (
        "no_such_package_of_an_extra is not installed, in prunekit's checkout `make setup` or"
        " `pip install '.[translation]'` brings it"
    )

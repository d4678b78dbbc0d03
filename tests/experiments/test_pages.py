"""README.md and docs/: every command composes, every target and every linked file is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from experiments.cli.composition import CONF
from tests.support.commands import composed

ROOT = CONF.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
RUN_ELSEWHERE = ("$", "method=derivative")
"""In commands of the tutorial, which is run as it stands, and of the method that docs/extending.md adds."""
VERB = re.compile(r"-m experiments\.(?!cli\.)(\w+)(.*)")


def code(page: Path) -> list[str]:
    """Lines of the page's shell blocks and commands between backticks in its text, without comments."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", outside)]
    return [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]


def commands() -> list[tuple[str, str]]:
    """Page and command line from the verb on."""
    found = []
    for name, page in zip(NAMES, PAGES, strict=True):
        for line in code(page):
            if any(part in line for part in RUN_ELSEWHERE):
                continue
            if (match := VERB.search(line)) and match[1] != "VERB":
                found.append((name, f"{match[1]}{match[2]}"))
    return found


def test_there_are_commands_to_check() -> None:
    found = commands()
    assert {name for name, _ in found} >= {"README.md", "docs/sweeps.md", "docs/speed.md"}
    assert len(found) >= 20


@pytest.mark.parametrize(("page", "line"), [
    # those of the results come from claims, whose commands are composed where claims are tested
    pytest.param(page, line, id=f"{page}-{line}", marks=[pytest.mark.slow] * page.startswith("docs/results/"))
    for page, line in commands()
])  # fmt: skip
def test_every_command_composes(page: str, line: str) -> None:
    verb, *words = shlex.split(line)
    flags = ("-m", "--cfg", "job", "all", "--help")
    overrides = [word for word in words if word not in flags and not word.startswith("hydra")]
    values = [re.split(r",(?![^\[]*\])", word.partition("=")[2]) for word in overrides]  # lists stay whole
    swept = "-m" in words or any(word.startswith("experiment=") for word in words)
    assert swept or all(len(found) == 1 for found in values), f"{page}: several values without -m"
    names = [word.partition("=")[0] for word in overrides]
    for place in range(max(map(len, values), default=1)):  # every value once, not every cell
        composed(verb, *(f"{name}={found[place % len(found)]}" for name, found in zip(names, values, strict=True)))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_target_is_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {match[1] for line in code(page) if (match := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_linked_file_and_heading_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file, _, heading = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.is_file(), f"{target} is not there"
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in [re.sub(r"[^a-z0-9 -]", "", words.lower()).replace(" ", "-") for words in headings]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_rows_have_the_cells_of_their_heading(page: Path) -> None:
    """A bar in a cell is escaped, also between backticks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        heading, *rows = table.splitlines()
        assert rows and [row for row in rows if bars(row) != bars(heading)] == []


def bars(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row))


def test_the_readme_can_be_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 170

"""What is mutated, and which tests are its own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tests.support.mutants.operators import Mutation, mutations

ROOT = Path(__file__).parents[3]
SIZE, SEED = 60, 0
"""Mutants a package, and what chooses them."""


@dataclass(frozen=True)
class Area:
    """A package of the library."""

    name: str
    sources: str
    """Where its modules are, a pattern below the root."""
    near: tuple[str, ...]
    """Its own tests, files or folders of them."""
    far: tuple[str, ...]
    """Tests of commands and of several packages that run it as well, for mutants that live through the near ones."""

    def modules(self, root: Path = ROOT) -> list[str]:
        return sorted(str(path.relative_to(root)) for path in root.glob(self.sources))

    def test_files(self, module: str, root: Path = ROOT) -> list[list[str]]:
        """Files of tests for a module, in tiers: those that import it, other own ones, and tests of commands."""
        own, others = (list(_files(names, root)) for names in (self.near, self.far))
        dotted = module.removesuffix(".py").replace("/", ".")
        package, _, name = dotted.rpartition(".")
        imported = re.compile(rf"{re.escape(dotted)}\b|from {re.escape(package)} import .*\b{name}\b")
        direct = [file for file in own + others if imported.search((root / file).read_text("utf-8"))]
        direct.sort(key=lambda file: Path(file).stem != f"test_{name}")
        return [direct, *([file for file in files if file not in direct] for files in (own, others))]


def _files(names: Iterable[str], root: Path) -> Iterator[str]:
    for path in (root / name for name in names):
        for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            yield str(file.relative_to(root))


CACHED = "tests/prunekit/test_cached_results.py"
STORIES = ("tests/experiments/test_stories.py", "tests/experiments/test_translation_stories.py")
SETTINGS = (
    "tests/prunekit/config/test_ranges.py", "tests/experiments/test_help.py", "tests/experiments/test_bad_input.py",
)  # fmt: skip
AREAS = (
    Area("cofi", "prunekit/cofi/**/*.py", ("tests/prunekit/cofi",), (
        "tests/experiments/test_cofi_step.py", CACHED, "tests/experiments/test_prune_cofi.py", *SETTINGS,
    )),
    Area("stages", "prunekit/stages/**/*.py", ("tests/prunekit/stages", "tests/prunekit/methods"), (
        "tests/experiments/test_latency_table.py", CACHED, "tests/experiments/test_prune_fisher.py", *SETTINGS,
    )),
    Area("heads", "prunekit/heads/**/*.py", ("tests/prunekit/heads", "tests/prunekit/forward"), (
        "tests/experiments/test_hand_built.py", CACHED, *STORIES, *SETTINGS,
    )),
    Area("models", "prunekit/models/**/*.py", ("tests/prunekit/models",), ("tests/prunekit/test_face.py", CACHED)),
    Area("evaluation", "prunekit/evaluation/**/*.py", (
        "tests/prunekit/evaluation", "tests/prunekit/data/test_metrics.py", "tests/prunekit/data/test_answers.py",
    ), ("tests/experiments/test_answers.py", CACHED, "tests/experiments/test_questions.py", *STORIES)),
    Area("runs", "prunekit/runs/**/*.py", ("tests/prunekit/runs",), (
        "tests/experiments/test_answers.py", "tests/experiments/test_local_input.py",
        "tests/experiments/test_own_teacher.py", "tests/experiments/test_outcome.py",
        "tests/experiments/test_wandb.py", CACHED,
    )),
    Area("cache", "prunekit/support/cache.py", ("tests/prunekit/support/test_cache.py",), (CACHED,)),
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A mutation of a module in an area."""

    area: str
    number: int
    """In the sample of its area."""
    module: str
    mutation: Mutation

    @property
    def key(self) -> str:
        one = self.mutation
        return f"{self.module}:{one.line}:{one.start}-{one.end}:{one.text}"


def sample(area: Area, size: int = SIZE, seed: int = SEED, root: Path = ROOT) -> list[Mutant]:
    """Mutants of an area, drawn without replacement; a smaller sample is the beginning of a larger one."""
    everything = [(name, one) for name in area.modules(root) for one in mutations((root / name).read_text("utf-8"))]
    random.Random(f"{area.name} {seed}").shuffle(everything)
    return [Mutant(area.name, number, *one) for number, one in enumerate(everything[:size])]


def in_turns(samples: list[list[Mutant]]) -> Iterator[Mutant]:
    """One of each area after the other, so that a run that is stopped has a fair sample of all."""
    for row in zip_longest(*samples):
        yield from (mutant for mutant in row if mutant is not None)

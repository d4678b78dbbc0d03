from __future__ import annotations

from pathlib import Path

import pytest

from analysis.catalogue.draw import Drawn, draw_all
from tests.support.records import michel
from tests.support.records.frame import DEMO


@pytest.fixture(scope="session")
def demo_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of every verb for a small model."""
    root = tmp_path_factory.mktemp("demo") / "runs"
    michel.everything(root, DEMO, task="demo", scale="demo")
    return root


@pytest.fixture(scope="session")
def demo_drawn(demo_runs: Path) -> tuple[Path, Drawn]:
    """The folder of one setting, with everything drawn, and what ``draw_all`` said."""
    out = demo_runs.parent / "figures"
    return out / "demo_demo", draw_all([demo_runs], out)

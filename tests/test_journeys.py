"""The journeys of ``docs/architecture.md``: which files whoever follows a head mask or a picture has to open.

The step of CoFi is held in ``tests/prunekit/cofi/test_journey.py``, beside what it runs.
"""

from __future__ import annotations

from pathlib import Path

import prunekit
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.michel import fig3b
from prunekit.models.checkpoints import build
from tests.support.journeys import ROOT, files_run
from tests.support.trainings import SHAPE

LOGGED = ROOT / "analysis" / "logged_runs" / "prune_heads"


def test_a_head_mask_from_python_to_a_saved_model(tmp_path: Path) -> None:
    prunekit.save(build("bert", SHAPE, 3, seed=1), tmp_path / "teacher")

    def journey() -> None:
        model = prunekit.load(tmp_path / "teacher")
        masks = prunekit.Masks.ones(prunekit.describe(model))
        masks.heads["self"][0, 1] = False
        prunekit.save(prunekit.prune(model, masks), tmp_path / "pruned")

    # the package's own file only looks its public names up
    assert [path for path in files_run(journey) if path != "__init__.py"] == [
        "models/checkpoints.py", "models/pretrained.py", "models/pruned_format.py", "models/families/table.py",
        "models/weight_files.py", "models/blocks.py", "models/wrappers.py", "models/families/anatomy.py",
        "models/masks.py", "models/layout.py", "models/surgery.py", "models/surgery_record.py",
    ]  # fmt: skip
    assert (
        prunekit.describe(prunekit.load(tmp_path / "pruned")).heads
        == prunekit.describe(prunekit.load(tmp_path / "teacher")).heads - 1
    )


def test_a_picture_of_a_pruning_curve(tmp_path: Path) -> None:
    runs = [path for path in sorted(LOGGED.iterdir()) if "name: mnli" in (path / "config.yaml").read_text()]

    def journey() -> None:
        [drawing] = fig3b.draw(Group(load(runs[:6], Journal())), Journal())
        drawing.save(tmp_path)

    assert files_run(journey, "analysis") == [
        "data/loading.py", "data/wandb_offline.py", "data/records.py", "data/marks/teacher_names.py",
        "data/marks/overlaps.py", "data/marks/over_budget.py",
        "data/contents.py", "data/groups.py", "data/marks/same_teacher.py",
        "michel/fig3b.py", "data/joined.py", "data/columns.py", "data/averages.py", "data/marks/trivial.py",
        "michel/published.py", "data/published.py", "render/style.py", "render/curves.py", "render/output.py",
        "data/file_names.py",
    ]  # fmt: skip

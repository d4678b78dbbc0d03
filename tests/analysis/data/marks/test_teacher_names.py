"""Models that runs here have made are named by what they are in figures, and not by the ids of those runs."""

from __future__ import annotations

from pathlib import Path

from analysis.data.loading import Journal, load
from analysis.data.marks.teacher_names import MAKERS
from prunekit.runs.cards.method_in_words import LEAVE_A_MODEL
from tests.support.records import kwon, michel
from tests.support.records.frame import DEMO, MINILM


def on(root: Path, made: Path) -> Path:
    """A run on the model that another one has left."""
    path = str(made / "model")
    model = {**MINILM, "name": made.name, "path": path}
    return michel.pruning(root, model, "random", config={"teacher": path})


def names(*sources: Path) -> dict[Path, str]:
    return {record.folder: record.model.name for record in load(sources, Journal())}


def test_every_verb_that_leaves_a_model_is_known() -> None:
    assert set(MAKERS) == set(LEAVE_A_MODEL)


def test_models_of_runs_here(tmp_path: Path) -> None:
    made = kwon.pruning(tmp_path, DEMO, "sst2")
    further = on(tmp_path, made)
    last = on(tmp_path, further)
    found = names(tmp_path)
    assert found[further] == "demo-sst2-pruned"
    assert found[last] == "demo-sst2-pruned-mnli-pruned"
    assert names(tmp_path / "prune_heads")[further] == "demo-sst2-pruned"  # its maker lies beside its model


def test_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = (on(tmp_path, kwon.pruning(tmp_path, DEMO, "sst2", seed=seed)) for seed in (0, 1))
    found = names(tmp_path)
    assert found[one].startswith("demo-sst2-pruned-") and found[two].startswith("demo-sst2-pruned-")
    assert found[one] != found[two]

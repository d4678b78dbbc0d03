"""Damaged, unfinished and mixed records: never a crash, never silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.data.groups import by_teacher, describe
from analysis.data.loading import Journal, load, read_tables
from prunekit.support.errors import UserError
from tests.support.records import methods, michel
from tests.support.records.frame import BERT, DEMO, MINILM

POINTS = {"share": "float", "value": "float"}


def test_sources_may_be_all_runs_one_verb_or_one_run(tmp_path: Path) -> None:
    run = michel.pruning(tmp_path, DEMO, "importance")
    for source in (tmp_path, tmp_path / "prune_heads", run):
        assert [record.folder for record in load([source], Journal())] == [run]
    assert len(load([tmp_path, run], Journal())) == 1, "a run found twice counts once"


def test_missing_folder_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load([tmp_path / "nowhere"], Journal())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ('{"verb": "prune_heads", "status": "fini', "result.json"),
        ("[1, 2]", "wrong kind"),
        ('{"status": "finished"}', "no field"),
    ],
)
def test_damaged_result_is_skipped_and_named(tmp_path: Path, damage: str, words: str) -> None:
    michel.pruning(tmp_path, DEMO, "importance")
    broken = michel.pruning(tmp_path, DEMO, "oracle")
    (broken / "result.json").write_text(damage)
    journal = Journal()
    assert [record.config["order"] for record in load([tmp_path], journal)] == ["importance"]
    assert len(journal.warnings) == 1
    assert str(broken) in journal.warnings[0] and words in journal.warnings[0]


def test_a_missing_field_is_damage(tmp_path: Path) -> None:
    folder = michel.pruning(tmp_path, DEMO, "importance")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    del result["metrics"]["baseline_low"]
    (folder / "result.json").write_text(json.dumps(result))
    journal = Journal()
    assert load([tmp_path], journal) == []
    assert "'baseline_low'" in journal.warnings[0]


def cut_off(path: Path) -> None:
    path.write_text(path.read_text()[:-4])


def drop_column(path: Path) -> None:
    path.write_text(path.read_text().replace("value", "valve"))


def no_number(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2].replace("accuracy,0", "accuracy,x"), *lines[3:], ""]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_off, "cut off"),
        (drop_column, "no column value"),
        (no_number, "line 3: column value"),
        (Path.unlink, "missing"),
    ],
)
def test_damaged_table_is_skipped_and_named(tmp_path: Path, damage: Any, words: str) -> None:
    michel.pruning(tmp_path, DEMO, "importance")
    path = michel.pruning(tmp_path, DEMO, "oracle") / "tables" / "points.csv"
    damage(path)
    journal = Journal()
    tables = read_tables(load([tmp_path], journal), "points", POINTS, journal)
    assert [record.config["order"] for record, _ in tables] == ["importance"]
    assert len(journal.warnings) == 1
    assert str(path) in journal.warnings[0] and words in journal.warnings[0]


def test_unfinished_runs_are_counted_and_named(tmp_path: Path) -> None:
    michel.pruning(tmp_path, DEMO, "importance")
    killed = michel.pruning(tmp_path, DEMO, "oracle")
    (killed / "result.json").unlink()
    journal = Journal()
    assert len(load([tmp_path], journal)) == 1
    assert journal.warnings == [f"not used: 1 unfinished run(s): {killed}"]


def test_mixed_revisions_warn(tmp_path: Path) -> None:
    for teacher, revision in ((0, 1), (1, 2), (2, 2)):
        michel.pruning(tmp_path, DEMO, "importance", teacher, revision=revision)
    journal = Journal()
    assert len(load([tmp_path], journal)) == 3
    assert "1 of revision 1, 2 of revision 2" in journal.warnings[0]


def test_random_weights_show_no_score(tmp_path: Path) -> None:
    random = BERT | {"weights": "random"}
    michel.pruning(tmp_path, random, "importance")
    timed = michel.timing(tmp_path, random, teacher=None)
    journal = Journal()
    assert [record.folder for record in load([tmp_path], journal)] == [timed]
    assert "random weights" in journal.warnings[0]


def test_a_teacher_from_outside_has_no_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = michel.pruning(tmp_path, DEMO, "random", seed=seed)
        result = json.loads((folder / "result.json").read_text())
        result["teacher"] = {"run_id": None, "path": "me/bert-mnli"}
        (folder / "result.json").write_text(json.dumps(result))
    records = load([tmp_path], Journal())
    assert list(by_teacher(records)) == ["me/bert-mnli"], "two seeds of one order, not two teachers"
    assert "fine-tuned model me/bert-mnli" in describe(records)


@pytest.mark.parametrize(
    ("kind", "section", "share", "what"),
    [
        ("mac", "metrics", "remaining_macs", "MACs"),
        ("parameters", "sparsity", "achieved_parameters_of_layers", "weights of the layers"),
        ("latency", "sparsity", "achieved_latency_by_table", "latency by table"),
    ],
)
def test_models_above_their_budgets_are_in_no_figure(
    tmp_path: Path, kind: str, section: str, share: str, what: str
) -> None:
    def left(number: float, seed: int) -> Path:
        folder = methods.run(tmp_path, MINILM, "ziplm", constraint=0.3, seed=seed)
        record = json.loads((folder / "result.json").read_text())
        record["config"]["budget"] = kind
        record[section][share] = number if section == "metrics" else 1 - number
        (folder / "result.json").write_text(json.dumps(record))
        return folder

    within, above = left(0.3 * (1 + 1e-10), 0), left(0.3001, 1)
    journal = Journal()
    assert [record.folder for record in load([tmp_path], journal)] == [within]
    assert journal.warnings == [f"skipped: {above}: 0.3001 of the {what} are left, above constraint=0.3"]

"""Records as they are read: whole as the schema says, and older ones as their verb writes them now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.catalogue.chapters import CHAPTERS
from analysis.data.columns import DamagedRecordError
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.records import read_record
from tests.support.records import cofi, michel, translation
from tests.support.records.frame import BERT, DEMO

ABSENT = object()


def changed(folder: Path, *place: str, value: Any = ABSENT) -> Path:
    """A run whose ``result.json`` has another value in a place, or none."""
    path = folder / "result.json"
    result: Any = json.loads(path.read_text())
    inner = result
    for key in place[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    path.write_text(json.dumps(result))
    return folder


@pytest.mark.parametrize(
    "place",
    [("metrics", "heads_significant"), ("scale",), ("git",), ("device", "threads"), ("seconds", "total")],
)
def test_what_the_schema_asks_for_must_be_there(tmp_path: Path, place: tuple[str, ...]) -> None:
    folder = michel.ablation(tmp_path, DEMO)
    assert read_record(folder) is not None
    with pytest.raises(DamagedRecordError, match=f"result.json: no field '{place[-1]}'"):
        read_record(changed(folder, *place))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("config", "sparsity"), "0.9", "sparsity: '0.9' is not a number"),
        (("metrics", "reached_target"), 1, "reached_target: 1 is not true or false"),
        (("model", "heads"), None, "heads: None is not allowed"),
        (("teacher", "run_id"), 3, "run_id: 3 is not a text"),
    ],
)
def test_values_must_be_of_their_kind(tmp_path: Path, place: tuple[str, ...], value: Any, words: str) -> None:
    folder = changed(cofi.run(tmp_path, DEMO, "demo"), *place, value=value)
    with pytest.raises(DamagedRecordError) as raised:
        read_record(folder)
    assert str(raised.value) == f"{folder / 'result.json'}: a field of the wrong kind ({words})"


def test_what_the_schema_does_not_know_may_be_there(tmp_path: Path) -> None:
    folder = changed(michel.ablation(tmp_path, DEMO), "metrics", "more", value=1)
    record = read_record(folder)
    assert record is not None and record.metrics["more"] == 1


def test_records_of_before_a_field_need_not_have_it(tmp_path: Path) -> None:
    """``kinds`` came with version 1; a record that names no version is older."""
    folder = changed(michel.pruning(tmp_path, DEMO, "importance"), "metrics", "kinds")
    with pytest.raises(DamagedRecordError, match="no field 'kinds'"):
        read_record(folder)
    assert read_record(changed(folder, "schema")) is not None


@pytest.mark.parametrize(("mean_length", "length"), [(True, None), (False, 32)])
def test_decoding_that_time_inference_recorded_is_read(tmp_path: Path, mean_length: bool, length: int | None) -> None:
    """As that verb wrote it before there was one for translation."""
    folder = translation.decoding(tmp_path / "now")
    now = read_record(folder)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    own = {"share": 0.5, "lengths": [32, 128], "mean_length": mean_length}
    path.write_text(json.dumps(result | {"verb": "time_inference", "config": result["config"] | own}))
    before = read_record(folder)
    assert now is not None and before is not None and before.verb == "time_decoding"
    assert before.config == {**now.config, "length": length} and before.run_id == now.run_id
    [part] = [part for chapter in CHAPTERS for part in chapter.parts if part.name == "decoding"]
    [drawing] = part.draw(Group([before]), Journal())
    assert part.verb == before.verb and len(drawing.frame) == 24


def test_runs_of_encoders_are_alike_with_and_without_the_settings_of_decoding(tmp_path: Path) -> None:
    now = read_record(michel.timing(tmp_path, BERT))
    assert now is not None and now.verb == "time_inference"
    path = now.folder / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"config": result["config"] | {"shares": [0.5], "words": 24}}))
    before = read_record(now.folder)
    assert before == now

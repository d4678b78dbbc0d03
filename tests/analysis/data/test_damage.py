"""A logged record with one thing wrong: it is named in a line and left out, and all else is drawn without it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.catalogue import draw as drawing
from analysis.catalogue.chapters import CHAPTERS
from analysis.catalogue.draw import draw_all, draw_run
from analysis.data.columns import DamagedRecordError, columns
from analysis.data.groups import Group
from analysis.data.joined import join_tables
from analysis.data.loading import Journal, load, read_tables
from analysis.data.records import read_record
from analysis.render.output import Drawing
from prunekit.runs.schema.checking import folder_problems
from prunekit.runs.schema.records import damage
from tests.support.drawings import only_csv
from tests.support.records import michel
from tests.support.records.frame import DEMO

LOGGED = Path(__file__).parents[3] / "analysis" / "logged_runs" / "prune_heads"
POINTS = columns("prune_heads", "points", "share", "heads_total", "metric", "value")
KEPT = columns("prune_heads", "kept")


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A copy of a logged run with several shares."""
    source = max(LOGGED.iterdir(), key=lambda run: ((run / "tables" / "points.csv").read_text().count("\n"), run.name))
    return Path(shutil.copytree(source, tmp_path / "prune_heads" / source.name))


def at(*place: str | int, value: Any) -> Callable[[Any], None]:
    def change(result: Any) -> None:
        for key in place[:-1]:
            result = result[key]
        result[place[-1]] = value

    return change


RESULTS: list[tuple[Callable[[Any], None], str]] = [
    (at("model", "layers", value=0), "layers: 0 is below 1"),
    (at("model", "parameters", value=0), "parameters: 0 is below 1"),
    (at("model", "heads", value=-3), "heads: -3 is below 0"),
    (at("data", 0, "rows", value=-1), "rows: -1 is below 0"),
    (at("device", "threads", value=0), "threads: 0 is below 1"),
    (at("metrics", "baseline", value=float("inf")), "Infinity is no number of JSON"),
    (at("metrics", "baseline", value=float("nan")), "NaN is no number of JSON"),
    (at("metrics", "baseline", value=10**400), "baseline: 100000000000... is too large"),
    (at("config", "seed", value=10**400), "a number beyond all measure (config.seed)"),
    (at("model", "name", value=["a", "b"]), "name: ['a', 'b'] is not a text"),
    (at("model", "name", value={"a": 1}), "is not a text"),
    (at("config", "task", "name", value=["a"]), "name: ['a'] is not a text"),
    (at("config", "task", value=["a"]), "task: ['a'] is not an object"),
    (at("config", "train", value=[1]), "train: [1] is not an object"),
    (at("config", "train", "examples", value="all"), "examples: 'all' is not a whole number"),
    (at("config", "kinds", value="self"), "kinds: 'self' is not a list"),
    (at("config", "order", value=["a"]), "order: ['a'] is not a text"),
    (at("data", value=[[]]), "data[0]: no object"),
    (at("data", value={}), "data: {} is not a list"),
    (at("scale", value=["a"]), "scale: ['a'] is not a text"),
    (at("seed", value=True), "seed: True is not a whole number"),
    (at("teacher", "seed", value=[0]), "seed: [0] is not a whole number"),
    (at("model", "name", value="a\0b"), "a text that cannot be written (model.name: 'a\\x00b')"),
    (at("config", "task", "name", value="\ud800"), "a text that cannot be written (config.task.name: '\\ud800')"),
    (at("config", "more", value={"x": [{"\udfff": 1}]}), "a text that cannot be written (a key of config.more.x.0"),
    (at("metrics", value=[]), "metrics: [] is not an object"),
]


@pytest.mark.parametrize(("change", "words"), RESULTS, ids=[words for _, words in RESULTS])
def test_odd_values_of_a_result(logged: Path, change: Callable[[Any], None], words: str) -> None:
    assert read_record(logged) is not None
    result = json.loads((logged / "result.json").read_text())
    change(result)
    (logged / "result.json").write_text(json.dumps(result))
    with pytest.raises(DamagedRecordError) as raised:
        read_record(logged)
    line = str(raised.value)
    assert line.startswith(f"{logged / 'result.json'}: ") and words in line and "\n" not in line
    journal = Journal()
    assert load([logged.parent], journal) == [] and journal.warnings == [f"skipped: {line}"]


@pytest.mark.parametrize(
    "text", ["null", "[]", "3", '"finished"', "[" * 5000, "1" * 5000, "", "\0", '{"status": 1e999']
)
def test_files_that_are_no_record(logged: Path, text: str) -> None:
    (logged / "result.json").write_text(text)
    with pytest.raises(DamagedRecordError):
        read_record(logged)


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda text: "".join(change(text.splitlines(keepends=True)))


def value(column: str, text: str) -> Callable[[str], str]:
    def change(rows: list[str]) -> list[str]:
        cells = rows[2].rstrip("\n").split(",")
        cells[rows[0].rstrip("\n").split(",").index(column)] = text
        return [*rows[:2], ",".join(cells) + "\n", *rows[3:]]

    return lines(change)


TABLES: list[tuple[str, Callable[[str], str], str]] = [
    ("points", lambda text: text[:-3], "cut off"),
    ("points", lines(lambda rows: rows[:-2]), "rows, its run recorded"),
    ("points", lines(lambda rows: [*rows, rows[-1]]), "rows, its run recorded"),
    ("points", lines(lambda rows: [*rows[:-1], rows[1]]), "repeats line 2"),
    ("kept", lines(lambda rows: rows[:-2]), "rows of share"),
    ("kept", lines(lambda rows: [*rows, *rows[1:]]), "repeats line 2"),
    ("points", lines(lambda rows: rows[:1]), "no rows"),
    ("points", lambda text: "", "cut off"),
    ("points", lambda text: "\n", "No columns to parse"),
    ("points", value("value", "inf"), "line 3: column value must be a number"),
    ("points", value("value", "1e300"), "line 3: column value must be a number"),
    ("points", value("value", "nan"), "line 3: column value must be a number"),
    ("points", value("heads_total", "0"), "line 3: column heads_total must be a whole number of at least 1"),
    ("points", value("heads_total", "1.5"), "line 3: column heads_total must be a whole number"),
    ("points", value("heads_total", "1e30"), "line 3: column heads_total must be a whole number"),
    ("points", value("metric", "a\0b"), "a NUL in it"),
    ("points", value("metric", "\udcff"), "can't decode byte 0xff"),
]


@pytest.mark.parametrize(("name", "change", "words"), TABLES)
def test_odd_tables(logged: Path, tmp_path: Path, name: str, change: Callable[[str], str], words: str) -> None:
    path = logged / "tables" / f"{name}.csv"
    path.write_bytes(change(path.read_text()).encode(errors="surrogateescape"))
    wanted = POINTS if name == "points" else KEPT
    journal, together = Journal(), Journal()
    records = load([tmp_path], journal)
    assert len(records) == 1 and read_tables(records, name, wanted, journal) == []
    [line] = journal.warnings
    assert line.startswith(f"skipped: {path}") and words in line and "\n" not in line
    assert join_tables(records, name, wanted, together) is None and together.warnings == [line]
    whole = michel.pruning(tmp_path / "more", DEMO, "oracle")
    both = [*records, *load([whole], Journal())]
    joined = join_tables(both, name, wanted, Journal(), order=lambda record: record.config["order"])
    assert joined is not None and set(joined["order"]) == {"oracle"}
    assert list(folder_problems(logged))


def test_newer_records_say_how_many_rows_they_have(tmp_path: Path) -> None:
    folder = michel.transfer(tmp_path, DEMO)
    path = folder / "tables" / "effects.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    record = read_record(folder)
    assert record is not None
    with pytest.raises(DamagedRecordError, match="15 rows, its run recorded 16"):
        record.table("effects", columns("transfer", "effects"))
    assert [line.removeprefix(f"{folder}/") for line in folder_problems(folder)] == [
        "tables/effects.csv: 15 rows, its run recorded 16",
        "answers.npz: evaluation: missing",
        "answers.npz: second: missing",
    ]


def test_logged_records_are_whole() -> None:
    for path in sorted(LOGGED.glob("*/result.json")):
        assert damage(json.loads(path.read_text())) is None


def test_one_figure_that_breaks_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    good, odd = michel.pruning(tmp_path / "runs", DEMO, "importance"), michel.pruning(tmp_path / "runs", DEMO, "oracle")
    [chapter] = [chapter for chapter in CHAPTERS if chapter.title == "Michel et al. 2019"]
    usual = next(part.draw for part in chapter.parts if part.name == "fig3b")

    def picky(group: Group, journal: Journal) -> Any:
        if any(record.folder == odd for record in group.records):
            raise ZeroDivisionError("division by zero\nand more")
        return usual(group, journal)

    def broken(group: Group, journal: Journal) -> Any:
        raise KeyError("gone")

    changed = {"fig3b": picky, "kept_heads": broken}
    own = tuple(replace(part, draw=changed.get(part.name, part.draw)) for part in chapter.parts)
    monkeypatch.setattr(drawing, "CHAPTERS", (replace(chapter, parts=own),))
    drawn = draw_all([tmp_path / "runs"], tmp_path / "out")
    assert drawn.failed == [
        f"could not be drawn: demo_mnli/fig3b with {odd}: ZeroDivisionError: division by zero and more",
        "could not be drawn: demo_mnli/kept_heads: KeyError: 'gone'",
    ]
    assert set(drawn.failed) <= set(drawn.warnings)
    names = {path.stem for path in drawn.figures}
    assert {"fig3b", "order_agreement"} <= names and "kept_heads" not in names
    assert "oracle,measured" not in (tmp_path / "out" / "demo_mnli" / "fig3b.csv").read_text()
    monkeypatch.setattr(Drawing, "save", lambda *_, **__: 1 / 0)
    assert draw_run(good, tmp_path / "one") == []
    assert "fig3b: ZeroDivisionError" in caplog.text and "kept_heads: KeyError" in caplog.text

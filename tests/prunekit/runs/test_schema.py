import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prunekit.config.sections import ModelConfig, RunConfig, Settings
from prunekit.config.task import TaskConfig
from prunekit.runs.execute import Run, execute
from prunekit.runs.finished import read_result
from prunekit.runs.schema import document
from prunekit.runs.schema.checking import folder_problems
from prunekit.runs.schema.fields import VERSION, Field, fields
from prunekit.runs.schema.records import record_problems
from prunekit.runs.schema.verbs import VERBS
from prunekit.runs.schema.writing import SchemaError, check_line, check_rows

ROOT = Path(__file__).parents[3]
LOGGED = sorted((ROOT / "analysis" / "logged_runs").glob("*/*/result.json"))
KEPT = {"unit": "heads", "layer": 0, "kept": 3, "total": 4}


def test_every_logged_record_is_as_the_schema_says() -> None:
    assert len(LOGGED) >= 250
    assert [line for path in LOGGED for line in folder_problems(path.parent)] == []


def test_every_verb_has_a_schema() -> None:
    not_logged = {"quantize"}  # until there are logged runs of it
    assert {path.parts[-3] for path in LOGGED} | not_logged == set(VERBS)
    assert all((ROOT / "experiments" / f"{name}.py").exists() for name in VERBS)


def test_the_json_schema_is_up_to_date() -> None:
    assert document.PATH.read_text() == document.text(), "write it with python -m prunekit.runs.schema"


def test_the_json_schema_says_what_the_checks_do() -> None:
    written = document.document()
    assert set(written["required"]) == set(json.loads(LOGGED[0].read_text()))  # records of version 0
    stages = written["$defs"]["prune_fisher.tables.stages"]
    assert stages["properties"]["seconds"]["type"] == ["number", "null"]
    assert "accuracy" not in stages["required"] and "value" in stages["required"]
    assert list(stages["patternProperties"]) == [
        "^(entity_f1|token_accuracy|bleu|chrf|answer_f1|exact_match|accuracy|f1|matthews|pearson|spearman)$"
    ]
    assert written["$defs"]["prune_heads.tables.points"]["properties"]["kinds"]["since"] == 1


def test_the_schema_needs_neither_torch_nor_pandas() -> None:
    code = "import sys, prunekit.runs.schema.writing, prunekit.runs.schema.checking, prunekit.runs.schema.document\n"
    code += "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [("int", 3, 3.5), ("int", 3, True), ("float", 3, "3"), ("bool", True, 1), ("str", "3", 3), ("list", [1], "1"),
     ("float", 0.5, None), ("float", 0.5, float("nan")), ("float", 0.5, float("inf")), ("dict", {}, [])],
)  # fmt: skip
def test_kinds(kind: str, right: Any, wrong: Any) -> None:
    field = Field("a", kind, "")
    assert field.wrong(right) is None and field.wrong(wrong) is not None
    assert (Field("a", kind, "", nullable=True).wrong(wrong) is None) == (
        wrong is None or wrong != wrong or wrong == 1e999
    )


def test_a_newer_field_is_asked_only_of_records_that_are_as_new() -> None:
    some = fields(Field("a", "int", ""), Field("b", "int", "", since=2), Field("c_*", "int", ""))
    assert some.problems({"a": 1}, 1) == []
    assert some.problems({"a": 1, "c_x": 2}, 2) == ["b is missing"]
    assert some.problems({"a": 1, "b": 1, "c_": 2}, 2) == ["c_ is unknown, right would be a, b, c_*"]


@pytest.mark.parametrize(
    ("table", "rows", "line"),
    [
        ("rest", [KEPT], "prune_cofi has no table rest, right would be kept, latency"),
        ("kept", [], "table kept: no rows"),
        ("kept", [{"unit": "heads", "layer": 0, "kept": 3}], "column total is missing"),
        ("kept", [KEPT | {"more": 1}], "column more is unknown, right would be unit, layer, kept, total"),
        ("kept", [KEPT, KEPT | {"kept": 2.5}], "row 1, column kept: 2.5 is not a whole number, right would be units"),
        ("kept", [KEPT | {"layer": None}], "row 0, column layer: None is not allowed"),
        ("kept", [dict(reversed(KEPT.items()))], "column kept is out of order"),
    ],
)  # fmt: skip
def test_rows_of_another_shape_are_refused(table: str, rows: list[dict[str, Any]], line: str) -> None:
    check_rows("prune_cofi", "kept", [KEPT])
    with pytest.raises(SchemaError, match=line):
        check_rows("prune_cofi", table, rows)


def test_lines_of_another_shape_are_refused() -> None:
    check_line("finetune", {"loss": 1.0, "learning_rate": 0.1, "epoch": 1})
    with pytest.raises(SchemaError, match=r"finetune, metrics\.jsonl: epoch is missing"):
        check_line("finetune", {"loss": 1.0, "learning_rate": 0.1})
    with pytest.raises(SchemaError, match="latency_table: logs a, its schema has no lines"):
        check_line("latency_table", {"a": 1.0})


def configured(folder: Path) -> Settings:
    return Settings(
        model=ModelConfig(name="m", weights="scratch", shape={"hidden_size": 8}),
        task=TaskConfig(name="demo", source="demo"), run=RunConfig(folder=str(folder), wandb="disabled"),
    )  # fmt: skip


LATENCY = [{"sublayer": "ffn", "units": 4, "median_ms": 1.0, "low_ms": 0.5, "high_ms": 2, "repeats": 3}]


def measured(config: Settings, run: Run) -> None:
    run.table("latency", LATENCY)
    run.metrics = {"batch_size": 1, "length": 8, "layers_ms": 2.0, "share_without_units": 0.1}
    run.model = {
        "name": "m", "path": None, "weights": "scratch", "family": "bert", "parameters": 9, "layers": 1, "heads": 2,
    }  # fmt: skip


def test_a_run_writes_what_its_schema_says(tmp_path: Path) -> None:
    record = execute("latency_table", 1, configured(tmp_path), measured)
    folder = tmp_path / "latency_table" / record["run_id"]
    assert record["schema"] == VERSION == 9
    assert record["tables"] == {"latency": len(LATENCY)}
    assert list(folder_problems(folder)) == []
    assert (folder / "tables" / "latency.csv").read_text() == pd.DataFrame(LATENCY).to_csv(index=False)


def _without_table(config: Settings, run: Run) -> None:
    measured(config, run)
    (run.folder / "tables" / "latency.csv").unlink()


def _other_metric(config: Settings, run: Run) -> None:
    measured(config, run)
    run.metrics["layers"] = 2.0


def _undefined(config: Settings, run: Run) -> None:
    measured(config, run)
    run.metrics["layers_ms"] = float("nan")


@pytest.mark.parametrize(
    ("procedure", "line"),
    [
        (_without_table, "latency_table: table latency was not written"),
        (_other_metric, "result.json: metrics.layers is unknown"),
        (_undefined, "result.json: metrics.layers_ms: None is not allowed, right would be"),
    ],
)
def test_a_run_that_records_something_else_does_not_finish(
    tmp_path: Path, procedure: Callable[[Settings, Run], None], line: str
) -> None:
    with pytest.raises(SchemaError, match=line):
        execute("latency_table", 1, configured(tmp_path), procedure)
    (folder,) = (tmp_path / "latency_table").iterdir()
    assert read_result(folder) is None


def test_a_newer_record_is_not_guessed_at() -> None:
    record = json.loads(LOGGED[0].read_text()) | {"schema": 99}
    assert record_problems(record) == ["schema: 99 is newer than this code, which knows 9"]


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A copy of a logged run of Fisher pruning."""
    source = next(path.parent for path in LOGGED if path.parts[-3] == "prune_fisher")
    return Path(shutil.copytree(source, tmp_path / "prune_fisher" / source.name))


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("tables/kept.csv", "heads,0,", "heads,zero,", ", line 2: column layer: 'zero' is not a whole number"),
        ("tables/kept.csv", "unit,layer,kept", "unit,layer,left", ": column kept is missing"),
        ("tables/kept.csv", "unit,layer,kept", "unit,layer,left", ": column left is unknown"),
        ("tables/kept.csv", "heads,0,", "heads,0,1,", ", line 2: 5 values, right would be 4"),
        ("tables/stages.csv", "dense,", ",", ", line 2: column stage: None is not allowed"),
        ("result.json", '"baseline_low"', '"low"', ": metrics.baseline_low is missing"),
        ("result.json", '"baseline_low"', '"low"', ": metrics.low is unknown"),
        ("result.json", '"dirty": ', '"dirty": 0, "x": ', ": git.x is unknown"),
        ("result.json", '"verb": "prune_fisher"', '"verb": "prune_fish"', ": verb: prune_fish is unknown"),
        ("result.json", "{", "", ": Extra data"),
        ("metrics.jsonl", '"stage": "search"', '"stage": 2', ", line 2: stage: 2 is not a text"),
        ("metrics.jsonl", '"step": 1', '"step": 0', ", line 2: step 0 comes after 0"),
    ],
)
def test_a_changed_record_is_told_by_file_and_place(logged: Path, file: str, old: str, new: str, line: str) -> None:
    assert list(folder_problems(logged)) == []
    edited(logged / file, old, new)
    assert any(problem.startswith(f"{logged / file}{line}") for problem in folder_problems(logged))


def test_a_missing_table_and_an_unknown_one_are_told(logged: Path) -> None:
    (logged / "tables" / "kept.csv").rename(logged / "tables" / "rest.csv")
    assert list(folder_problems(logged)) == [
        f"{logged}/tables/kept.csv: missing",
        f"{logged}/tables/rest.csv: table rest is unknown, right would be stages, tuning, kept, latency",
    ]


@pytest.mark.parametrize("right", [True, False])
def test_checkpoints_stay_until_the_record_is_complete(right: bool, tmp_path: Path) -> None:
    def trained(config: Settings, run: Run) -> None:
        (measured if right else _other_metric)(config, run)
        (run.folder / "checkpoint.safetensors").write_bytes(b"hours of work")
        run.leftovers += [run.folder / "checkpoint.safetensors", run.folder / "best.safetensors"]

    with nullcontext() if right else pytest.raises(SchemaError):
        execute("latency_table", 1, configured(tmp_path), trained)
    (folder,) = (tmp_path / "latency_table").iterdir()
    assert (folder / "checkpoint.safetensors").exists() is not right

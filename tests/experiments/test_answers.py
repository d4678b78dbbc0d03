"""What models answer is in the record of every verb that scores them, for every kind of task, and gives its scores.

``perform`` holds every record of the tests to its answers (:func:`tests.support.answers.assert_answered`); here are the
kinds of task and the metrics that no other test runs, and what an interruption leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prunekit.data.demo import vocabulary
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import evaluate
from prunekit.runs.schema.answer_file import FILE, read_answers
from tests.support.answers import assert_answered
from tests.support.commands import TINY, perform
from tests.support.score_data import regression
from tests.support.squad_data import generated, written

FISHER = ["calibration_examples=32", "batch_sizes=[2]", "repeats=1"]
COFI = [
    "student.batch_size=16", "student.held_out=24", "student.evaluate_every=20", "student.prune_epochs=2",
    "student.finetune_epochs=1", "sparsity=0.5", "structure=dense", "batch_sizes=[2]", "length=16", "repeats=1",
]  # fmt: skip


def questions(folder: Path) -> list[str]:
    files = [f"task.files.{name}={written(folder, generated(48, seed=seed, words=vocabulary()), f'{name}.jsonl')}"
             for seed, name in enumerate(("train", "validation"))]  # fmt: skip
    return [*TINY, "task=questions", *files, "task.max_length=32", "task.stride=8", "task.question_length=8"]


def two_metrics(folder: Path) -> list[str]:
    return [*TINY, "task.metrics=[matthews,accuracy]"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By kind of task; a teacher each, trained once."""
    kinds = {"regression": regression, "questions": questions, "matthews": two_metrics}
    folders = {name: tmp_path_factory.mktemp(name) for name in kinds}
    return {name: [*make(folders[name]), f"run.folder={folders[name]}/runs"] for name, make in kinds.items()}


CASES: list[Any] = [
    ("regression", "finetune", [], {"evaluation": 1}),
    ("regression", "prune_heads", ["grid=0.5"], {"evaluation": 3}),
    ("regression", "ablate_heads", ["selection_examples=20"], {"evaluation": 9, "selection": 5}),
    ("regression", "prune_fisher", FISHER, {"evaluation": 4}),
    pytest.param("regression", "prune_cofi", COFI, {"evaluation": 2}, marks=pytest.mark.slow),
    pytest.param("questions", "prune_fisher", FISHER, {"evaluation": 4}, marks=pytest.mark.slow),
    ("matthews", "ablate_heads", ["selection_examples=null"], {"evaluation": 9}),
    pytest.param("matthews", "prune_fisher", ["tune=false", *FISHER], {"evaluation": 3}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "verb", "overrides", "models"), CASES, ids=lambda value: str(value)[:20])
def test_a_record_is_scored_again_from_its_answers(
    settings: dict[str, list[str]], kind: str, verb: str, overrides: list[str], models: dict[str, int]
) -> None:
    record = perform(verb, *settings[kind], *overrides)
    assert record["answers"] == models


def folder_of(arguments: list[str], record: dict[str, Any]) -> Path:
    return Path(arguments[-1].removeprefix("run.folder=")) / record["verb"] / record["run_id"]


def test_the_same_run_has_the_same_bytes_and_an_interrupted_one_as_well(
    settings: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*settings["matthews"][:-1], "grid=0.25", settings["matthews"][-1]]
    home = folder_of(arguments, perform("prune_heads", *arguments))
    once = (home / FILE).read_bytes()
    calls = list[int]()

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr("prunekit.heads.curve_points.evaluate", counted)
    with pytest.raises(KeyboardInterrupt):
        perform("prune_heads", "run.force=true", *arguments)
    assert not (home / FILE).exists() and len(list((home / "answers").iterdir())) == 3
    parts = sorted((home / "answers").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    parts[1].write_bytes(b"")  # what was lost is evaluated again, and its line in the log stays as it is
    perform("prune_heads", *arguments)
    assert len(calls) == 4 + 3
    assert (home / FILE).read_bytes() == once
    assert assert_answered(home) == 5


def test_answers_of_other_rows_are_forgotten(settings: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted run whose rows have changed starts anew: nothing of the old ones is taken over."""
    arguments = [*settings["matthews"][:-1], "grid=0.5", "seed=7", settings["matthews"][-1]]
    calls = list[int]()

    def third_fails(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr("prunekit.heads.curve_points.evaluate", third_fails)
    with pytest.raises(KeyboardInterrupt):
        perform("prune_heads", *arguments)
    monkeypatch.setattr("prunekit.runs.run_data.load_rows", lambda *of: load_rows(*of).take(range(1, 90)))
    record = perform("prune_heads", *arguments)
    assert len(calls) == 6
    sheet = read_answers(folder_of(arguments, record) / FILE)["evaluation"]
    assert sheet.answers.rows == record["data"][1]["fingerprint"] and len(sheet.answers) == 89

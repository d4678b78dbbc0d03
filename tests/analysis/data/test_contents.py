"""Runs on other rows, files or teachers of the same name are never averaged together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.catalogue.draw import draw_all
from analysis.compare.runs import comparisons
from analysis.data.averages import unpruned
from analysis.data.loading import Journal, load
from tests.support.drawings import only_csv
from tests.support.records import kwon, michel
from tests.support.records.frame import DEMO

Result = dict[str, Any]


def edited(folder: Path, change: Callable[[Result], None], day: int) -> Path:
    """A run's record after a change, finished on a day."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["finished"] = f"2026-03-{day:02}T00:00:00+00:00"
    change(result)
    path.write_text(json.dumps(result))
    return folder


def baseline(value: float) -> Callable[[Result], None]:
    return lambda result: result["metrics"].update(baseline=value, baseline_low=value, baseline_high=value)


def rows(fingerprint: str) -> Callable[[Result], None]:
    def change(result: Result) -> None:
        for item in result["data"]:
            if item["role"] == "evaluation":
                item["fingerprint"] = fingerprint

    return change


def more_rows(result: Result) -> None:
    for item in result["data"]:
        item["rows_available"] += 1


def weights(fingerprint: str) -> Callable[[Result], None]:
    return lambda result: result["model"].update(fingerprint=fingerprint)


def files(content: str) -> Callable[[Result], None]:
    return lambda result: result.update(input={"task.files.train": content})


def from_outside(value: float, fingerprint: str = "") -> Callable[[Result], None]:
    def change(result: Result) -> None:
        result["teacher"] = {"run_id": None, "path": "mine"}
        result["model"]["fingerprint"] = fingerprint
        baseline(value)(result)

    return change


def trained(run: str, value: float) -> Callable[[Result], None]:
    return lambda result: result["teacher"].update(run_id=run, value=value)


def nothing(result: Result) -> None:
    pass


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (rows("a"), rows("b"), "rows of mnli validation_matched"),
        (more_rows, nothing, "rows of mnli validation_matched"),
        (weights("a"), weights("b"), "teacher"),
        (files("a"), files("b"), "task.files.train"),
        (from_outside(0.7, "a"), from_outside(0.7, "b"), "teacher"),
        (from_outside(1.0), from_outside(0.333), "teacher"),
        (from_outside(1.0), from_outside(0.333, "b"), "teacher"),
        (trained("t0", 0.7), trained("t1", 0.7), "teacher"),
        (trained("t0", 0.7), trained("t0", 0.71), "teacher"),
    ],
)
def test_older_runs_on_another_content_are_left_out_and_named(
    old: Callable[[Result], None], new: Callable[[Result], None], what: str, tmp_path: Path
) -> None:
    stale = [edited(michel.pruning(tmp_path, DEMO, "random", seed=seed), old, day=1) for seed in (0, 1)]
    fresh = [edited(michel.pruning(tmp_path, DEMO, "random", seed=seed), new, day=2) for seed in (2, 3)]
    journal = Journal()
    assert {record.folder for record in load([tmp_path], journal)} == set(fresh)
    assert [unused.why for unused in journal.unused] == ["other content"] * 2
    ids = ", ".join(sorted(folder.name for folder in stale))
    assert journal.warnings[-1] == (
        f"left out: 2 prune_heads run(s) of demo on mnli, scale small, whose {what} had another content than in "
        f"newer runs: {ids}"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rows("a"), rows("a")),
        (weights("a"), nothing),
        (files("a"), nothing),
        (from_outside(0.7), from_outside(0.7005)),  # a row of 2000, answered differently elsewhere
        (from_outside(0.7, "a"), from_outside(0.9, "a")),
    ],
)
def test_what_may_be_the_same_stays(
    one: Callable[[Result], None], other: Callable[[Result], None], tmp_path: Path
) -> None:
    for seed, change in enumerate((one, other)):
        edited(michel.pruning(tmp_path, DEMO, "random", seed=seed), change, day=seed + 1)
    journal = Journal()
    assert len(load([tmp_path], journal)) == 2
    assert journal.warnings == []


def test_the_second_task_of_a_transfer_has_rows_of_one_content(tmp_path: Path) -> None:
    def second(fingerprint: str) -> Callable[[Result], None]:
        own = {"role": "second", "name": "snli", "split": "validation", "fingerprint": fingerprint}
        return lambda result: result["data"].append({**result["data"][0], **own})

    folders = [edited(michel.transfer(tmp_path, DEMO, seed=n), second(text), n + 1) for n, text in enumerate("abb")]
    journal = Journal()
    assert {record.folder for record in load([tmp_path], journal)} == set(folders[1:])
    assert "whose rows of snli validation" in journal.warnings[-1]


def test_teachers_of_other_seeds_and_files_of_other_names_are_others(tmp_path: Path) -> None:
    for seed in (0, 1):
        edited(michel.pruning(tmp_path, DEMO, "random", teacher=seed), weights(f"w{seed}"), day=seed + 1)
    for name in ("a", "b"):
        config = {"task": {"name": "mnli", "files": {"train": f"{name}.csv"}}}
        edited(michel.pruning(tmp_path, DEMO, "oracle", config=config), files(name), day=3)
    assert len(load([tmp_path], Journal())) == 4


def test_the_unpruned_score_is_of_one_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    for seed, (value, content) in enumerate([(1.0, "a"), (1.0, "a"), (0.25, "b")]):
        change = from_outside(value, content)
        edited(michel.pruning(tmp_path / "runs", DEMO, "random", seed=seed), change, day=seed + 1)
    assert unpruned(load([tmp_path / "runs"], Journal()))["value"] == 25.0
    drawn = draw_all([tmp_path / "runs"], tmp_path / "out")
    assert any(line.startswith("left out: 2 prune_heads run(s)") for line in drawn.warnings)
    [page] = (tmp_path / "out").rglob("fig3b.csv")
    assert "100.0" not in page.read_text().replace("100.0,100.0", "")


def test_teachers_of_one_id_that_differ_are_warned_of(tmp_path: Path) -> None:
    for day, (content, make) in enumerate([("a", michel.pruning), ("b", michel.pruning)]):
        edited(make(tmp_path, DEMO, "random", seed=day), weights(content), day=day + 1)
    journal = Journal()
    load([tmp_path], journal)
    assert journal.warnings[0] == (
        "teacher finetune/t0: its weights differ between records of runs on it (1 run(s) with a, 1 run(s) with b)"
    )


def test_records_of_one_id_that_disagree_are_warned_of(tmp_path: Path) -> None:
    folders = [michel.pruning(tmp_path / name, DEMO, "random") for name in ("a", "b", "c")]
    edited(folders[1], weights("b"), day=1)
    for folder in folders:
        path = folder / "result.json"
        result = json.loads(path.read_text())
        result["config"]["run"] = {}
        path.write_text(json.dumps(result | {"run_id": "one"}))
    edited(folders[0], weights("a"), day=1)
    edited(folders[2], baseline(0.1), day=1)
    journal = Journal()
    assert [record.folder for record in load([tmp_path / name for name in "abc"], journal)] == [folders[0]]
    assert journal.warnings == [
        f"{folder}: not used, its {what} differ from those of {folders[0]}, which is a record of the same run"
        for folder, what in ((folders[1], "teacher"), (folders[2], "teacher and scores"))
    ]


def test_methods_are_compared_on_the_same_weights(tmp_path: Path) -> None:
    for content in ("a", "b"):
        pruned = edited(kwon.pruning(tmp_path / content, DEMO, "mnli"), weights(content), day=1)
        data = json.loads((pruned / "result.json").read_text())["data"]

        def same_rows(result: Result, data: Any = data) -> None:
            result["data"] = data
            weights("a")(result)

        edited(michel.pruning(tmp_path / content, DEMO, "importance"), same_rows, day=1)
    same, other = (comparisons(load([tmp_path / content], Journal())) for content in ("a", "b"))
    assert [len(runs.records) for runs in same] == [2]
    assert other == []


def test_replaced_runs_are_left_out_and_named(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    earlier = edited(michel.pruning(old, DEMO, "random"), lambda result: result.update(run_id="before"), day=1)
    others = {michel.pruning(new, DEMO, "random", seed=seed) for seed in (1, 2)}
    change = {"run_id": "after", "replaces": "before", "revision": 2}
    later = edited(michel.pruning(new, DEMO, "random"), lambda result: result.update(change), day=2)
    journal = Journal()
    assert {record.folder for record in load([old, new], journal)} == {later, *others}
    assert [(unused.run.run_id, unused.why) for unused in journal.unused] == [("before", "replaced")]
    assert journal.warnings[0] == (
        "left out: 1 prune_heads run(s), replaced at a later revision: before by after"
    )
    assert [record.folder for record in load([old], Journal())] == [earlier]  # as long as nothing replaces it


def test_only_runs_of_one_curve_are_of_mixed_revisions(tmp_path: Path) -> None:
    def raised(folder: Path) -> Path:
        return edited(folder, lambda result: result.update(revision=2), day=1)

    def told() -> list[str]:
        journal = Journal()
        load([tmp_path], journal)
        return journal.warnings

    kwon.pruning(tmp_path, DEMO)
    raised(kwon.pruning(tmp_path, DEMO, labels="predicted", seed=1))
    raised(kwon.pruning(tmp_path, DEMO, variant="released"))
    raised(kwon.pruning(tmp_path, DEMO, "sst2"))
    raised(kwon.pruning(tmp_path, DEMO, refined="further"))  # a setting that figures do not show
    assert told() == []
    raised(kwon.pruning(tmp_path, DEMO, constraint=0.3, seed=1))
    assert told() == [
        "prune_fisher: runs of the same settings are of different revisions (1 of revision 1, 1 of revision 2); "
        "their numbers may not compare"
    ]

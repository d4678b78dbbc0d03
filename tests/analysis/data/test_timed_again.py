"""Times of shapes that were timed again stand in figures in place of those of the runs themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.catalogue.draw import draw_each
from analysis.cofi import baselines, speed
from analysis.compare import figure as compare
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.data.marks.quiet import comparable_latencies
from analysis.kwon import budgets, latency, seconds
from analysis.render.output import Drawing, Table
from tests.support.records import cofi, kwon, methods
from tests.support.records.frame import MINILM, mark_quiet, timed_again


def figure(root: Path, part: object, verb: str = "") -> Drawing:
    records = [record for record in load([root], Journal()) if record.verb == verb or not verb]
    item = part.draw(Group(records), Journal())[0]  # type: ignore[attr-defined]
    assert isinstance(item, Drawing)
    return item


def words(item: Drawing) -> str:
    return item.caption


def pruned(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame["series"].astype(str).str.startswith(("unpruned", "published"))]


def test_cofi_and_fisher_stand_at_one_length_and_batch(tmp_path: Path) -> None:
    learned = [cofi.run(tmp_path, MINILM, sparsity=sparsity, counted=sparsity, speedup=9) for sparsity in (0.6, 0.9)]
    fisher = [kwon.pruning(tmp_path, MINILM, "sst2", constraint=share, speedup=1.1) for share in (0.5, 0.7)]
    before = words(figure(tmp_path, compare))
    assert "batch 1, length" in before and "compare these roughly" in before
    for number, folder in enumerate([*learned, *fisher]):
        timed_again(tmp_path, folder, {1: 1.5, 8: 2.0 + number}, length=64)
    item = figure(tmp_path, compare)
    assert "Speed-up in PyTorch: batch 8, length 64; AMD EPYC" in words(item)
    cells = item.frame.dropna(subset=["asked"]).set_index(["method", "asked"])["speedup"]
    assert cells["prune_cofi learned"].to_dict() == {0.6: 2.0, 0.9: 3.0}
    assert cells["prune_fisher fisher"].to_dict() == {0.5: 4.0, 0.7: 5.0}
    for part, verb, speedups in ((speed, "prune_cofi", [2.0, 3.0]), (latency, "prune_fisher", [4.0, 5.0])):
        rows = pruned(figure(tmp_path, part, verb).frame)
        assert sorted(rows["speedup"]) == speedups
        assert set(rows["batch_size"]) == {8} and set(rows["length"]) == {64}


def test_runs_without_new_times_are_left_out_beside_those_that_have_them(tmp_path: Path) -> None:
    first, _ = (cofi.run(tmp_path, MINILM, sparsity=sparsity, speedup=9) for sparsity in (0.6, 0.9))
    timed_again(tmp_path, first, {8: 2.5})
    rows = pruned(figure(tmp_path, speed, "prune_cofi").frame)
    assert (rows["requested"].tolist(), rows["speedup"].tolist()) == ([60], [2.5])


def test_a_task_of_which_nothing_was_timed_again_keeps_its_times(tmp_path: Path) -> None:
    timed_again(tmp_path, kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5), {8: 1.6})
    kwon.pruning(tmp_path, MINILM, "mnli", constraint=0.5, speedup=1.3)
    item = figure(tmp_path, latency, "prune_fisher")
    assert pruned(item.frame).set_index("task")["speedup"].to_dict() == {"sst2": 1.6, "mnli": 1.3}
    assert "Times are of" not in words(item)
    pruning = [record for record in load([tmp_path], Journal()) if record.verb == "prune_fisher"]
    assert comparable_latencies(pruning) == pruning


def test_a_score_is_of_all_runs_and_its_time_of_those_that_were_timed_again(tmp_path: Path) -> None:
    """A seed that was timed alone may be the luckiest: -1, -2 and -6 points are -3 on average."""
    words_of_some = "Times are of 1 of these 3 runs, scores of all of them. "
    losses = (0.01, 0.02, 0.06)
    learned = [cofi.run(tmp_path, MINILM, sparsity=0.9, counted=0.9, seed=seed, loss=loss, speedup=9)
               for seed, loss in enumerate(losses)]  # fmt: skip
    fisher = [kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, seed=seed, loss=loss, speedup=1.1)
              for seed, loss in enumerate(losses)]  # fmt: skip
    timed_again(tmp_path, learned[0], {1: 2.0, 8: 2.5})
    timed_again(tmp_path, fisher[0], {1: 2.0, 8: 1.6})
    for part, verb, gain in ((speed, "prune_cofi", 2.5), (latency, "prune_fisher", 1.6)):
        item = figure(tmp_path, part, verb)
        [row] = pruned(item.frame).to_dict("records")
        assert (row["change"], row["speedup"], row["runs"]) == pytest.approx((-3, gain, 3))
        assert words_of_some in words(item)
    item = figure(tmp_path, compare)
    cell = item.frame[item.frame["method"] == "prune_cofi learned"].to_dict("records")[0]
    assert (cell["change"], cell["speedup"]) == pytest.approx((-3, 2.5))
    assert "Times are of 2 of these 6 runs, scores" in words(item)
    records = load([tmp_path], Journal())
    by_verb = {verb: Group([one for one in records if one.verb == verb]) for verb in ("prune_cofi", "prune_fisher")}
    [table] = baselines.draw(by_verb["prune_cofi"], Journal())
    assert isinstance(table, Table) and words_of_some in table.caption
    own = table.frame.iloc[0]
    ends = [f"{name}_{end}" for name in ("speedup", "batch_size") for end in ("smallest", "largest")]
    assert own[ends].tolist() == [2.0, 2.5, 1, 8], "at one batch, of one run"
    [table] = budgets.draw(by_verb["prune_fisher"], Journal())
    assert isinstance(table, Table)
    assert table.frame["achieved_latency"].tolist() == pytest.approx([100 / 1.1]), "at the length of what was asked for"


def test_of_two_runs_of_the_same_numbers_that_which_was_timed_counts(tmp_path: Path) -> None:
    """They differ in nothing that a figure tells apart, as in threads."""
    for number in (0, 1):
        folder = kwon.pruning(tmp_path / str(number), MINILM, "sst2", constraint=0.5, speedup=1.1)
        result = json.loads((folder / "result.json").read_text())
        result["config"]["run"] = {"threads": number}
        result["run_id"] = f"000{number}"
        (folder / "result.json").write_text(json.dumps(result))
        renamed = folder.rename(folder.with_name(f"000{number}"))
        if number == 1:
            timed_again(tmp_path / "1", renamed, {8: 1.6})
    records = load([tmp_path / "0", tmp_path / "1"], Journal())
    item = latency.draw(Group([one for one in records if one.verb == "prune_fisher"]), Journal())[0]
    assert isinstance(item, Drawing)
    [row] = pruned(item.frame).to_dict("records")
    assert (row["speedup"], row["timed"], row["runs"]) == (1.6, 1, 1)


def test_the_latest_quiet_time_counts_and_none_of_another_machine(tmp_path: Path) -> None:
    folder = cofi.run(tmp_path, MINILM, sparsity=0.6, speedup=9)
    timed_again(tmp_path, folder, {8: 4.0}, share=0.5)
    timed_again(tmp_path, folder, {8: 3.0}, share=0.01, length=32)
    elsewhere = timed_again(tmp_path, folder, {8: 7.0}, device="Another CPU")
    journal = Journal()
    records = load([tmp_path], journal)
    [run] = [record for record in records if record.verb == "prune_cofi"]
    assert run.timed_again is not None and run.timed_again.metrics["speedup_batch_8"] == 3.0
    assert journal.warnings == [
        f"{folder}: its shape was timed on another machine than it ran on, not used: {elsewhere}"
    ]
    assert {record.verb for record in records} == {"prune_cofi", "time_inference"}


def test_times_of_a_run_that_is_not_there_are_told(tmp_path: Path) -> None:
    folder = cofi.run(tmp_path / "elsewhere", MINILM, sparsity=0.6)
    again = timed_again(tmp_path / "runs", folder, {8: 4.0})
    journal = Journal()
    load([tmp_path / "runs"], journal)
    assert journal.warnings == [
        f"not used: {again}: timed the shape of prune_cofi/{folder.name}, which is not in the source"
    ]


def test_a_timed_shape_is_no_model_of_table_4(tmp_path: Path) -> None:
    timed_again(tmp_path, cofi.run(tmp_path, MINILM, sparsity=0.6), {8: 4.0})
    journal = Journal()
    made = {one.part for one in draw_each(load([tmp_path], journal), journal)}
    assert "cofi_speed" in made and "table4" not in made and journal.failed == []


@pytest.mark.parametrize("share", [0.04, 0.06, None])
def test_what_was_timed_beside_other_work_or_does_not_say_has_a_sign(tmp_path: Path, share: float | None) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.9, counted=0.9)
    mark_quiet(cofi.run(tmp_path, MINILM, sparsity=0.6, counted=0.6), {"measure latency": share})
    folder = kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5)
    mark_quiet(folder, {"measure latency": share})
    marked = share == 0.06
    items = [
        figure(tmp_path, compare), figure(tmp_path, speed, "prune_cofi"), figure(tmp_path, latency, "prune_fisher"),
    ]  # fmt: skip
    for item, runs in zip(items, (" (2 runs)", ", 1 of 2 runs", ", 1 of 1 run"), strict=True):
        assert ("disturbed" in item.frame) is marked
        assert ("\u00d7: timed beside other work" in item.key) is marked
        assert (f"timed beside other work{runs}" in words(item)) is marked
        signs = [text.get_text() for axes in item.figure.axes for text in axes.texts]
        assert ("\u00d7" in signs) is marked
        unsaid = share is None or item is not items[2]  # one of CoFi's runs says nothing of it
        assert ("?" in signs) is ("?: not known." in item.key) is ("unknown" in item.frame) is unsaid
    assert ("not known" in words(items[2])) is (share is None), "that of a single run, which says it or not"
    if marked:
        assert "1 of 2 runs; not known of 1. " in words(items[1])
        rows = pruned(items[1].frame).set_index("requested")["disturbed"]
        assert rows.to_dict() == {60: 1, 90: 0}


def test_seconds_of_pruning_beside_other_work_are_told(tmp_path: Path) -> None:
    mark_quiet(cofi.run(tmp_path, MINILM, sparsity=0.6, counted=0.6), {"train": 0.3})
    mark_quiet(kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5), {"tune": 0.0, "measure latency": 0.3})
    text = words(figure(tmp_path, compare))
    assert "Among these: timed beside other work, 1 of 2 runs." in text
    assert "\u00d7: timed beside other work (1 run). ?: not known to be quiet (1 run)." in text
    assert "beside other work" not in words(figure(tmp_path, seconds, "prune_fisher"))


def test_stages_of_every_method_are_among_the_seconds_of_pruning(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5)
    folder = methods.run(tmp_path, MINILM, "ziplm", weights="")
    result = folder / "result.json"
    result.write_text(result.read_text().replace("sha256:cd", "sha256:ab"))  # the rows of the other run
    mark_quiet(folder, {"levels": 0.3, "evaluate search": 0.5})
    drawing, table = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(drawing, Drawing)
    assert "Among these: timed beside other work, 1 of 2 runs; not known of 1." in drawing.beside
    assert isinstance(table, Table) and list(table.display["method"]) == ["Fisher pruning", "compress: ZipLM"]
    words = "of another machine. Among these: timed beside other work, 1 of 2 runs; not known of 1. "
    assert words in table.caption

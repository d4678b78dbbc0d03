"""Models in 8 bits beside pruned ones: of the same teachers, on the same rows, and never at the cost of these."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.compare import figure as compare
from analysis.compare import paired_table
from analysis.compare.pairs import Answered, compare_pair
from analysis.compare.runs import comparisons
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.render.output import Drawing, Table
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from tests.support.records import cofi, kwon, methods, quantization
from tests.support.records.frame import MINILM, add_answers

ROWS = 408


def pruned(root: Path, *, teachers: int = 1) -> list[Path]:
    """Two methods that are compared."""
    return [
        named(folder, None, quantization.DENSE + 0.001 * teacher)
        for teacher in range(teachers)
        for folder in (
            kwon.pruning(root, MINILM, "mrpc", teacher=teacher, constraint=0.5, loss=0.05),
            cofi.run(root, MINILM, "mrpc", teacher=teacher, sparsity=0.9, counted=0.9, loss=0.02),
        )
    ]


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def test_the_figure_and_the_table_have_rows_of_them(tmp_path: Path) -> None:
    pruned(tmp_path)
    quantization.everything(tmp_path, MINILM, teachers=2)  # of the second teacher nothing else is there
    quantization.run(tmp_path, MINILM, remaining=0.5, source="prune_fisher/abc")
    journal = Journal()
    drawing, table = compare.draw(group(tmp_path), journal)
    assert isinstance(drawing, Drawing) and isinstance(table, Table) and not (journal.warnings or journal.missing)
    cells = drawing.frame
    assert [method for method in dict.fromkeys(drawing.frame["method"]) if method.startswith("quantize")] == [
        "quantize aware", "quantize dynamic", "quantize trained",
    ]  # fmt: skip
    half = cells[(cells["method"] == "quantize dynamic") & (cells["asked"] == 0.5)].iloc[0]
    # the teacher has 90 %, half of its MACs costs a point, 8 bits 0.8
    assert half["value"] == pytest.approx(88.2) and half["change"] == pytest.approx(-1.8)
    assert (half["macs_percent"], half["runs"], half["teachers"]) == (50, 1, 1)
    # at batch 1 its graph in int8 over the whole model's in float32, whatever the whole one's would be in int8
    assert half["served"] == pytest.approx(1.5 / (0.1 + 0.9 * 0.5))
    assert half["served_in"] == "onnx-int8, whole: onnx, batch 1"
    assert np.isnan(half["seconds"]) and np.isnan(half["speedup"])
    words = drawing.caption
    assert "Models in 8 bits of other teachers, rows or settings are left out (10 runs)." in words
    assert "pruned by Fisher information and trained, then quantised" in words and "models in 8 bits" in words
    shown = table.display.set_index("method")
    assert shown.loc["in 8 bits, after training", "at most 50 %"] == "**88.2 (-1.8; 50 %)**"
    assert shown.loc["in 8 bits, trained for it (Q8BERT)", "at most 10 %"] == "**88.1 (-1.9; 10 %)**"
    served = str(shown.loc["in 8 bits, after training", "as served"])
    assert served == "7.89 x (onnx-int8, whole: onnx, batch 1; 10 %)"
    assert "Models in 8 bits are scored as they are timed, the whole model beside them is in float32." in table.caption


@pytest.mark.parametrize(
    ("remaining", "words"),
    [
        ((1.0,), "Models in 8 bits were not pruned. "),
        ((0.5, 0.1), "Models in 8 bits were pruned by Fisher information and trained, then quantised. "),
        ((1.0, 0.5), "Models in 8 bits were pruned by Fisher information and trained, then quantised; those with all "
                     "of their MACs were not pruned. "),
    ],
)  # fmt: skip
def test_the_caption_says_of_whole_models_that_they_were_not_pruned(
    tmp_path: Path, remaining: tuple[float, ...], words: str
) -> None:
    pruned(tmp_path)
    for share in remaining:
        quantization.run(tmp_path, MINILM, remaining=share)
    drawing, _ = compare.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing) and words in drawing.caption


def test_they_choose_no_teachers(tmp_path: Path) -> None:
    """Of a share and a way to 8 bits that one of the teachers lacks, none is compared."""
    pruned(tmp_path, teachers=2)
    [before] = comparisons(group(tmp_path).records)
    for teacher in (0, 1, 2):
        quantization.run(tmp_path, MINILM, remaining=0.5, teacher=teacher)
    quantization.run(tmp_path, MINILM, remaining=0.1)
    [runs] = comparisons(group(tmp_path).records)
    assert runs.apart == 2
    assert {record.run_id for record in runs.records if record.verb != "quantize"} == {
        record.run_id for record in before.records
    }
    own = {(record.teacher_run, record.config["remaining"]) for record in runs.members["quantize"]}
    assert own == {("t0", 0.5), ("t1", 0.5)}


def test_they_stand_in_the_comparison_of_their_teacher(tmp_path: Path) -> None:
    """Which need not be the first; of a third teacher they are in none."""
    pruned(tmp_path)
    for method in ("flap", "ziplm"):
        run = methods.run(tmp_path, MINILM, method, "mrpc", teacher=1)
        path = named(run, None, quantization.DENSE + 0.001) / "result.json"
        path.write_text(path.read_text().replace("sha256:cd", "sha256:ab"))  # the same rows
    for teacher in (1, 2):
        quantization.run(tmp_path, MINILM, remaining=0.5, teacher=teacher)
    first, second = comparisons(group(tmp_path).records)
    assert "quantize" not in first.members and [one.teacher_run for one in second.members["quantize"]] == ["t1"]
    assert (first.apart, second.apart) == (1, 1)
    drawings = [item for item in compare.draw(group(tmp_path), Journal()) if isinstance(item, Drawing)]
    words = "Models in 8 bits of other teachers, rows or settings are left out (1 runs)."
    assert [words in drawing.caption for drawing in drawings] == [True, True]


def named(folder: Path, fingerprint: str | None, baseline: float = 0.9) -> Path:
    """A record that says the weights of its teacher, or that does not."""
    result = json.loads((folder / "result.json").read_text())
    result["model"] |= {"fingerprint": fingerprint} if fingerprint else {}
    result["metrics"]["baseline"] = baseline
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.mark.parametrize(("score", "compared"), [(0.9, [0.1, 0.5]), (0.92, [])])
def test_older_records_are_matched_by_their_teachers_run_and_its_score(
    tmp_path: Path, score: float, compared: list[float]
) -> None:
    """Of another score it was trained again."""
    for folder in pruned(tmp_path):
        named(folder, None)
    for remaining in (0.1, 0.5):
        named(quantization.run(tmp_path, MINILM, remaining=remaining), "new", score)
    [runs] = comparisons(group(tmp_path).records)
    assert (runs.apart, runs.unsaid) == (2 - len(compared), len(compared))
    assert sorted(one.config["remaining"] for one in runs.members.get("quantize", [])) == compared
    drawing, _ = compare.draw(group(tmp_path), Journal())
    words = "Older records (2 runs) do not say their teacher's weights: they are matched by its run and its score."
    assert isinstance(drawing, Drawing) and (words in drawing.caption) == bool(compared)


def test_older_records_are_of_no_weights_where_several_may_be_meant(tmp_path: Path) -> None:
    for folder in pruned(tmp_path):
        named(folder, None)
    named(quantization.run(tmp_path / "one", MINILM, remaining=0.5), "new")
    named(quantization.run(tmp_path / "other", MINILM, remaining=0.1), "other")
    records = [record for place in ("prune_fisher", "prune_cofi", "one", "other")
               for record in load([tmp_path / place], Journal())]  # fmt: skip
    [runs] = comparisons(records)
    assert (runs.apart, runs.unsaid) == (2, 0)


def test_of_their_settings_the_one_with_the_most_runs_counts(tmp_path: Path) -> None:
    pruned(tmp_path)
    for remaining in (0.5, 0.1):
        quantization.run(tmp_path, MINILM, remaining=remaining)
    quantization.run(tmp_path, MINILM, remaining=0.5, dtype="bfloat16")
    [runs] = comparisons(group(tmp_path).records)
    assert runs.apart == 1
    own = [(record.config["remaining"], record.config.get("dtype")) for record in runs.members["quantize"]]
    assert sorted(own) == [(0.1, None), (0.5, None)]


def test_alone_they_are_no_comparison(tmp_path: Path) -> None:
    pruned(tmp_path)[1].rename(tmp_path / "elsewhere")
    quantization.run(tmp_path, MINILM, remaining=0.5)
    journal = Journal()
    assert compare.draw(group(tmp_path / "prune_fisher"), journal) == [] and journal.missing == []
    assert comparisons(load([tmp_path / "quantize", tmp_path / "prune_fisher"], Journal())) == []


def answers(wrong: float, seed: int) -> RowAnswers:
    gold = np.arange(ROWS) % 2
    given = np.where(np.random.default_rng(seed).random(ROWS) < wrong, 1 - gold, gold)
    return of_labels("classification", "f", gold, given)


def test_they_are_paired_by_the_answers_of_their_graphs(tmp_path: Path) -> None:
    fisher, learned = pruned(tmp_path)
    add_answers(fisher, ({"stage": "dense"}, answers(0.05, 0)), ({"stage": "tune"}, answers(0.3, 1)))
    add_answers(learned, ({"stage": "dense"}, answers(0.05, 0)), ({"stage": "final"}, answers(0.2, 2)))
    graph = quantization.run(tmp_path, MINILM, remaining=0.5)
    stages = ("dense", "pruned", "quantized")
    add_answers(graph, *(({"stage": stage}, answers(0.1, 3 + place)) for place, stage in enumerate(stages)))
    [table] = paired_table.draw(group(tmp_path), Journal())
    assert isinstance(table, Table)
    rows = {(row["level"], row["method"]): row for row in table.frame.to_dict("records")}
    assert {row["best"] for row in rows.values()} == {"quantize dynamic"}
    fisher_row = rows[50.0, "prune_fisher fisher"]
    pair = compare_pair(
        "f1", [Answered("", "seed 0", answers(0.3, 1), 0)], [Answered("", "seed 0", answers(0.1, 5), 0)]
    )
    assert fisher_row["difference"] == pytest.approx(100 * pair.difference)
    assert [fisher_row["low"], fisher_row["high"]] == pytest.approx([100 * pair.low, 100 * pair.high])

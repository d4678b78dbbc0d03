"""All methods beside one another: which runs may be compared, what is on a front, and what the table picks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.catalogue.draw import draw_all
from analysis.compare import figure as compare
from analysis.compare import paired_table
from analysis.compare.front import on_front
from analysis.compare.runs import comparisons
from analysis.compare.words import looks_in, method_look
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.render import output
from analysis.render.output import Drawing, Table
from analysis.render.style import METHODS
from prunekit.config.method_names import named
from tests.support.drawings import caption_of, only_csv, without_pdf
from tests.support.records import cofi, kwon, methods, michel
from tests.support.records.frame import MINILM, mark_quiet, write_table

SST2 = [{"role": "evaluation", "name": "sst2", "source": "nyu-mll/glue", "split": "validation", "rows": 872,
         "rows_available": 872}]  # fmt: skip
CURVE = {0.0: 0.912, 0.3: 0.90, 0.7: 0.80, 1.0: 0.5}


def heads(root: Path, order: str = "importance", teacher: int = 0, **kwargs: Any) -> Path:
    return michel.pruning(root, MINILM, order, teacher, task="sst2", data=SST2, values=CURVE, **kwargs)


@dataclass(frozen=True)
class Comparison:
    """The figure's frame and caption, the table, and what was missing."""

    frame: pd.DataFrame
    caption: str
    table: Table
    missing: list[str]


def drawn(root: Path) -> Comparison:
    journal = Journal()
    figure, table = compare.draw(Group(load([root], journal)), journal)
    assert isinstance(figure, Drawing) and isinstance(table, Table) and journal.warnings == []
    assert figure.name == "compare_sst2"
    return Comparison(figure.frame, caption_of(figure), table, journal.missing)


def everything(root: Path) -> None:
    for order in ("importance", "oracle", "magnitude", "random", "importance_stepwise"):
        heads(root, order)
    for seed in range(3):
        for constraint in (0.3, 0.5, 0.7):
            kwon.pruning(root, MINILM, "sst2", seed=seed, constraint=constraint, loss=(1 - constraint) / 20)
    kwon.pruning(root, MINILM, "sst2", constraint=0.5, score="magnitude", loss=0.1)
    for sparsity, seconds in ((0.6, 1900.0), (0.95, 1200.0)):
        cofi.run(root, MINILM, sparsity=sparsity, counted=sparsity, loss=0.03, seconds=seconds)
    cofi.run(root, MINILM, sparsity=0.95, counted=0.95, loss=0.08, structure="dense")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Of everything; nothing in it is to be changed."""
    root = tmp_path_factory.mktemp("everything")
    everything(root)
    return drawn(root)


def png_of_the_comparison(figure: Figure, frame: pd.DataFrame, path: Path, kinds: object) -> list[Path]:
    """What else is drawn of these runs has tests of its own."""
    return (without_pdf if path.name.startswith("compare") else only_csv)(figure, frame, path, kinds)


def test_all_methods_are_drawn_in_one_figure_and_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparison: Comparison
) -> None:
    monkeypatch.setattr(output, "save_figure", png_of_the_comparison)
    everything(tmp_path / "runs")
    result = draw_all([tmp_path / "runs"], tmp_path / "figures")
    names = {path.relative_to(tmp_path / "figures").as_posix() for path in [*result.figures, *result.table_files]}
    assert {"minilm-l6/compare_sst2.png", "minilm-l6/compare_sst2.csv", "minilm-l6/compare.md"} <= names
    frame = comparison.frame
    assert comparison.missing == []
    assert list(dict.fromkeys(frame["method"])) == [
        "prune_heads importance", "prune_heads oracle", "prune_heads magnitude", "prune_heads random",
        "prune_fisher fisher", "prune_fisher magnitude", "prune_cofi learned", "prune_cofi dense", "unpruned",
    ]  # fmt: skip
    cell = frame[(frame["method"] == "prune_fisher fisher") & (frame["asked"] == 0.5)].iloc[0]
    assert (cell["runs"], cell["value"]) == (3, pytest.approx(91.2 - 2.5))
    assert cell["macs_percent"] == pytest.approx(50, abs=0.1)
    assert cell["parameters_percent"] == pytest.approx(76.5, abs=0.1)


def test_speed_ups_are_of_the_largest_common_batch_and_heads_have_none(comparison: Comparison) -> None:
    frame = comparison.frame
    timed = frame[frame["speedup"].notna() & (frame["method"] != "unpruned")]
    assert set(timed["batch_size"]) == {1}
    assert set(timed["method"].str.split(" ").str[0]) == {"prune_fisher", "prune_cofi"}
    words = comparison.caption
    assert "Speed-up in PyTorch: batch 1, length 39 (Fisher pruning); 128 (CoFi" in words
    assert "Not timed there, so not in that panel: heads." in words
    assert "MACs: shares at length 39 (heads, Fisher pruning); 128 (CoFi" in words
    assert "compare these roughly" in words


def test_methods_without_a_common_batch_have_a_panel_each(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "sst2")
    folder = cofi.run(tmp_path, MINILM)
    path = folder / "tables" / "latency.csv"
    table = pd.read_csv(path)
    write_table(folder, "latency", table[table["batch_size"] == 128])
    [figure, _] = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(figure, Drawing)
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles[2:4] == ["(c) measured speed-up, batch 32", "(d) measured speed-up, batch 128"]


def test_seconds_are_those_of_the_whole_training_and_never_of_a_lookup(tmp_path: Path) -> None:
    everything(tmp_path)
    heads(tmp_path, "oracle", seed=1, seconds={"ablate heads": 0.01, "evaluate pruned models": 130.0})
    uneven = drawn(tmp_path)
    seconds = uneven.frame.groupby("method")["seconds"].mean()
    assert seconds["prune_cofi learned"] == 1900, "the run with the warm-up"
    assert seconds["prune_heads importance"] == 27
    assert seconds[["prune_heads oracle", "prune_heads random"]].isna().all()
    assert "Not recorded: heads by oracle, heads by weight magnitude, heads at random." in uneven.caption
    assert "at most 75 % of the MACs" in uneven.caption, "what every method with seconds reaches"


def test_times_of_other_machines_are_left_out_and_counted(tmp_path: Path) -> None:
    everything(tmp_path)
    other = cofi.run(tmp_path, MINILM, sparsity=0.75, counted=0.75, loss=0.02, seconds=60.0) / "result.json"
    other.write_text(other.read_text().replace("AMD EPYC 7B13", "NVIDIA H100"))
    others = drawn(tmp_path)
    frame = others.frame
    row = frame[(frame["method"] == "prune_cofi learned") & (frame["asked"] == 0.75)].iloc[0]
    assert math.isnan(row["speedup"]) and math.isnan(row["seconds"])
    assert row["macs_percent"] == pytest.approx(100 - 0.95 * 75)
    words = others.caption
    assert "Times measured on other machines are left out (1 of 18 runs)." in words and "NVIDIA" not in words
    assert "MACs: shares at length 39 (heads, Fisher pruning); 128 (CoFi" in others.table.caption


def test_only_runs_of_one_teacher_and_the_same_rows_are_compared(tmp_path: Path) -> None:
    heads(tmp_path, teacher=0)
    heads(tmp_path, teacher=1)
    kwon.pruning(tmp_path, MINILM, "sst2", teacher=1)
    other_rows = cofi.run(tmp_path, MINILM, teacher=1)
    path = other_rows / "result.json"
    path.write_text(path.read_text().replace('"rows": 872', '"rows": 500'))
    [runs] = comparisons(load([tmp_path], Journal()))
    assert {record.teacher_run for record in runs.records} == {"t1"}
    assert set(runs.members) == {"prune_heads", "prune_fisher"}
    assert (runs.name, runs.left) == ("sst2", 2), "heads of the other teacher, and CoFi on other rows"
    words = "Runs on other models or rows, each pruned in one way alone, are left out (2 runs)."
    drawing, _ = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(drawing, Drawing) and words in drawing.caption


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    heads(tmp_path, teacher=0)
    kwon.pruning(tmp_path, MINILM, "sst2", teacher=1)
    journal = Journal()
    assert compare.draw(Group(load([tmp_path], journal)), journal) == []
    [line] = journal.missing
    assert line.startswith("minilm-l6/compare: no two of") and line.endswith("rows on sst2")


def test_methods_that_share_no_teacher_are_no_comparison(tmp_path: Path) -> None:
    methods.run(tmp_path, MINILM, "ziplm", teacher=0)
    methods.run(tmp_path, MINILM, "random", teacher=1)
    journal = Journal()
    assert compare.draw(Group(load([tmp_path], Journal())), journal) == []
    assert len(journal.missing) == 1 and "on sst2" in journal.missing[0]
    methods.run(tmp_path, MINILM, "random", teacher=0)
    assert len(compare.draw(Group(load([tmp_path], Journal())), Journal())) == 2


def test_methods_of_compress_have_looks_of_their_own_where_nothing_else_prunes(tmp_path: Path) -> None:
    for method in ("ziplm", "random"):
        for seed in range(3):
            mark_quiet(methods.run(tmp_path, MINILM, method, seed=seed), {"search": 0.5})
    [item, _] = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(item, Drawing)
    axes = item.figure.axes
    colors = {str(line.get_label()): line.get_color() for line in axes[0].get_lines()}
    assert {name: colors[name] for name in ("ZipLM", "random")} == {
        "ZipLM": METHODS["ziplm"].color, "random": METHODS["random"].color,
    }  # fmt: skip
    assert axes[-1].get_xlabel() == "seconds of pruning, not all without other work"
    assert not item.frame["front_seconds"].any() and item.frame["front_macs_percent"].any()
    looks = looks_in(["compress ziplm", "prune_fisher fisher"])
    assert looks["compress ziplm"] == method_look("compress ziplm"), "beside another verb all have that of theirs"


def test_runs_of_another_teacher_are_a_comparison_of_their_own(tmp_path: Path) -> None:
    """Methods of `compress` on teachers that the other verbs did not prune; one of them was not run on both."""
    everything(tmp_path)
    for constraint in (0.5, 0.7):
        for method in ("ziplm", "random"):
            for teacher in (5, 6):
                methods.run(tmp_path, MINILM, method, constraint=constraint, teacher=teacher)
    methods.run(tmp_path, MINILM, "flap", teacher=6)
    heads(tmp_path, teacher=9)
    journal = Journal()
    records = load([tmp_path], journal)
    assert [runs.left for runs in comparisons(records)] == [1, 0], "told once"
    first, second, table = compare.draw(Group(records), journal)
    assert isinstance(first, Drawing) and isinstance(second, Drawing) and isinstance(table, Table)
    assert (first.name, second.name) == ("compare_sst2", "compare_sst2-2")
    own = second.frame[second.frame["method"] != "unpruned"]
    assert own.groupby("method")["teachers"].max().to_dict() == {
        "compress flap": 1, "compress random": 2, "compress ziplm": 2,
    }  # fmt: skip
    assert set(own["panel"]) == {"sst2 (2)"} and set(own["task"]) == {"sst2"}
    assert not first.frame["method"].str.startswith("compress").any() and set(first.frame["panel"]) == {"sst2"}
    assert table.frame.groupby("comparison")["method"].nunique().to_dict() == {"sst2": 8, "sst2 (2)": 3}
    assert set(table.frame["task"]) == {"sst2"}
    shown = table.display[table.display["task"].str.startswith("sst2 (2)")].set_index("method")
    assert str(shown.loc["compress: ZipLM", "at most 50 %"]).strip("*").endswith("50 %)") and len(shown) == 3
    words = "sst2 (2): on other fine-tuned models or rows than without the number."
    assert words in second.caption and words in table.caption and words not in first.caption
    printed = [text.get_text() for text in second.figure.texts]
    assert not any("Bars" in words for words in printed), "curves of one colour have none"
    [pairs] = paired_table.draw(Group(records), journal)
    assert isinstance(pairs, Table) and words in pairs.caption
    best = pairs.frame.groupby("comparison")["best"].agg(set).to_dict()
    assert set(best) == {"sst2", "sst2 (2)"}
    assert best["sst2 (2)"] == {"compress ziplm"} and not any("compress" in name for name in best["sst2"])


def test_the_table_takes_the_best_run_that_is_there_and_nothing_in_between(comparison: Comparison) -> None:
    rows = comparison.table.display.set_index("method")
    # Constraint 0.7 is the best below 75 %; below 50 % the run of 0.5 counts, not a point between 0.5 and 0.7.
    assert rows.loc["Fisher pruning", "at most 75 %"] == "**89.7 (-1.5; 70 %)**"
    assert rows.loc["Fisher pruning", "at most 50 %"] == "**88.7 (-2.5; 50 %)**"
    assert rows.loc["Fisher pruning", "at most 25 %"] == "none, fewest 30 %"
    assert rows.loc["CoFi", "at most 10 %"] == "**88.2 (-3.0; 10 %)**"
    assert rows.loc["heads by importance", "at most 50 %"] == "none, fewest 66 %"
    assert "**" not in str(rows.loc["heads by oracle", "at most 75 %"])


def test_bold_is_what_cannot_be_told_from_the_best(comparison: Comparison) -> None:
    rows = comparison.table.display.set_index("method")
    bold = {(str(method), level) for level in ("at most 75 %", "at most 50 %", "at most 10 %")
            for method, text in rows[level].items() if text.startswith("**")}  # fmt: skip
    # Bands of two points to either side: 1.5 points apart may be chance, 5 and more are not.
    assert bold == {("Fisher pruning", "at most 75 %"), ("CoFi", "at most 75 %"), ("Fisher pruning", "at most 50 %"),
                    ("CoFi", "at most 50 %"), ("CoFi", "at most 10 %")}  # fmt: skip
    assert "Bold: the best, and all that cannot be told from it: the 95 % interval" in comparison.table.caption


def test_accuracy_stands_beside_another_metric_and_nothing_alone_is_bold(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "mrpc", constraint=0.5, loss=0.01)
    cofi.run(tmp_path, MINILM, "mrpc", sparsity=0.9, counted=0.9, loss=0.02)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"accuracy": 0.76, "trivial": {"f1": 0.81, "accuracy": 0.68}, "baseline": 0.84}
        path.write_text(json.dumps(record))
    for path in tmp_path.rglob("stages.csv"):
        stages = pd.read_csv(path)
        stages.assign(accuracy=[0.79, *[0.76] * (len(stages) - 1)]).to_csv(path, index=False)
    _, table = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(table, Table)
    rows = table.display.set_index("method")
    assert set(rows["task"]) == {"mrpc (f1 84.0, accuracy 79.0)"}
    assert rows.loc["Fisher pruning", "at most 50 %"] == "**83.0 (-1.0; accuracy 76.0; 50 %)**"
    assert set(rows["one answer to all"]) == {"81.0 (accuracy 68.0)"}
    alone = str(rows.loc["CoFi", "at most 25 %"])
    assert "; accuracy 76.0; " in alone and "**" not in alone


def test_a_front_is_what_nothing_beats(comparison: Comparison) -> None:
    frame = pd.DataFrame({"value": [90.0, 90.0, 80.0, 85.0, 95.0], "cost": [50.0, 60.0, 20.0, 20.0, float("nan")]})
    assert on_front(frame, "cost").tolist() == [True, False, False, True, False]
    assert on_front(frame, "cost", more_is_better=True).tolist() == [False, True, False, False, False]
    oracle = comparison.frame[comparison.frame["method"] == "prune_heads oracle"]
    assert not oracle["front_parameters_percent"].any(), "it knows the labels that it is evaluated on"


def test_a_front_is_of_means_of_several_runs_of_one_length(tmp_path: Path) -> None:
    for seed in range(3):
        for constraint, loss in ((0.3, 0.04), (0.7, 0.01)):
            kwon.pruning(tmp_path, MINILM, "sst2", seed=seed, constraint=constraint, loss=loss)
        cofi.run(tmp_path, MINILM, seed=seed, sparsity=0.95, counted=0.95, loss=0.03)
    cofi.run(tmp_path, MINILM, sparsity=0.6, counted=0.6, loss=0.0)
    [figure, _] = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(figure, Drawing)
    front = figure.frame[figure.frame["front_parameters_percent"] == True]  # noqa: E712
    assert list(zip(front["method"], front["asked"], strict=True)) == [
        ("prune_fisher fisher", 0.7), ("prune_cofi learned", 0.95)
    ], "not the single run, however good"  # fmt: skip
    assert not figure.frame["front_macs_percent"].eq(True).any(), "CoFi's MACs are at another length"
    labels = [axes.get_xlabel() for axes in figure.figure.axes]
    assert labels[0] == "parameters that remain (%)"
    assert labels[1] == "MACs that remain (%)\nat length 39 (Fisher pruning);\n128 (CoFi and its baselines)"
    assert labels[2].startswith("measured speed-up (x)\nat length 39 (Fisher pruning);\n128 (CoFi")
    assert "Front: of mean scores of several runs, at one length." in figure.key


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    everything(tmp_path / "runs")
    found = []
    for folder in ("first", "second"):
        group = Group(load([tmp_path / "runs"], Journal()))
        paths = [path for item in compare.draw(group, Journal()) for path in item.save(tmp_path / folder)]
        found.append({path.name: path.read_bytes() for path in paths})
    assert found[0] == found[1]


def test_methods_are_called_as_on_the_cards_of_their_models() -> None:
    labels = [method_look(method)[0].label for method in (
        "prune_fisher fisher", "compress fisher", "compress kprune", "compress mine", "prune_fisher random",
        "prune_heads oracle", "prune_cofi learned", "prune_cofi fisher", "prune_cofi ziplm", "quantize trained",
    )]  # fmt: skip
    assert labels == [
        "Fisher pruning", "compress: Fisher pruning", "compress: K-prune", "compress: mine", "Fisher pruning at random",
        "heads by oracle", "CoFi", "distilled: Fisher information", "distilled: ZipLM",
        "in 8 bits, trained as long without (control)",
    ]  # fmt: skip
    assert named("fisher").cited == "by Fisher information (Fisher pruning, Kwon et al. 2022)"
    assert [one.cited for one in (named("random"), named("mine"))] == ["at random", "by mine"]


@pytest.mark.parametrize(("method", "seen"), [("flap", True), ("random", False)])
def test_a_method_that_is_no_baseline_is_in_its_panels_however_bad_it_is(
    method: str, seen: bool, tmp_path: Path
) -> None:
    for constraint in (0.3, 0.5, 0.7):
        kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, loss=(1 - constraint) / 20)
        path = methods.run(tmp_path, MINILM, method, constraint=constraint, loss=0.4) / "result.json"
        path.write_text(path.read_text().replace("sha256:cd", "sha256:ab"))  # the same rows
    figure, _ = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(figure, Drawing) and f"compress {method}" in set(figure.frame["method"])
    for axes in figure.figure.axes[1:3]:  # of MACs and speed-up
        assert (axes.get_ylim()[0] < 100 * (0.912 - 0.4) - 0.2) == seen
        names = [text.get_text() for text in axes.texts if text.get_text() != "?"]  # of times that do not say
        assert names == ["FLAP" if seen else "r\u2193"]


def test_a_name_beside_a_curve_is_not_across_the_axis(tmp_path: Path) -> None:
    for constraint in (0.3, 0.9):
        kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, loss=(1 - constraint) / 20)
    path = methods.run(tmp_path, MINILM, "flap", constraint=0.3, loss=0.02) / "result.json"
    path.write_text(path.read_text().replace("sha256:cd", "sha256:ab"))
    figure, _ = compare.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(figure, Drawing)
    axes: Any = figure.figure.axes[1]
    [name] = axes.texts
    assert (name.get_ha(), name.xyann) == ("left", (3, 3))

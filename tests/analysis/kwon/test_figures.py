"""The figures of Fisher pruning show what the records say, in the settings that they name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.catalogue.draw import draw_all
from analysis.data.averages import mean_interval
from analysis.data.groups import GENERATED, Group
from analysis.data.loading import Journal, load
from analysis.kwon import calibration, comparisons, kept, latency, latency_table, macs, seconds
from analysis.kwon import stages as kwon_stages
from analysis.kwon.runs import default_runs
from analysis.render import output
from analysis.render.output import Drawing
from tests.support.drawings import caption_of, corner_of, only_csv, without_pdf
from tests.support.records import kwon
from tests.support.records.frame import BERT, DEMO, MINILM, mark_quiet

FIGURES = [
    "kwon_calibration", "kwon_kept_demo", "kwon_labels", "kwon_latency", "kwon_latency_table", "kwon_macs",
    "kwon_scores", "kwon_seconds", "kwon_stages", "kwon_variants",
]  # fmt: skip


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def runs(root: Path) -> list[Group]:
    return default_runs([record for record in load([root], Journal()) if record.verb == "prune_fisher"])


def test_everything_is_drawn_and_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", without_pdf)
    kwon.everything(tmp_path / "runs", DEMO, "demo", scale="demo", seeds=1)
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    assert sorted({path.stem for path in drawn.figures}) == FIGURES
    for name in FIGURES:
        folder = tmp_path / "figures" / "demo"
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert not pd.read_csv(folder / f"{name}.csv").empty
    assert drawn.warnings == []
    assert drawn.missing == [
        "demo: no runs of Michel et al. 2019; run make reproduce-michel SCALE=demo",
        "demo: no runs of Xia et al. 2022; run make reproduce-cofi SCALE=demo",
    ]


def test_macs_are_the_mean_over_seeds_and_the_cheapest_within_a_point_is_marked(tmp_path: Path) -> None:
    for constraint, losses in {0.7: (0.002, 0.0, -0.002), 0.5: (0.008, 0.01, 0.011), 0.3: (0.05, 0.05, 0.05)}.items():
        for seed, loss in enumerate(losses):
            kwon.pruning(tmp_path, MINILM, seed=seed, constraint=constraint, loss=loss, remaining=constraint)
    [drawing] = macs.draw(group(tmp_path), Journal())
    frame = drawing.frame.set_index("constraint")
    half = frame.loc[0.5]
    assert (half["value"], half["change"]) == (pytest.approx(70.5 - 29 / 30), pytest.approx(-29 / 30))
    # Student's t with 2 degrees of freedom: 4.3027 * 0.15275 / sqrt(3)
    assert half["high"] - half["value"] == pytest.approx(0.37945, abs=1e-4)
    assert (half["remaining_percent"], half["runs"]) == (50, 3)
    assert frame["within_1_point"].tolist() == [False, True, True, True]
    assert frame.index[frame["marked"]].tolist() == [0.5]
    dense = frame[frame["series"] == "unpruned"].iloc[0]
    assert [dense["value"], dense["low"], dense["high"]] == pytest.approx([70.5, 68.5, 72.5])
    assert corner_of(drawing) == "mean < 1 point: 50 %"
    assert caption_of(drawing).endswith(
        "minilm-l6 (sentence-transformers/all-MiniLM-L6-v2, 6 layers x 12 heads, pretrained); "
        "trained on mnli train (24,511 rows); calibrated on mnli train (2,048 of 24,511 rows); "
        "evaluated on mnli validation (1,000 rows); teacher seed 0; run seeds 0, 1, 2; scale small."
    )


def test_exactly_one_point_lost_is_not_less_than_one_point(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, loss=0.01)
    frame = macs.curves(runs(tmp_path))
    assert not frame["marked"].any()
    [drawing] = macs.draw(group(tmp_path), Journal())
    assert corner_of(drawing) == "< 1 point: none"


def test_only_default_settings_stand_in_the_main_figure(tmp_path: Path) -> None:
    kwon.everything(tmp_path, MINILM, seeds=1)
    chosen = runs(tmp_path)[0].records
    assert len(chosen) == len(kwon.CONSTRAINTS)
    assert {record.config["calibration_examples"] for record in chosen} == {2048}


def test_a_dense_sweep_of_calibration_sizes_does_not_become_the_default(tmp_path: Path) -> None:
    for constraint in (0.5, 0.7):
        kwon.pruning(tmp_path, MINILM, constraint=constraint)
    for seed in range(4):
        kwon.pruning(tmp_path, MINILM, seed=seed, calibration_examples=4096)
    assert {record.config["calibration_examples"] for record in runs(tmp_path)[0].records} == {2048}


def test_teachers_are_compared_with_their_own_unpruned_metric(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, teacher=0, loss=0.004)
    kwon.pruning(tmp_path, MINILM, teacher=2, loss=0.006)
    row = macs.curves(runs(tmp_path)).iloc[0]
    assert (row["change"], row["teachers"]) == (pytest.approx(-0.5), 2)
    assert row["value"] == pytest.approx(70.5 + 0.4 - 0.5)


def test_a_panel_a_task_and_condition(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "sst2")
    kwon.pruning(tmp_path, MINILM, "mnli", seed=1)
    kwon.pruning(tmp_path, MINILM, "mnli", rows=500)
    panels = list(dict.fromkeys(macs.curves(runs(tmp_path))["panel"]))
    assert panels == [
        "mnli (evaluation rows=mnli/validation:1000)", "mnli (evaluation rows=mnli/validation:500)", "sst2",
    ]  # fmt: skip


def test_models_that_cannot_be_tuned_are_shown_as_such(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, tune=False)
    [drawing] = macs.draw(group(tmp_path), Journal())
    assert "Not tuned." in caption_of(drawing)
    kwon.pruning(tmp_path, MINILM, seed=1)
    assert [record.seed for record in runs(tmp_path)[0].records] == [1]


def test_latency_is_that_of_the_largest_batch_by_budget(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, loss=0.004, speedup=1.8, remaining=0.5)
    kwon.pruning(tmp_path, MINILM, loss=0.006, speedup=1.9, budget="latency")
    kwon.pruning(tmp_path, MINILM, loss=0.1, speedup=4.0, constraint=0.2)
    [drawing] = latency.draw(group(tmp_path), Journal())
    frame = drawing.frame
    assert frame["speedup"].tolist() == pytest.approx([4.0, 1.8, 1.0, 1.9, 1.0])
    assert frame["series"].tolist() == ["mac", "mac", "unpruned", "latency", "unpruned"]
    assert frame["batch_size"].dropna().tolist() == [32, 32, 32]
    assert frame["mac_speedup"][1] == pytest.approx(2.0)
    assert frame["speedup"][frame["marked"]].tolist() == pytest.approx([1.8, 1.9])
    assert isinstance(drawing, Drawing)
    macs_, latency_ = drawing.figure.axes
    assert [axes.get_title() for axes in (macs_, latency_)] == ["mnli, budget of MACs", "mnli, budget of latency"]
    thin = [[line for line in axes.lines if line.get_linewidth() == 0.6] for axes in (macs_, latency_)]
    places = [np.concatenate([np.asarray(line.get_xdata(), float) for line in lines]).tolist() for lines in thin]
    assert places == [pytest.approx([1.9]), pytest.approx([1.8, 4.0])]
    assert drawing.key.startswith("Hollow: a single run. Thin: the other budget. ?: not known. Ringed")
    rounds = "A latency is the median of its rounds, whose spread is not drawn."
    assert f"at batch 32, length 39. {rounds} AMD EPYC 7B13 (cpu), 2 threads, float32." in caption_of(drawing)


def test_no_ring_is_on_a_time_beside_other_work_or_on_a_teacher_at_chance(tmp_path: Path) -> None:
    fastest = kwon.pruning(tmp_path, MINILM, loss=0.004, speedup=1.9, remaining=0.4, constraint=0.4)
    mark_quiet(fastest, {"measure latency": 0.5})
    slower = kwon.pruning(tmp_path, MINILM, loss=0.002, speedup=1.5, remaining=0.5)
    [drawing] = latency.draw(group(tmp_path), Journal())
    assert drawing.frame["speedup"][drawing.frame["marked"]].tolist() == pytest.approx([1.5])
    mark_quiet(slower, {"measure latency": 0.5})
    [drawing] = latency.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing) and "Ringed" not in caption_of(drawing)
    assert not any("< 1 point" in text.get_text() for axes in drawing.figure.axes for text in axes.texts)
    for folder in (fastest, slower):
        record = json.loads((folder / "result.json").read_text())
        record["metrics"]["above_trivial"] = False
        (folder / "result.json").write_text(json.dumps(record))
    [drawing] = macs.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    assert not any("< 1 point" in text.get_text() for axes in drawing.figure.axes for text in axes.texts)


def test_a_ring_is_on_a_quiet_time_where_one_is_known(tmp_path: Path) -> None:
    fastest = kwon.pruning(tmp_path, MINILM, loss=0.004, speedup=1.9, remaining=0.4, constraint=0.4)
    mark_quiet(fastest, {"measure latency": None})
    slower = kwon.pruning(tmp_path, MINILM, loss=0.002, speedup=1.5, remaining=0.5)
    for share, ringed in ((0.0, 1.5), (None, 1.9)):
        mark_quiet(slower, {"measure latency": share})
        [drawing] = latency.draw(group(tmp_path), Journal())
        assert drawing.frame["speedup"][drawing.frame["marked"]].tolist() == pytest.approx([ringed])


def test_times_of_two_machines_never_share_a_figure(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, seed=0)
    kwon.pruning(tmp_path, MINILM, seed=1)
    other = kwon.pruning(tmp_path, MINILM, constraint=0.7) / "result.json"
    other.write_text(other.read_text().replace("AMD EPYC 7B13", "Fast One"))
    for module, name in ((latency, "kwon_latency"), (seconds, "kwon_seconds")):
        first, second = module.draw(group(tmp_path), Journal())
        assert (first.name, second.name) == (name, f"{name}_Fast-One-cpu-2-threads-float32")
        assert "EPYC" in caption_of(first) and "EPYC" not in caption_of(second)


def test_stages_build_on_each_other(tmp_path: Path) -> None:
    """The factory loses 3, 2.2 and 1 times as much after search, rearrangement and tuning."""
    kwon.pruning(tmp_path, MINILM, loss=0.01)
    [drawing] = kwon_stages.draw(group(tmp_path), Journal())
    frame = drawing.frame.set_index("series")
    frame = frame.loc[["search", "rearrange", "tune", "unpruned"], ["change", "value", "score"]]
    assert frame["change"].to_list() == pytest.approx([-3.0, -2.2, -1.0, 0.0])
    assert frame["value"].to_list() == pytest.approx([0.0, 0.8, 2.0, 3.0])
    assert frame["score"].to_list() == pytest.approx([67.5, 68.3, 69.5, 70.5])


def test_accuracy_beside_a_stage_is_that_of_the_stage(tmp_path: Path) -> None:
    path = kwon.pruning(tmp_path, MINILM, "mrpc", loss=0.01) / "tables" / "stages.csv"
    table = pd.read_csv(path)
    table["accuracy"] = table["stage"].map({"dense": 0.9, "search": 0.6, "rearrange": 0.7, "tune": 0.8})
    table.to_csv(path, index=False)
    [drawing] = kwon_stages.draw(group(tmp_path), Journal())
    accuracy = drawing.frame.set_index("series")["accuracy"]
    assert accuracy[["search", "rearrange", "tune"]].tolist() == pytest.approx([60, 70, 80])


def test_intervals_of_stages_are_of_differences_run_by_run(tmp_path: Path) -> None:
    """Draws that are far apart do not hide what a stage adds to each of them: 2.2 and 2 times what is lost, less 1."""
    losses = (0.01, 0.02, 0.03)
    for seed, loss in enumerate(losses):
        kwon.pruning(tmp_path, MINILM, seed=seed, loss=loss)
    [drawing] = kwon_stages.draw(group(tmp_path), Journal())
    tuned = drawing.frame.set_index("series").loc["tune"]
    low, high = mean_interval([200 * loss for loss in losses])
    assert (tuned["value"], tuned["low"], tuned["high"]) == pytest.approx((4.0, low, high))
    assert isinstance(drawing, Drawing)
    [axes] = drawing.figure.axes
    assert axes.get_title() == "mnli\nunpruned 70.5, one answer to all 35.0"
    assert axes.get_ylabel() == "accuracy, points" and "differences run by run" in drawing.key


def test_calibration_sweep_leaves_single_sizes_out(tmp_path: Path) -> None:
    for size, losses in {64: (0.03, 0.05), 2048: (0.01, 0.01)}.items():
        for seed, loss in enumerate(losses):
            kwon.pruning(tmp_path, MINILM, seed=seed, calibration_examples=size, loss=loss)
    kwon.pruning(tmp_path, MINILM, constraint=0.9)
    [drawing] = calibration.draw(group(tmp_path), Journal())
    pruned = drawing.frame[drawing.frame["series"] == "pruned"]
    assert pruned["calibration_examples"].tolist() == [64, 2048]
    assert pruned["change"].tolist() == pytest.approx([-4.0, -1.0])
    assert pruned["constraint"].unique().tolist() == [0.5]


def test_scores_are_compared_at_the_same_stage(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, loss=0.01)
    kwon.pruning(tmp_path, MINILM, loss=0.09, rearrange=False, tune=False)  # the search of the run above
    kwon.pruning(tmp_path, MINILM, loss=0.04, score="random")
    kwon.pruning(tmp_path, MINILM, "sst2")
    [drawing] = comparisons.draw_scores(group(tmp_path), Journal())
    changes = drawing.frame.set_index(["stage", "series"])["change"].to_dict()
    assert changes == pytest.approx(
        {
            ("search", "fisher"): -3.0, ("search", "random"): -12.0, ("search", "unpruned"): 0.0,
            ("tune", "fisher"): -1.0, ("tune", "random"): -4.0, ("tune", "unpruned"): 0.0,
        }
    )  # fmt: skip
    assert set(drawing.frame["panel"]) == {"mnli: mask search alone", "mnli: tuned"}
    assert "Masks are rearranged before tuning with Fisher information only." in caption_of(drawing)


def test_the_released_procedure_has_its_own_target(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, loss=0.01)
    kwon.pruning(tmp_path, MINILM, loss=0.02, variant="released", target="assistant", on_failure="stop")
    [drawing] = comparisons.draw_variants(group(tmp_path), Journal())
    tuned = drawing.frame[drawing.frame["stage"] == "tune"].set_index("series")["change"]
    assert tuned.to_dict() == pytest.approx({"paper": -1.0, "released": -2.0, "unpruned": 0.0})
    assert comparisons.draw_labels(group(tmp_path), Journal()) == []


def test_seconds_of_every_stage(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM)
    kwon.pruning(tmp_path, MINILM, constraint=0.3)
    kwon.pruning(tmp_path, MINILM, "sst2", rearrange=False, tune=False)
    frame = seconds.seconds(runs(tmp_path)).set_index("panel")
    stages = ["gradients", "search", "rearrange", "tune", "total"]
    assert frame[stages].to_numpy().ravel() == pytest.approx([18.5, 0.02, 0.6, 21.0, 40.12, 18.5, 0.02, 0, 0, 18.52])
    assert frame["runs"].to_dict() == {"mnli": 2, "sst2": 1}


def test_units_kept_are_the_mean_over_seeds(tmp_path: Path) -> None:
    for seed, left in enumerate((2, 3)):
        path = kwon.pruning(tmp_path, DEMO, seed=seed) / "tables" / "kept.csv"
        table = pd.read_csv(path)
        table.loc[(table["unit"] == "heads") & (table["layer"] == 0), "kept"] = left
        table.to_csv(path, index=False)
    [drawing] = kept.draw(group(tmp_path), Journal())
    assert drawing.name == "kwon_kept_mnli"
    first = drawing.frame[(drawing.frame["unit"] == "heads") & (drawing.frame["layer"] == 1)]
    assert first[["kept", "total", "share", "runs"]].to_numpy().tolist() == [[2.5, 4, 0.625, 2]]
    assert len(drawing.frame) == 2 * 4


def test_a_latency_table_names_machine_and_shape(tmp_path: Path) -> None:
    kwon.latency_table(tmp_path, MINILM)
    [drawing] = latency_table.draw(group(tmp_path), Journal())
    heads = drawing.frame[drawing.frame["sublayer"] == "attention"]
    assert heads["units"].tolist() == list(range(13))
    assert heads["median_ms"].iloc[-1] == pytest.approx(0.4 + 12 * 0.35)
    assert "AMD EPYC 7B13 (cpu), 2 threads, float32; batch 32, length 39." in caption_of(drawing)


def test_gaps_and_uneven_sweeps_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    root = tmp_path / "runs"
    for seed, constraint in ((0, 0.5), (1, 0.5), (0, 0.3)):
        kwon.pruning(root, MINILM, seed=seed, constraint=constraint)
    broken = kwon.pruning(root, MINILM, "sst2") / "tables"
    (broken / "stages.csv").unlink()
    (broken / "latency.csv").write_text("batch_size")
    drawn = draw_all([root], tmp_path / "figures")
    assert [line.removeprefix("minilm-l6/") for line in drawn.missing if "kwon" in line] == [
        "kwon_calibration: no sweep of calibration_examples in the 4 prune_fisher run(s)",
        "kwon_scores: only one score in the 4 prune_fisher run(s)",
        "kwon_variants: only one variant in the 4 prune_fisher run(s)",
        "kwon_labels: only one kind of labels in the 4 prune_fisher run(s)",
        "kwon_latency_table: no latency_table runs; "
        "run python -m experiments.latency_table model=minilm-l6 scale=small",
    ]
    assert "kwon_macs, mnli: constraint 0.3 has 1 of 2 runs" in drawn.warnings
    assert any("latency.csv: cut off" in line for line in drawn.warnings)
    assert any("stages.csv: missing" in line for line in drawn.warnings)
    stages = pd.read_csv(tmp_path / "figures" / "minilm-l6" / "kwon_stages.csv")
    assert set(stages["panel"]) == {"mnli"}


def test_a_latency_table_of_random_weights_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    kwon.latency_table(tmp_path / "runs", BERT | {"weights": "random"}, teacher=None)
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    assert [path.name for path in drawn.figures] == ["kwon_latency_table.csv", "kwon_latency_table.md"]
    assert drawn.tables == [] and drawn.missing == []


def test_draw_run_draws_what_one_run_can_show(tmp_path: Path) -> None:
    run = kwon.pruning(tmp_path, DEMO, "demo", scale="demo")
    paths = analysis.draw_run(run, tmp_path / "figures")
    assert {path.name for path in paths} == {
        "kwon_stages.png", "kwon_stages.csv", "kwon_kept_demo.png", "kwon_kept_demo.csv",
    }  # fmt: skip


@pytest.mark.parametrize("draw", [macs.draw, kwon_stages.draw, seconds.draw, kept.draw])
def test_a_demo_figure_cannot_be_mistaken(tmp_path: Path, draw: object) -> None:
    kwon.pruning(tmp_path, DEMO, "demo", scale="demo")
    assert callable(draw)
    [drawing] = draw(group(tmp_path), Journal())
    assert GENERATED in caption_of(drawing) and "trained from scratch" in caption_of(drawing)

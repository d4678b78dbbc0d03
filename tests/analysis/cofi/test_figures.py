"""The figures and tables of CoFi show what the records say, in the settings that they name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.catalogue.draw import draw_all
from analysis.cofi import baselines, distillation, kept, published, sparsity, speed, training
from analysis.cofi import units as cofi_units
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.render import output
from analysis.render.output import Drawing, Item, Table
from tests.support.drawings import caption_of, only_csv
from tests.support.records import cofi, michel
from tests.support.records.frame import DEMO, MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def one_table(items: list[Item]) -> Table:
    [table] = items
    assert isinstance(table, Table)
    return table


def changed(run: Path, **fields: Any) -> None:
    """Change fields of a record."""
    path = run / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_everything_is_drawn_and_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    cofi.everything(tmp_path / "runs", DEMO, "demo", scale="demo", seeds=2)
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    names = {path.stem for path in drawn.figures if not path.stem.startswith("cofi_training")}
    assert names == {"cofi_sparsity", "cofi_speed", "cofi_kept_demo"}
    assert [table.name for table in drawn.tables] == [
        "cofi_baselines", "cofi_units", "cofi_distillation", "claims_cofi", "claims_methods", "claims",
    ]  # fmt: skip
    assert drawn.warnings == []
    assert [line.split(": ")[1] for line in drawn.missing] == [
        "no runs of Michel et al. 2019; run make reproduce-michel SCALE=demo",
        "no runs of Kwon et al. 2022; run make reproduce-fisher SCALE=demo",
    ]


def test_gaps_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    run = cofi.run(tmp_path / "runs", MINILM)
    (run / "tables" / "latency.csv").unlink()
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    assert [line for line in drawn.missing if "cofi" in line] == [
        "minilm-l6/cofi_speed: no measured latency in the 1 prune_cofi run(s)",
        "minilm-l6/cofi_units: only one set of units in the 1 prune_cofi run(s)",
        "minilm-l6/cofi_distillation: only one kind of distillation in the 1 prune_cofi run(s)",
    ]
    assert any("latency.csv: missing" in line for line in drawn.warnings)


def test_runs_that_are_not_there_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    michel.timing(tmp_path / "runs", MINILM)
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    assert "minilm-l6: no runs of Xia et al. 2022; run make reproduce-cofi SCALE=small" in drawn.missing


def test_a_record_without_counted_sparsity_is_damaged(tmp_path: Path) -> None:
    changed(cofi.run(tmp_path, MINILM), sparsity={"requested": 0.9})
    journal = Journal()
    assert load([tmp_path], journal) == []
    assert journal.warnings[0].endswith("no field 'counted'")


def test_scores_stand_at_the_sparsity_that_was_counted(tmp_path: Path) -> None:
    for seed, (loss, counted) in enumerate(((0.04, 0.89), (0.05, 0.90), (0.06, 0.91))):
        cofi.run(tmp_path, MINILM, seed=seed, loss=loss, counted=counted)
    cofi.run(tmp_path, MINILM, structure="fisher", loss=0.08, counted=0.898)
    cofi.run(tmp_path, MINILM, sparsity=0.6, loss=0.01, counted=0.6, teacher=1)
    [drawing] = sparsity.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    frame: Any = drawing.frame.set_index(["series", "requested"])
    row = frame.loc[("learned", 90)]
    assert (row["counted"], row["value"], row["change"], row["runs"]) == pytest.approx((90, 86.2, -5, 3))
    # Student's t with 2 degrees of freedom: 4.3027 * 1 / sqrt(3)
    assert row["high"] - row["value"] == pytest.approx(2.4841, abs=1e-4)
    assert frame.loc[("fisher", 90), "counted"] == pytest.approx(89.8)
    assert frame.loc[("learned", 60), "value"] == pytest.approx(91.2 + 0.4 - 1)
    teacher = drawing.frame[drawing.frame["series"] == "unpruned"].iloc[0]
    assert (teacher["value"], teacher["teachers"], teacher["counted"]) == (pytest.approx(91.4), 2, 0)
    labels = [text.get_text() for text in drawing.figure.legends[0].texts]
    assert labels == ["unpruned, 95 % sampling band", "CoFi", "Fisher information", "one answer to all"]


def test_missed_targets_are_starred_and_named(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.95, counted=0.9, reached=False)
    cofi.run(tmp_path, MINILM, sparsity=0.95, counted=0.951, seed=1)
    words = "target missed (sst2, CoFi, 95 %: 1 of 2 runs)."
    for module, at in ((sparsity, 92.55), (speed, 11.45)):
        [drawing] = module.draw(group(tmp_path), Journal())
        assert f"Starred: {words}" in caption_of(drawing)
        assert isinstance(drawing, Drawing) and "Starred: target missed." in drawing.key
        stars: list[Any] = [text for text in drawing.figure.axes[0].texts if text.get_text() == "*"]
        assert [text.xy[0] for text in stars] == [pytest.approx(at)]
        hollow = [line for line in drawing.figure.axes[0].lines if line.get_markerfacecolor() == "white"]
        assert hollow == [], "two runs are no single run"
    table = one_table(baselines.draw(group(tmp_path), Journal()))
    assert table.display["gone (%)"].tolist() == ["92.5*"]
    assert f"Starred: {words}" in table.caption


def test_conditions_are_not_averaged_and_other_settings_stand_apart(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, loss=0.02)
    cofi.run(tmp_path, MINILM, seed=1, loss=0.02)
    cofi.run(tmp_path, MINILM, loss=0.05, student={"prune_epochs": 2, "select_on": "train_slice"})
    cofi.run(tmp_path, MINILM, loss=0.3, prediction_weight=0.1)
    cofi.run(tmp_path, MINILM, loss=0.4, variant="released", matching="ordered")
    cofi.run(tmp_path, MINILM, loss=0.5, units=["heads"])
    [drawing] = sparsity.draw(group(tmp_path), Journal())
    pruned = drawing.frame[drawing.frame["series"] == "learned"].set_index("panel")["change"].to_dict()
    assert pruned == pytest.approx(
        {"sst2 (student.prune_epochs=10)": -2, "sst2 (student.prune_epochs=2)": -5}
    )  # fmt: skip
    table = one_table(baselines.draw(group(tmp_path), Journal()))
    found = table.frame[table.frame["panel"] == "sst2 (student.prune_epochs=10)"].set_index("method")["change"]
    assert found.to_dict() == pytest.approx({"CoFi": -2, "CoFi, as released": -40, "CoFi, prediction_weight 0.1": -30})


def test_fields_that_older_records_lack_are_at_their_defaults(tmp_path: Path) -> None:
    run = cofi.run(tmp_path, MINILM, loss=0.02)
    config = json.loads((run / "result.json").read_text())["config"]
    changed(run, config={key: value for key, value in config.items() if key not in ("structure", "learn_from")})
    cofi.run(tmp_path, MINILM, loss=0.04, seed=1)
    [drawing] = sparsity.draw(group(tmp_path), Journal())
    assert drawing.frame["change"][0] == pytest.approx(-3)
    assert [item.name for item in training.draw(group(tmp_path), Journal())] == ["cofi_training_sst2"]


def test_choosing_on_the_evaluation_data_is_told(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, student={"select_on": "validation"})
    [drawing] = sparsity.draw(group(tmp_path), Journal())
    assert "Best weights chosen on the evaluation data, as in the paper." in caption_of(drawing)


def test_speed_is_measured_at_the_largest_batch_and_the_paper_is_overlaid(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, "mnli", loss=0.03, speedup=6.0)
    cofi.run(tmp_path, MINILM, "mrpc", loss=0.04, speedup=5.0)
    [drawing] = speed.draw(group(tmp_path), Journal())
    frame = drawing.frame
    ours: Any = frame[frame["series"] == "learned"].set_index("task")
    assert ours.loc["mnli", ["value", "score", "speedup", "batch_size", "length"]].tolist() == pytest.approx(
        [-3, 67.5, 6, 128, 128]
    )
    teacher = frame[frame["series"] == "unpruned"].iloc[0]
    assert [teacher["value"], teacher["low"], teacher["high"], teacher["speedup"]] == pytest.approx([0, -2, 2, 1])
    printed = frame[frame["series"].str.startswith("published")]
    assert set(printed["task"]) == {"mnli"}  # MRPC is published as accuracy, and ours is F1
    tiny = printed[printed["method"] == "TinyBERT4"].iloc[0]
    assert (tiny["value"], tiny["speedup"]) == (pytest.approx(-6.0), 11.4)
    assert "at batch 128, length 128, on AMD EPYC 7B13 (cpu), 2 threads, float32." in caption_of(drawing)
    assert "Published with another metric: mrpc." in caption_of(drawing)
    assert "against their own teachers: a DistilBERT6, b TinyBERT6" in caption_of(drawing)
    assert isinstance(drawing, Drawing)
    assert {axes.get_xlabel() for axes in drawing.figure.axes} == {"speed-up, each on its own machine (x)"}
    own = speed.plot(frame[frame["task"] == "mrpc"].reset_index(drop=True))
    assert [axes.get_xlabel() for axes in own.axes] == ["measured speed-up (x)"]


@pytest.mark.parametrize("module", [speed, baselines, cofi_units])
def test_times_of_two_machines_never_share_a_figure(tmp_path: Path, module: Any) -> None:
    for seed in (0, 1):
        cofi.run(tmp_path, MINILM, seed=seed)
        cofi.run(tmp_path, MINILM, seed=seed, units=["heads", "neurons"])
    for units in (["heads"], ["neurons"]) if module is cofi_units else (cofi.DEFAULT["units"],):
        other = cofi.run(tmp_path, MINILM, sparsity=0.6, units=units) / "result.json"
        other.write_text(other.read_text().replace("AMD EPYC 7B13", "Fast One"))
    first, second = module.draw(group(tmp_path), Journal())
    assert second.name == f"{first.name}_Fast-One-cpu-2-threads-float32"
    assert first.name == module.__name__.removeprefix("analysis.").replace(".", "_")


def test_published_points_are_against_their_own_teacher() -> None:
    curve, others = published.curve(), published.others()
    assert curve[curve["task"] == "mnli"]["change"].tolist() == pytest.approx([0.5, 0.1, 0, -0.5, -1.3, -2.2, -4.2])
    assert curve[curve["task"] == "rte"]["change"].tolist() == pytest.approx([2.6, -3.9])
    assert "CoFi" not in set(others["method"]) and len(others[others["task"] == "mnli"]) == 9
    assert not others["change"].isna().any()
    assert published.distillation() == pytest.approx(
        {"fixed layers": -0.675, "predictions only": -0.375, "none": -3.775}
    )
    assert set(published.METRICS) <= set(curve["task"]) | {"qqp"}


def test_units_are_compared_with_the_same_seed(tmp_path: Path) -> None:
    for seed, loss in enumerate((0.02, 0.04)):
        cofi.run(tmp_path, MINILM, sparsity=0.95, seed=seed, loss=loss, speedup=8)
    cofi.run(tmp_path, MINILM, sparsity=0.6)  # nothing to compare it with
    no_hidden = ["layers", "heads", "neurons"]
    cofi.run(tmp_path, MINILM, sparsity=0.95, seed=1, loss=0.05, speedup=9, units=no_hidden)
    cofi.run(tmp_path, MINILM, sparsity=0.3, loss=0.05, units=["heads"])
    table = one_table(cofi_units.draw(group(tmp_path), Journal()))
    frame: Any = table.frame.set_index("units")
    assert frame.index.tolist() == ["heads only", "all", "no hidden"]
    assert frame["difference"].tolist()[1:] == pytest.approx([0, -1])
    assert math.isnan(frame.loc["heads only", "difference"])
    assert frame.loc["all", "value"] == pytest.approx(88.2)
    assert frame.loc["all", "each"] == pytest.approx((89.2, 87.2))
    assert frame["paired"].tolist() == [0, 2, 1]
    assert table.display["published, MNLI / QNLI / SQuAD"].tolist() == ["", "", "-0.8 / -0.5 / -1.8"]
    assert table.display.loc[1, "score"] == "accuracy 88.2 (89.2; 87.2)", "an interval of two says nothing"
    assert "its 95 % interval (Student), of two runs both values" in table.caption
    cofi.run(tmp_path, MINILM, sparsity=0.95, seed=2, loss=0.06)
    three = one_table(cofi_units.draw(group(tmp_path), Journal())).display.loc[1]
    half = stats.t.ppf(0.975, 2) * 2 / 3**0.5
    assert three["score"] == f"accuracy 87.2 ({87.2 - half:.1f} to {87.2 + half:.1f})" and three["runs"] == "3"
    shown = table.display.iloc[2]
    assert shown[["against all", "speed-up", "score"]].tolist() == ["-1.0", "9.00 x", "accuracy 86.2"]


def test_distillation_is_told_by_source_and_matching(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, loss=0.02)
    for loss, learn_from, matching in ((0.03, "teacher", "fixed"), (0.04, "teacher", "none"), (0.05, "labels", "paper"),
                                       (0.06, "labels", "none"), (0.07, "teacher", "any")):  # fmt: skip
        cofi.run(tmp_path, MINILM, loss=loss, learn_from=learn_from, matching=matching)
    table = one_table(distillation.draw(group(tmp_path), Journal()))
    frame = table.frame.set_index("distillation")["difference"]
    assert frame.to_dict() == pytest.approx({
        "full (dynamic layers)": 0, "fixed layers": -1, "predictions only": -2, "layers only": -3, "none": -4,
        "any layers": -5,
    })  # fmt: skip
    assert table.display["against full"].tolist() == ["", "-1.0", "-2.0", "-3.0", "-4.0", "-5.0"]
    assert table.display["published at 95 %"].tolist() == ["", "-0.7", "-0.4", "", "-3.8", ""]


def test_baselines_side_by_side(tmp_path: Path) -> None:
    for seed, loss in enumerate((0.02, 0.04)):
        cofi.run(tmp_path, MINILM, seed=seed, loss=loss, counted=0.9, speedup=7)
    broken = cofi.run(tmp_path, MINILM, structure="dense", loss=0.06, counted=0.88, speedup=9)
    (broken / "tables" / "latency.csv").unlink()
    journal = Journal()
    table = one_table(baselines.draw(group(tmp_path), journal))
    assert table.display.to_dict("list") == {
        "task": ["sst2", "sst2"],
        "requested (%)": ["90", "90"],
        "method": ["CoFi", "small dense Transformer"],
        "gone (%)": ["90.0", "88.0*"],
        "MACs left (%)": ["14.5", "16.4"],
        "speed-up, batch 1": ["4.00 x", ""],
        "speed-up, batch 128": ["7.00 x", "9.00 x"],
        "score": ["accuracy 88.2 (89.2; 87.2)", "accuracy 85.2"],
        "change": ["-3.0", "-6.0"],
        "runs": ["2", "1"],
        "one answer to all": ["35.0", "35.0"],
        "accuracy": ["", ""],
    }
    assert len(journal.warnings) == 1


def test_a_structure_far_from_its_target_has_missed_it_whatever_its_record_says(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, counted=0.909)
    cofi.run(tmp_path, MINILM, structure="layers", counted=0.833)
    [drawing] = sparsity.draw(group(tmp_path), Journal())
    assert "Starred: target missed (sst2, whole layers, 90 %: 1 of 1 runs)." in caption_of(drawing)


def test_units_of_a_sublayer_that_is_gone_are_gone(tmp_path: Path) -> None:
    run = cofi.run(tmp_path, DEMO, "demo", scale="demo", sparsity=0.6)
    cofi.run(tmp_path, DEMO, "demo", scale="demo", sparsity=0.6, structure="fisher")
    path = run / "tables" / "kept.csv"
    table = pd.read_csv(path)
    table.loc[table["unit"] == "heads", "kept"] = 3
    table.loc[(table["unit"] == "self layers") & (table["layer"] == 2), "kept"] = 0
    table.to_csv(path, index=False)
    [drawing] = kept.draw(group(tmp_path), Journal())
    heads = drawing.frame[drawing.frame["unit"] == "heads"]
    assert heads["share"].tolist() == [0.75, 0.75, 0, 0.75]
    assert heads["layer"].tolist() == [1, 2, 3, 4] and heads["runs"].tolist() == [1] * 4
    assert isinstance(drawing, Drawing)
    attention = drawing.figure.axes[0]
    assert [text.get_position() for text in attention.texts if text.get_text() == "gone"] == [(0, 2)]
    assert sorted(text.get_text() for text in attention.texts) == ["75", "75", "75", "gone"], "and no 0 below it"
    assert [text.get_text() for text in attention.get_xticklabels()] == ["60\n345"]
    assert "The teacher has 384 hidden dimensions." in caption_of(drawing)
    assert '"gone": the whole sublayer. ' in drawing.key, "of a single run"


def test_shapes_of_models_that_missed_their_target_are_starred(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.95, reached=False)
    cofi.run(tmp_path, MINILM, sparsity=0.6)
    [drawing] = kept.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    assert [text.get_text() for text in drawing.figure.axes[0].get_xticklabels()] == ["60\n345", "95*\n211"]
    assert "Starred: target missed (95 %: 1 of 1 runs)." in caption_of(drawing)


def test_draw_run_draws_what_one_run_can_show(tmp_path: Path) -> None:
    run = cofi.run(tmp_path, DEMO, "demo", scale="demo", structure="random")
    paths = analysis.draw_run(run, tmp_path / "figures")
    assert {path.suffix for path in paths} == {".png", ".csv"}
    assert {path.stem for path in paths} == {"cofi_training_demo-random-in-CoFi-s-shape"}

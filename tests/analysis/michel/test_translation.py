"""Figures and tables of translation, and that no other figure takes its records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.catalogue.draw import draw_all
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.michel import (
    decoding,
    fig1b,
    fig2b,
    fig3b,
    fig4,
    fig5,
    kept_heads,
    order_agreement,
    published,
    table1,
    table2,
)
from analysis.render import output
from analysis.render.output import Drawing, Table
from analysis.render.style import GREY
from tests.support.drawings import only_csv, without_pdf
from tests.support.records import michel, translation
from tests.support.records.frame import MINILM

FIGURES = ["decoding", "fig1a", "fig2a", "fig3a", "fig4", "fig5", "kept_heads", "order_agreement"]


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def one(items: list[Drawing | Table]) -> Drawing:
    [drawing] = items
    assert isinstance(drawing, Drawing)
    return drawing


def test_everything_is_drawn_and_nothing_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", without_pdf)
    translation.everything(tmp_path / "runs")
    drawn = draw_all([tmp_path / "runs"], tmp_path / "figures")
    assert {path.parent.name for path in drawn.figures} == {"marian-small_multi30k"}
    assert sorted({path.stem for path in drawn.figures}) == FIGURES
    assert sorted({path.stem for path in drawn.table_files}) == ["claims", "claims_translation", "table1", "table2"]
    assert (drawn.missing, drawn.warnings) == ([], [])


@pytest.mark.slow
def test_encoder_and_translation_share_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the figures of BERT, nor the comparison of methods, nor what is said to be missing."""
    monkeypatch.setattr(output, "save_figure", without_pdf)
    michel.ablation(tmp_path / "runs", MINILM)
    michel.transfer(tmp_path / "runs", MINILM)
    michel.pruning(tmp_path / "runs", MINILM, "importance")
    alone = draw_all([tmp_path / "runs"], tmp_path / "alone")
    translation.ablation(tmp_path / "runs")
    translation.transfer(tmp_path / "runs")
    translation.pruning(tmp_path / "runs", kinds=["enc-enc"])
    both = draw_all([tmp_path / "runs"], tmp_path / "both")
    own = [path for path in alone.figures + alone.table_files if path.stem != "claims"]
    assert own
    for path in own:
        assert path.read_bytes() == (tmp_path / "both" / path.relative_to(tmp_path / "alone")).read_bytes()
    assert [line for line in both.missing if not line.startswith("marian-small")] == alone.missing
    assert not [line for line in both.missing if line.startswith("marian-small:")], "no other paper is missed"


def test_what_is_missing_is_told_with_a_command_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    translation.ablation(tmp_path / "runs")
    missing = draw_all([tmp_path / "runs"], tmp_path / "figures").missing
    command = "python -m experiments.transfer model=marian-small task=multi30k second=multi30k scale=small"
    assert f"marian-small_multi30k/fig2a: no transfer runs; run {command}" in missing
    translation.pruning(tmp_path / "one", kinds=["enc-dec"])
    missing = draw_all([tmp_path / "one"], tmp_path / "figures").missing
    why = "none with all kinds of attention ranked together in the 1 prune_heads run(s)"
    assert f"marian-small_multi30k/fig3a: {why}" in missing


def test_one_run_of_each_verb_is_drawn_under_the_names_of_translation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    runs = {
        "fig1a": translation.ablation(tmp_path),
        "fig2a": translation.transfer(tmp_path),
        "fig4": translation.pruning(tmp_path, kinds=["dec-dec"]),
        "fig5": translation.dynamics(tmp_path),
    }
    for name, run in runs.items():
        assert {path.stem for path in analysis.draw_run(run, tmp_path / name)} == {name}
    whole = analysis.draw_run(translation.pruning(tmp_path), tmp_path / "fig3a")
    assert {path.stem for path in whole} == {"fig3a", "kept_heads"}


def test_the_caption_counts_heads_of_three_kinds(tmp_path: Path) -> None:
    translation.ablation(tmp_path)
    assert group(tmp_path).caption.startswith(
        "marian-small (built here, 4 layers, 24 heads of three kinds of attention, trained from scratch); "
    )


def test_histogram_has_a_panel_a_kind_and_bleu_in_points(tmp_path: Path) -> None:
    translation.ablation(tmp_path)
    drawing = one(fig1b.draw(group(tmp_path), Journal(), name="fig1a"))
    titles = [axes.get_title() for axes in drawing.figure.axes]
    assert titles == [f"{name} (8 heads)" for name in
                      ("encoder self-attention", "encoder-decoder attention", "decoder self-attention")]  # fmt: skip
    heights = [sum(patch.get_path().get_extents(patch.get_patch_transform()).height for patch in axes.patches)
               for axes in drawing.figure.axes]  # fmt: skip
    assert heights[1:] == [8, 8]
    [outline] = [patch for patch in drawing.figure.axes[0].patches if not patch.get_fill()]
    assert heights[0] - outline.get_path().get_extents(outline.get_patch_transform()).height == 8
    assert (drawing.frame["source"] == "published").sum() == 96
    assert drawing.figure.axes[-1].get_xlabel() == "change of BLEU with one head removed (points)"
    assert drawing.frame["delta_points"].min() == pytest.approx(-8)


def test_bins_of_bleu_are_finer_than_a_sentence_is_of_accuracy(tmp_path: Path) -> None:
    translation.ablation(tmp_path, one_off={("enc-dec", 0, 0): -0.0031})
    [drawing] = fig1b.draw(group(tmp_path), Journal(), name="fig1a")
    assert drawing.caption.startswith("Bars are 0.05 points wide.")


def test_transfer_tells_r_of_all_heads_and_within_each_kind(tmp_path: Path) -> None:
    translation.transfer(tmp_path)
    drawing = one(fig2b.draw(group(tmp_path), Journal(), name="fig2a"))
    within = drawing.frame.groupby("kind")["pearson_r_in_kind"].first().to_dict()
    assert within == pytest.approx({"enc-enc": 1, "enc-dec": 1, "dec-dec": -1})
    first, second = drawing.frame["first_delta_points"], drawing.frame["second_delta_points"]
    assert drawing.frame["pearson_r"].iloc[0] == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert "of one corpus and so of one domain" in drawing.caption
    assert "Published: r = 0.56 (newstest2013 vs MTNT)." in drawing.caption


def test_two_corpora_are_not_called_one_domain(tmp_path: Path) -> None:
    translation.transfer(tmp_path, second="newstest2014")
    assert "one domain" not in one(fig2b.draw(group(tmp_path), Journal(), name="fig2a")).caption


def test_curves_maps_and_agreement_take_only_runs_of_all_kinds(tmp_path: Path) -> None:
    translation.pruning(tmp_path, "importance", values={0.0: 0.35, 0.5: 0.30})
    translation.pruning(tmp_path, "oracle", values={0.0: 0.35, 0.5: 0.34})
    for kind in translation.KINDS:
        translation.pruning(tmp_path, "importance", [kind], {0.0: 0.35, 0.5: 0.10})
    frame = one(fig3b.draw(group(tmp_path), Journal(), name="fig3a")).frame
    printed = frame[frame["source"] == "published"]
    assert printed[["series", "pruned_percent"]].values.tolist() == [["limit", 20]]
    half = frame[frame["share"] == 0.5].set_index("series")["value"].to_dict()
    assert half == pytest.approx({"importance": 30, "oracle": 34})
    maps = one(kept_heads.draw(group(tmp_path), Journal())).frame
    assert maps.groupby("share")["heads_kept"].sum().to_dict() == {0.0: 24, 0.5: 12}
    agreement = one(order_agreement.draw(group(tmp_path), Journal())).frame
    assert agreement["pairs"].tolist() == [1]


def test_all_kinds_by_name_are_all_kinds(tmp_path: Path) -> None:
    translation.pruning(tmp_path, kinds=list(translation.KINDS))
    translation.pruning(tmp_path, kinds=["enc-enc", "dec-dec"])
    assert one(fig3b.draw(group(tmp_path), Journal(), name="fig3a")).frame["runs"].max() == 1
    assert fig4.draw(group(tmp_path), Journal()) == []


def test_kinds_stand_in_the_papers_order(tmp_path: Path) -> None:
    translation.ablation(tmp_path)
    translation.pruning(tmp_path)
    drawing = one(kept_heads.draw(Group([r for r in group(tmp_path).records if r.verb == "prune_heads"]), Journal()))
    rows = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert rows == ["enc-enc 1", "enc-enc 2", "enc-dec 1", "enc-dec 2", "dec-dec 1", "dec-dec 2"]
    [table] = table1.draw(Group([r for r in group(tmp_path).records if r.verb == "ablate_heads"]), Journal())
    assert isinstance(table, Table) and table.display["layer"].tolist() == rows
    assert table.display.iloc[3].tolist() == ["enc-dec 2", "-.05", "-.05", "-.05", "**-8.00**‡"]
    assert (table.frame["source"] == "published").sum() == 96


def test_kind_by_kind_shows_two_orders_a_kind_and_the_unpruned_model_once(tmp_path: Path) -> None:
    for kind, low in zip(translation.KINDS, (0.30, 0.05, 0.28), strict=True):
        translation.pruning(tmp_path, "importance", [kind], {0.0: 0.35, 0.8: low})
        for seed in range(3):
            translation.pruning(tmp_path, "random", [kind], {0.0: 0.35, 0.8: low - 0.01 * seed}, seed=seed)
    translation.pruning(tmp_path, "oracle", ["enc-enc"])
    translation.pruning(tmp_path, "importance")
    drawing = one(fig4.draw(group(tmp_path), Journal()))
    frame = drawing.frame[drawing.frame["source"] != "run"]
    assert (frame["series"] == "unpruned").sum() == 1
    assert set(frame["series"]) == {"importance", "random", "unpruned", "limit"}
    assert frame.loc[frame["series"] == "limit", ["kind", "pruned_percent"]].values.tolist() == [["enc-dec", 60]]
    at = frame[frame["share"] == 0.8].set_index(["kind", "series"])
    assert at.loc[("enc-dec", "importance"), "value"] == pytest.approx(5)
    assert at.loc[("enc-dec", "random"), "value"] == pytest.approx(4)
    assert at.loc[("dec-dec", "random"), "runs"] == 3 and at.loc[("dec-dec", "random"), ["low", "high"]].notna().all()
    assert at.loc[("dec-dec", "importance"), "pruned_percent"] == pytest.approx(75)  # 6 of 8 heads
    lines = {line.get_label(): line for line in drawing.figure.axes[0].lines if "," in str(line.get_label())}
    assert len(lines) == 6
    assert {line.get_linestyle() for label, line in lines.items() if "importance" in str(label)} == {"-"}
    assert {line.get_linestyle() for label, line in lines.items() if "random" in str(label)} == {"--"}
    assert len({line.get_color() for line in lines.values()}) == 3


def test_table2_has_both_protocols_and_the_published_rows(tmp_path: Path) -> None:
    translation.ablation(tmp_path)
    [table] = table2.draw(group(tmp_path), Journal())
    assert isinstance(table, Table)
    rows = table.display.set_index("layer")
    assert list(rows.index) == [f"{kind} {layer}" for kind in translation.KINDS for layer in range(1, 7)]
    assert rows.loc["enc-dec 2"].to_dict() == {
        "head (same data)": "3", "change (same data)": "-12.00", "sig. (same data)": "yes",
        "head (other data)": "3", "change (other data)": "-15.00", "sig. (other data)": "yes",
        "published (same data)": "+0.06", "published (other data)": "+0.09",
    }  # fmt: skip
    last = rows.loc["enc-dec 6"]
    assert last["change (same data)"] == ""
    assert (last["published (same data)"], last["published (other data)"]) == ("-13.56*", "-18.89*")
    assert (table.frame["source"] == "published").sum() == 36
    assert "500 examples" in table.caption and "another model" in table.caption


def test_dynamics_are_relative_to_the_same_epoch_and_empty_without_any_bleu(tmp_path: Path) -> None:
    translation.dynamics(tmp_path)
    drawing = one(fig5.draw(group(tmp_path), Journal()))
    ours = drawing.frame[drawing.frame["source"] == "measured"]
    curves = ours[ours["series"] == "relative"]
    assert curves["value"].isna().tolist() == [True, True, False, False, False, False]
    assert curves["value"].tolist()[2:] == pytest.approx([100, 50, 100, 90])
    assert curves["metric_value"].tolist() == pytest.approx([0, 0, 20, 10, 35, 31.5])
    assert curves["pruned_percent"].tolist() == pytest.approx([0, 37.5] * 3)
    by_epoch = {name: rows.set_index("epoch")["value"].to_dict() for name, rows in ours.groupby("series")
                if name != "relative"}  # fmt: skip
    assert by_epoch["unpruned"] == pytest.approx({1: 0, 2: 20, 8: 35})
    assert by_epoch["rank_correlation"] == pytest.approx({1: 0.125, 2: 0.25, 8: 1})


def test_published_dynamics_are_grey_and_named_as_another_model(tmp_path: Path) -> None:
    translation.dynamics(tmp_path)
    drawing = one(fig5.draw(group(tmp_path), Journal()))
    printed = drawing.frame[drawing.frame["source"] == "published"]
    unpruned, late = (printed[printed["series"] == series] for series in ("unpruned", "relative"))
    assert unpruned["value"].tolist() == [3.0, 6.2, 18.1, 26.9, 30.6, 34.5, 34.7, 34.9]
    assert late[["epoch", "pruned_percent", "low", "high"]].values.tolist() == [[10, 40, 85, 90]]
    _, above, below = drawing.figure.axes
    grey = [[np.asarray(line.get_ydata()).tolist() for line in axes.lines if line.get_color() == GREY]
            for axes in (above, below)]  # fmt: skip
    assert grey == [[unpruned["value"].tolist()], []]
    assert "Grey: published, IWSLT14 De-En and another model." in drawing.caption


def test_dynamics_of_an_encoder_are_drawn_in_per_cent_and_missed_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "save_figure", only_csv)
    folder = translation.dynamics(tmp_path / "runs", model=MINILM, task="mnli")
    config = (folder / "result.json").read_text().replace('"translation": true', '"translation": false')
    (folder / "result.json").write_text(config)
    drawing = one(fig5.draw(group(tmp_path / "runs"), Journal()))
    assert "ublished" not in drawing.caption and set(drawing.frame["source"]) == {"measured"}
    missing = draw_all([tmp_path / "runs"], tmp_path / "figures").missing
    assert not [line for line in missing if "fig5" in line]


def test_later_epochs_are_darker(tmp_path: Path) -> None:
    """So that their order shows in grey print too."""
    from matplotlib.colors import to_rgb

    epochs = (1, 2, 3, 6, 10, 20, 40)
    translation.dynamics(tmp_path, {epoch: {0.0: 0.3, 0.4: 0.2} for epoch in epochs})
    left = one(fig5.draw(group(tmp_path), Journal())).figure.axes[0]
    colors = [to_rgb(line.get_color()) for line in left.lines if str(line.get_label()).startswith("epoch")]
    grey = [float(np.dot(color, (0.2126, 0.7152, 0.0722))) for color in colors]
    assert len(grey) == len(epochs) and grey == sorted(grey, reverse=True)
    assert min(-np.diff(grey)) > 0.03 and grey[0] < 0.85


def test_decoding_has_a_panel_a_batch_size_and_a_line_a_choice_of_kinds(tmp_path: Path) -> None:
    translation.decoding(tmp_path)
    drawing = one(decoding.draw(group(tmp_path), Journal()))
    titles = [axes.get_title() for axes in drawing.figure.axes]
    assert titles == ["batch 1: 100 words/s", "batch 16: 1,600 words/s"]
    lines = {line.get_label(): line.get_ydata() for line in drawing.figure.axes[1].lines}
    assert lines["all three kinds"] == pytest.approx([1.125, 1.25, 1.375])
    assert lines["encoder-decoder attention"] == pytest.approx([1.03125, 1.0625, 1.09375])
    assert len(drawing.frame) == 24 and "5 beams, 24 words from sources of 14 tokens" in drawing.caption


def test_published_translation_numbers() -> None:
    grid = published.single_heads()
    assert len(grid) == 96 and int(grid["significant"].sum()) == 8
    assert grid.sort_values("delta_points")[["layer", "head"]].iloc[0].tolist() == [1, 6]
    layers = published.best_translation_heads().set_index(["kind", "layer", "protocol"])
    assert layers.loc[("enc-dec", 6, "dev"), "delta_points"] == -13.56
    assert layers.loc[("enc-dec", 6, "train"), "delta_points"] == -18.89
    significant = layers["significant"].groupby("protocol").sum().to_dict()
    assert significant == {"dev": 5, "train": 9}
    assert published.unpruned_by_epoch()["value"].iloc[-1] == 34.9

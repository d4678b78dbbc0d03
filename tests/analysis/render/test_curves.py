"""What every figure shows of repeated and of single runs: thin lines, intervals, hollow markers, short captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.cofi import sparsity
from analysis.compare import figure as compare
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.kwon import latency, macs, seconds, stages
from analysis.michel import decoding, fig3b, fig4, fig5, table4
from analysis.render.curves import draw_series
from analysis.render.output import Drawing
from analysis.render.style import CAPTION_LINES, MORE, ORDERS, Look, add_caption, add_legend, figure_style, panel_grid
from tests.support.drawings import corner_of
from tests.support.records import cofi, kwon, michel, translation
from tests.support.records.frame import DEMO, MINILM

LOOK = Look("curve", "#0072B2", "o", "-")


def only(items: Any) -> Drawing:
    [item] = [item for item in items if isinstance(item, Drawing)]
    return item


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def rows(runs: list[int], low: float = float("nan"), high: float = float("nan"), metric: str = "bleu") -> pd.DataFrame:
    return pd.DataFrame({"x": range(len(runs)), "value": 5.0, "low": low, "high": high, "runs": runs, "metric": metric})


def height(line: Any) -> float:
    """Of a line's second point."""
    return float(np.asarray(line.get_ydata())[1])


def hollow(axes: Any) -> list[float]:
    """Places of hollow markers."""
    lines = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    return sorted(float(x) for line in lines for x in np.asarray(line.get_xdata()))


def test_single_runs_are_hollow_and_means_are_not() -> None:
    _, panels = panel_grid(3)
    for axes, runs in zip(panels, ([1, 3, 1], [1, 1, 1], [3, 3, 3]), strict=True):
        draw_series(axes, rows(runs), "x", LOOK)
    assert [hollow(axes) for axes in panels] == [[0, 2], [0, 1, 2], []]
    assert [panel.lines[0].get_label() for panel in panels] == ["curve"] * 3


@pytest.mark.parametrize(("metric", "ends"), [("bleu", (0.0, 100.0)), ("pearson", (-20.0, 100.0))])
@pytest.mark.parametrize("bars", [True, False])
def test_no_interval_leaves_the_metric(metric: str, ends: tuple[float, float], bars: bool) -> None:
    _, [axes] = panel_grid(1)
    draw_series(axes, rows([3, 3], -20, 130, metric), "x", LOOK, bars=bars)
    if bars:
        bars_drawn: list[Any] = list(axes.collections)
        segments = np.concatenate([collection.get_segments() for collection in bars_drawn])
        assert (segments[..., 1].min(), segments[..., 1].max()) == ends
    else:
        [band] = axes.collections
        heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
        assert (heights.min(), heights.max()) == ends


def test_panels_leave_no_row_nearly_empty() -> None:
    def rows_of(count: int, columns: int) -> list[int]:
        _, panels = panel_grid(count, columns=columns)
        tops = [round(float(axes.get_subplotspec().rowspan.start)) for axes in panels]  # type: ignore[union-attr]
        return [tops.count(top) for top in sorted(set(tops))]

    assert (rows_of(4, 3), rows_of(7, 4), rows_of(5, 4), rows_of(3, 4)) == ([2, 2], [4, 3], [3, 2], [3])


def test_a_legend_is_about_square() -> None:
    with figure_style():
        figure, [axes] = panel_grid(1, width=6.0)
        for number in range(5):
            axes.plot([0], [number], label=f"a curve of some length {number}")
        add_legend(figure, [axes])
        assert figure.legends[0]._ncols == 3  # type: ignore[attr-defined]


def test_sentences_that_do_not_fit_into_the_picture_stand_beside_it() -> None:
    figure = Figure(figsize=(4, 2))
    whole = f"Bars: {'word ' * 20}of 0.5. Hollow: a single run. Thin: {'word ' * 20}."
    add_caption(figure, whole)
    assert len(figure.get_supxlabel().splitlines()) == CAPTION_LINES
    assert " ".join(figure.get_supxlabel().split()) == f"Bars: {'word ' * 20}of 0.5. Hollow: a single run. {MORE}"
    assert Drawing("name", figure, pd.DataFrame(), "Beside.").caption == f"{whole} Beside."


def test_orders_of_several_runs_have_a_panel_each_with_a_line_a_run(tmp_path: Path) -> None:
    values = {0.0: 0.7, 0.5: 0.6, 1.0: 0.35}
    for order in ("importance", "oracle", "random"):
        for teacher in range(3):
            own = {share: value + 0.01 * teacher * (share > 0) for share, value in values.items()}
            michel.pruning(tmp_path, DEMO, order, teacher, values=own)
    michel.pruning(tmp_path, DEMO, "magnitude", values=values)
    drawing = only(fig3b.draw(group(tmp_path), Journal()))
    large, *small = drawing.figure.axes
    assert [axes.get_title() for axes in small] == [ORDERS[name].label for name in ("importance", "oracle", "random")]
    assert large.get_ylim() == small[0].get_ylim()
    for axes, order in zip(small, ("importance", "oracle", "random"), strict=True):
        thin = [line for line in axes.lines if line.get_linewidth() == 0.6]
        assert {to_hex(line.get_color()) for line in thin} == {ORDERS[order].color.lower()}
        assert sorted(height(line) for line in thin) == pytest.approx([60, 61, 62])
        assert [height(line) for line in axes.lines if line.get_linewidth() == 1.3] == pytest.approx([61])
    assert len(large.collections) == 0, "no band hides another"
    assert hollow(large) == [0, 50, 100], "magnitude was run once"
    assert drawing.key == (
        "Large panel: means; small panels: the runs of each order. Thin: every run, of 3 teachers; thick: the mean "
        "over teachers. Hollow: a single run."
    )
    assert [axes.get_ylabel() for axes in small] == ["accuracy (%)", "", ""]
    assert [axes.get_xlabel() for axes in small] == ["heads pruned (%)"] * 3
    assert small[0].yaxis.get_tick_params()["labelleft"] and not small[1].yaxis.get_tick_params()["labelleft"]
    each = drawing.frame[drawing.frame["source"] == "run"]
    assert each.groupby("series").size().to_dict() == {"importance": 9, "oracle": 9, "random": 9}


def test_the_runs_of_one_order_are_in_the_panel_itself(tmp_path: Path) -> None:
    for seed in range(3):
        translation.pruning(tmp_path, "random", values={0.0: 0.35, 0.5: 0.02 * seed}, seed=seed)
    translation.pruning(tmp_path, "importance", values={0.0: 0.35, 0.5: 0.3})
    drawing = only(fig3b.draw(group(tmp_path), Journal(), name="fig3a"))
    [axes] = drawing.figure.axes
    thin = [line for line in axes.lines if line.get_linewidth() == 0.6]
    assert sorted(height(line) for line in thin) == pytest.approx([0, 2, 4])
    assert drawing.frame.loc[drawing.frame["low"] < 0, "value"].size == 1, "of the interval, which is not drawn"
    assert axes.get_ylim()[0] > -5
    assert drawing.key.startswith("Thin: every draw, for one teacher; thick: their mean.")


def test_single_runs_of_every_order_are_no_runs_of_a_mean(tmp_path: Path) -> None:
    for order in ("importance", "oracle"):
        translation.pruning(tmp_path, order, values={0.0: 0.35, 0.5: 0.3})
        translation.pruning(tmp_path, "importance", ["enc-enc"], {0.0: 0.35, 0.5: 0.3})
    joint = only(fig3b.draw(group(tmp_path), Journal(), name="fig3a"))
    by_kind = only(fig4.draw(group(tmp_path), Journal()))
    for drawing, points in ((joint, 4), (by_kind, 2)):
        frame = drawing.frame[drawing.frame["source"] != "published"]
        assert set(frame["source"]) == {"measured"} and len(frame) == points + 1 and "seed" not in frame
        assert hollow(drawing.figure.axes[0]) and "Thin" not in drawing.key


def test_a_ring_on_a_single_run_says_so(tmp_path: Path) -> None:
    for seed in range(2):
        kwon.pruning(tmp_path, MINILM, seed=seed, loss=0.004, speedup=1.8)
    kwon.pruning(tmp_path, MINILM, loss=0.004, speedup=2.5, budget="latency")
    fastest, cheapest = (only(module.draw(group(tmp_path), Journal())) for module in (latency, macs))
    texts = [text.get_text() for axes in fastest.figure.axes for text in axes.texts if "point" in text.get_text()]
    assert texts == ["mean < 1 point: 1.80 x", "< 1 point: 2.50 x (1 run)"]
    words = "less than 1 point on average or in its only run (dotted: not by its interval), by the scores shown."
    assert words in fastest.key
    assert [hollow(axes) for axes in fastest.figure.axes] == [[], [pytest.approx(2.5)]]
    assert corner_of(cheapest) == "mean < 1 point: 50 %"
    assert "1 point on average (dotted: not" in cheapest.key and "single run" not in cheapest.key


def test_a_ring_is_whole_where_the_interval_is_above_the_line(tmp_path: Path) -> None:
    """Its ends are 0.248 points from the mean: half a point is surely kept, 0.8 points below it may be more than one.
    """
    for task, loss in (("mnli", 0.005), ("sst2", 0.008)):
        for seed in range(3):
            kwon.pruning(tmp_path, MINILM, task, seed=seed, loss=loss + 0.001 * (seed - 1))
    drawing = only(macs.draw(group(tmp_path), Journal()))
    rings: list[Any] = [one for axes in drawing.figure.axes for one in axes.collections
                        if isinstance(one, PathCollection)]  # fmt: skip
    assert [ring.get_linestyle()[0][1] is None for ring in rings] == [True, False]
    assert "(dotted: not by its interval)" in drawing.key


def test_an_interval_says_whether_it_is_over_draws_seeds_or_teachers(tmp_path: Path) -> None:
    for number in range(3):
        kwon.pruning(tmp_path / "draws", MINILM, "mrpc", seed=number)
        kwon.pruning(tmp_path / "teachers", MINILM, "mrpc", teacher=number)
        cofi.run(tmp_path / "draws", MINILM, "mrpc", seed=number)
    for place, module, words in (
        ("draws", macs, "Bands: 95 % interval of the mean over calibration draws."),
        ("draws", sparsity, "Bars: 95 % interval of the mean over training seeds."),
        ("teachers", macs, "Bands: 95 % interval of the mean over teachers."),
    ):
        verb = "prune_cofi" if module is sparsity else "prune_fisher"
        records = [record for record in load([tmp_path / place], Journal()) if record.verb == verb]
        assert only(module.draw(Group(records), Journal())).key.startswith(words)
    both = only(compare.draw(group(tmp_path / "draws"), Journal())).key
    assert both.startswith(
        "?: not known. Bars: 95 % interval of the mean over calibration draws (Fisher pruning); training seeds (CoFi"
    )


def test_seconds_have_their_spread_and_the_published_limit(tmp_path: Path) -> None:
    for constraint in (0.3, 0.5):
        kwon.pruning(tmp_path, MINILM, constraint=constraint)
    kwon.pruning(tmp_path, MINILM, "sst2")
    frame = seconds.seconds([Group(records) for records in _by_task(tmp_path)])
    frame.loc[frame["panel"] == "mnli", ["least", "most"]] = [10.0, 200.0]
    [axes] = seconds.plot(frame).axes
    limit = [line for line in axes.lines if str(line.get_label()).startswith("published: < 3 minutes")]
    assert [line.get_xdata()[0] for line in limit] == [180]  # type: ignore[index]
    [bars] = [collection for collection in axes.collections if len(collection.get_segments()) == 2]  # type: ignore[attr-defined]
    assert bars.get_segments()[0][:, 0].tolist() == [10, 200]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["40 s (2 runs)", "40 s (1 run)"]
    assert axes.get_xlim()[1] > 200


def _by_task(root: Path) -> list[list[Any]]:
    records = load([root], Journal())
    return [[record for record in records if record.task == task] for task in ("mnli", "sst2")]


def test_stages_are_set_apart_so_that_intervals_show(tmp_path: Path) -> None:
    for seed, loss in enumerate((0.01, 0.012, 0.014)):
        kwon.pruning(tmp_path, MINILM, seed=seed, loss=loss)
    axes = only(stages.draw(group(tmp_path), Journal())).figure.axes[0]
    lines: list[Any] = [collection for collection in axes.collections if hasattr(collection, "get_segments")]
    bars = [float(collection.get_segments()[0][0, 0]) for collection in lines]
    assert np.diff(bars) == pytest.approx([1.2]), "of two stages, over the line of the first"


def test_batch_sizes_of_decoding_share_their_axes(tmp_path: Path) -> None:
    translation.decoding(tmp_path)
    drawing = only(decoding.draw(group(tmp_path), Journal()))
    first, second = drawing.figure.axes
    assert first.get_ylim() == second.get_ylim() and first.get_xlim() == second.get_xlim()
    assert "Hollow: a single run." in drawing.key and "paired rounds" in drawing.key


def test_repeats_are_told_as_they_were(tmp_path: Path) -> None:
    folder = michel.timing(tmp_path, DEMO)
    path = folder / "tables" / "timings.csv"
    table = pd.read_csv(path)
    table["repeats"] = [100, *[5] * (len(table) - 1)]
    table.to_csv(path, index=False)
    table4_, *figures = table4.draw(group(tmp_path), Journal())
    assert "5 to 100 repeats, median" in table4_.caption
    assert all(isinstance(item, Drawing) and "repeats a cell" in item.key for item in figures)


def test_an_epoch_that_had_learnt_nothing_has_no_curve(tmp_path: Path) -> None:
    translation.dynamics(tmp_path, {1: {0.0: 0.04, 0.4: 0.043}, 2: {0.0: 0.2, 0.4: 0.19}, 8: {0.0: 0.36, 0.4: 0.34}})
    drawing = only(fig5.draw(group(tmp_path), Journal()))
    left = drawing.figure.axes[0]
    labels = [str(line.get_label()) for line in left.lines if str(line.get_label()).startswith("epoch")]
    assert labels == ["epoch 2", "epoch 8"] and left.get_ylim()[1] < 110
    curves = [line for line in left.lines if str(line.get_label()).startswith("epoch")]
    patterns = {str(vars(line)["_dash_pattern"]) for line in curves}
    assert len(patterns) == 2, "neighbours in shade have lines of their own"
    agreement = drawing.figure.axes[2]
    assert [x for line in agreement.lines for x in np.asarray(line.get_xdata())] == [1, 2], "8 is that of itself"
    assert agreement.get_ylabel() == "rank correlation\nwith epoch 8"
    assert drawing.key.endswith("Without a curve, as it had learnt next to nothing: epoch 1 (BLEU 4.0).")
    kept = drawing.frame[(drawing.frame["series"] == "relative") & (drawing.frame["epoch"] == 1)]
    assert kept["value"].tolist() == pytest.approx([100, 107.5]), "the numbers are told all the same"


def test_baselines_of_cofi_stand_beside_it_not_on_it(tmp_path: Path) -> None:
    for structure in ("learned", "fisher", "magnitude", "dense"):
        cofi.run(tmp_path, MINILM, structure=structure, counted=0.9, loss=0.02)
    axes = only(sparsity.draw(group(tmp_path), Journal())).figure.axes[0]
    places = {str(line.get_label()): float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}  # type: ignore[index,arg-type]
    assert places["CoFi"] == pytest.approx(90) and len({round(x, 3) for x in places.values()}) == len(places) == 4


def test_baselines_neither_fill_the_legend_nor_stretch_the_axis(tmp_path: Path) -> None:
    for constraint, loss in ((0.3, 0.04), (0.7, 0.0)):
        kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, loss=loss)
        for score in ("importance", "magnitude", "random"):
            kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, loss=0.03 + 10 * loss, score=score)
    for structure in ("learned", "dense", "layers"):
        cofi.run(tmp_path, MINILM, structure=structure, counted=0.9, loss=0.03)
    drawing = only(compare.draw(group(tmp_path), Journal()))
    labels = [text.get_text() for text in drawing.figure.legends[0].texts]
    assert labels == ["unpruned, 95 % sampling band", "Fisher pruning", "CoFi", "Fisher pruning's baselines",
                      "CoFi's baselines", "one answer to all"], "no front of single runs"  # fmt: skip
    parameters = drawing.figure.axes[0]
    assert parameters.get_ylim()[0] > 80, "baselines at 50 do not flatten the methods"
    letters = {text.get_text() for text in parameters.texts}
    assert {"i", "m", "r", "d", "l"} <= letters
    assert "units by i importance, m weight magnitude, r random, l whole layers, d small dense" in drawing.key

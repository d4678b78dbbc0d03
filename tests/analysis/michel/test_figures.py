"""What the figures show is what the records and the CSV files say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.catalogue.draw import Drawn, draw_all
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.michel import fig1b, fig3b, kept_heads, order_agreement, published
from tests.support.records import michel
from tests.support.records.frame import DEMO, MINILM, write_table

GRID = {0.0: 0.70, 0.5: 0.60, 1.0: 0.33}


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def shifted(by: float) -> dict[float, float]:
    return {share: value + by for share, value in GRID.items()}


def test_everything_is_drawn_as_four_files(demo_drawn: tuple[Path, Drawn]) -> None:
    folder, drawn = demo_drawn
    names = ["fig1b", "fig2b", "fig3b", "kept_heads", "order_agreement", "speed"]
    assert sorted({path.stem for path in drawn.figures}) == names
    for name in names:
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert not pd.read_csv(folder / f"{name}.csv").empty
        picture, _, words = (folder / f"{name}.md").read_text().splitlines()
        assert picture == f"![{name}]({name}.png)" and "scale demo (generated data, not a reproduction)" in words
    assert drawn.missing == [
        "demo: no runs of Kwon et al. 2022; run make reproduce-fisher SCALE=demo",
        "demo: no runs of Xia et al. 2022; run make reproduce-cofi SCALE=demo",
    ]
    assert drawn.warnings == []


def test_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    michel.ablation(tmp_path / "runs", DEMO)
    michel.timing(tmp_path / "runs", DEMO)
    first, second = (draw_all([tmp_path / "runs"], tmp_path / name) for name in ("first", "second"))
    files = [*first.figures, *first.table_files]
    assert len(files) == len(second.figures) + len(second.table_files) == 20
    for path in files:
        other = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_pruning_csv_is_what_is_drawn(demo_runs: Path, demo_drawn: tuple[Path, Drawn]) -> None:
    frame = pd.read_csv(demo_drawn[0] / "fig3b.csv")
    points = [r for r in load([demo_runs], Journal()) if r.verb == "prune_heads"]
    [drawing] = fig3b.draw(Group(points), Journal())
    lines = {line.get_label(): line.get_xydata() for line in drawing.figure.axes[0].lines}  # type: ignore[union-attr]
    rows = frame[(frame["series"] == "oracle") & (frame["source"] == "measured")]
    drawn = np.asarray(lines["oracle (single-head ablation)"])
    assert np.allclose(drawn, rows[["pruned_percent", "value"]].to_numpy(), rtol=1e-9)


def test_band_over_teachers_averages_seeds_first(tmp_path: Path) -> None:
    for teacher, shift in enumerate((-0.02, 0.0, 0.02)):
        for seed in (0, 1):
            values = shifted(shift + 0.001 * seed)
            michel.pruning(tmp_path, DEMO, "random", teacher, seed, values)
    records = load([tmp_path], Journal())
    points = fig3b.replicates(records, Journal())
    assert points is not None
    frame = fig3b.curves(records, points)
    row = frame[(frame["series"] == "random") & (frame["share"] == 0.5)].iloc[0]
    assert (row["teachers"], row["runs"]) == (3, 6)
    assert row["value"] == pytest.approx(60.05)
    # Student's t with 2 degrees of freedom: 4.3027 * 2 / sqrt(3)
    assert row["high"] - row["value"] == pytest.approx(4.9683, abs=1e-3)


def test_runs_of_single_shares_join_into_one_curve(tmp_path: Path) -> None:
    for share in (0.5, 1.0):
        values = {0.0: GRID[0.0], share: GRID[share]}
        michel.pruning(tmp_path, DEMO, "importance", values=values, config={"share": share})
    points = fig3b.replicates(load([tmp_path], Journal()), Journal())
    assert points is not None
    assert points["value"].tolist() == pytest.approx([70.0, 60.0, 33.0])


def test_one_run_has_no_band_and_the_unpruned_strip_its_own(tmp_path: Path) -> None:
    michel.pruning(tmp_path, DEMO, "importance", values=GRID)
    [drawing] = fig3b.draw(group(tmp_path), Journal())
    frame = drawing.frame
    measured = frame[frame["source"] == "measured"].set_index("series")
    assert measured.loc[["importance"], "low"].isna().all()
    strip = measured.loc["unpruned"].to_dict()
    assert [strip["value"], strip["low"], strip["high"]] == pytest.approx([70.0, 67.98, 71.98])


@pytest.mark.parametrize(("task", "shown"), [("mnli", True), ("demo", True), ("sst2", False)])
def test_published_curve_only_beside_three_way_inference(tmp_path: Path, task: str, shown: bool) -> None:
    michel.pruning(tmp_path, DEMO, "importance", values=GRID, task=task)
    [drawing] = fig3b.draw(group(tmp_path), Journal())
    labels = [line.get_label() for line in drawing.figure.axes[0].lines]  # type: ignore[union-attr]
    assert any(str(label).startswith("published: BERT-base") for label in labels) is shown


def test_histogram_has_every_head(tmp_path: Path) -> None:
    michel.ablation(tmp_path, MINILM)
    [drawing] = fig1b.draw(group(tmp_path), Journal())
    frame = drawing.frame
    assert len(frame) == 72 and frame["layer"].min() == 1 and frame["head"].max() == 12
    boxes = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in drawing.figure.axes[0].patches]  # type: ignore[union-attr]
    assert sum(box.height for box in boxes) == pytest.approx(72)


@pytest.mark.parametrize("rows", [200, 2000, 9815])
def test_histogram_edges_lie_half_way_between_possible_changes(rows: int) -> None:
    step = 100 / rows
    edges = fig1b.bin_edges(np.arange(-45, 8) * step, step)
    assert np.allclose((edges / step) % 1, 0.5)
    assert edges[0] < -45 * step and edges[-1] > 7 * step
    assert np.diff(edges).min() == pytest.approx(3 * step)
    nothing = fig1b.bin_edges(np.zeros(5), step) / step
    assert nothing == pytest.approx([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])


def test_kept_heads_is_the_mean_over_teachers(tmp_path: Path) -> None:
    for teacher in (0, 1):
        michel.pruning(tmp_path, DEMO, "importance", teacher, values=GRID)
    frame = kept_heads.counts(group(tmp_path), Journal())
    assert frame is not None
    assert frame.groupby("share")["heads_kept"].sum().tolist() == [16, 8, 0]
    assert set(frame["teachers"]) == {2}


def test_kendalls_tau_of_hand_made_orders(tmp_path: Path) -> None:
    """Of 6 pairs: the reversed order has tau -1; one swap of neighbours leaves 5 of 6 concordant, 2/3."""
    ranks = {"importance": [0, 1, 2, 3], "oracle": [3, 2, 1, 0], "magnitude": [1, 0, 2, 3]}
    for order, rank in ranks.items():
        folder = michel.pruning(tmp_path, DEMO, order, values=GRID)
        table = pd.DataFrame({"kind": "self", "layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "score": 0.5})
        write_table(folder, "scores", table.assign(rank=rank))
    frame = order_agreement.agreement(group(tmp_path), Journal())
    assert frame is not None
    taus = {(row.first, row.second): row.tau for row in frame.itertuples()}
    assert taus == pytest.approx(
        {("importance", "oracle"): -1.0, ("importance", "magnitude"): 2 / 3, ("oracle", "magnitude"): -2 / 3}
    )


def test_draw_run_draws_one_run(tmp_path: Path) -> None:
    run = michel.pruning(tmp_path, DEMO, "importance")
    paths = analysis.draw_run(run, tmp_path / "figures")
    assert {path.name for path in paths} == {"fig3b.png", "fig3b.csv", "kept_heads.png", "kept_heads.csv"}
    assert all(path.exists() for path in paths)
    assert analysis.draw_run(michel.finetune(tmp_path), tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_published_numbers() -> None:
    curves = published.pruning_curves()
    at_half = curves[(curves["order"] == "importance") & (curves["share"] == 0.5)]
    assert at_half["value"].tolist() == [81.51]
    assert published.best_single_heads()["dev"].tolist()[8] == -0.96
    assert published.speed()["gain"].tolist() == pytest.approx([0.019, 0.027, 0.175, 0.175])

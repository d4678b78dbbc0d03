"""The figure of pruning and 8 bits: means, what each alone promises, and nothing where there are no runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.quantization import quantized
from analysis.quantization.runs import averaged, usual_runs
from tests.support.records import quantization
from tests.support.records.frame import MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def test_cells_are_means_over_teachers(tmp_path: Path) -> None:
    quantization.everything(tmp_path, MINILM, beyond=0.005)
    [usual] = usual_runs(group(tmp_path).records)
    frame = averaged(usual, Journal())
    assert frame is not None and len(frame) == 15 and set(frame["series"]) > {"float32", "longer"}
    cells = frame.set_index(["series", "asked"])
    assert set(cells["runs"]) == {3}
    # teachers have 90.0, 90.1 and 90.2 %, half of the MACs costs a point, 8 bits after training 0.8, here 0.5 more
    assert cells["value"]["float32", 100.0] == pytest.approx(90.1)
    assert cells["value"]["float32", 50.0] == pytest.approx(89.1)
    assert cells["value"]["dynamic", 50.0] == pytest.approx(87.8)
    assert cells["sum"]["dynamic", 50.0] == pytest.approx(88.3)
    # more training gains 0.2 of the whole model and 0.6 of the half one, 8 bits cost 0.4 of what was trained for them
    assert cells["value"]["aware", 50.0] == pytest.approx(88.8)
    assert cells["sum"]["aware", 50.0] == pytest.approx(89.3)
    assert cells["sum"].isna()["dynamic", 100.0] and cells["sum"].isna()["float32", 50.0]
    assert cells["sum"].isna()["longer", 50.0]
    # in float32 more training leaves 89.1 + 0.6 of the half model, as fast as it was
    assert cells["value"]["longer", 50.0] == pytest.approx(89.7)
    assert cells["speedup_1"]["longer", 50.0] == cells["speedup_1"]["float32", 50.0]
    pruning = 1 / (0.1 + 0.9 * 0.5)
    assert cells["speedup_1"]["float32", 50.0] == pytest.approx(pruning)
    assert cells["speedup_32"]["aware", 50.0] == pytest.approx(2 * pruning)
    assert cells["product_32"]["aware", 50.0] == pytest.approx(2 * pruning)
    assert cells["megabytes"]["float32", 50.0] == pytest.approx(67.5)
    assert cells["megabytes"]["dynamic", 50.0] == pytest.approx(67.5 / 4)


def test_what_was_trained_for_8_bits_is_beside_its_control_alone(tmp_path: Path) -> None:
    """Claims take both losses from what as much training without 8 bits left, and so does the mark of their sum."""
    for remaining in (1.0, 0.5):
        quantization.run(tmp_path, MINILM, remaining=remaining, quantization="aware")
    quantization.run(tmp_path, MINILM, remaining=0.5, quantization="trained")
    frame = averaged(group(tmp_path), Journal())
    assert frame is not None and frame["sum"].isna().all()
    assert set(frame["series"]) == {"float32", "longer", "aware", "trained"}
    quantization.run(tmp_path, MINILM, remaining=1.0, quantization="trained")
    frame = averaged(group(tmp_path), Journal())
    assert frame is not None
    assert frame.set_index(["series", "asked"])["sum"]["aware", 50.0] == pytest.approx(89.2)


def test_a_figure_a_task(tmp_path: Path) -> None:
    quantization.everything(tmp_path, MINILM, teachers=2)
    quantization.run(tmp_path, MINILM, "sst2", share=0.5)
    drawings = quantized.draw(group(tmp_path), Journal())
    assert [drawing.name for drawing in drawings] == ["quantized_mrpc", "quantized_sst2"]
    assert "\u00d7: timed beside other work, 1 of 1 run." in drawings[1].caption
    assert "beside other work" not in drawings[0].caption and set(drawings[0].frame["series"]) == set(quantized.LOOKS)


@pytest.mark.parametrize(("other", "own"), [("aware", "dynamic"), ("dynamic", "aware")])
def test_float32_is_of_the_quiet_one_of_the_runs_that_timed_it(tmp_path: Path, other: str, own: str) -> None:
    """Whichever comes first."""
    quantization.run(tmp_path, MINILM, share=0.5, quantization=other)
    quiet = quantization.run(tmp_path, MINILM, quantization=own)
    result = json.loads((quiet / "result.json").read_text())
    result["metrics"]["speedup_pruning_batch_1"] = 1.25
    (quiet / "result.json").write_text(json.dumps(result))
    frame = averaged(group(tmp_path), Journal())
    assert frame is not None
    cell = frame.set_index("series").loc["float32"]
    assert (cell["disturbed"], cell["speedup_1"], cell["runs"]) == (0, 1.25, 1)
    assert frame.set_index("series")["disturbed"][other] == 1


def test_a_run_from_elsewhere_is_where_its_macs_are(tmp_path: Path) -> None:
    folder = quantization.run(tmp_path, MINILM, remaining=0.5, source="prune_fisher/abc")
    record = load([tmp_path], Journal())[0]
    assert record.folder == folder
    frame = averaged(Group([record]), Journal())
    assert frame is not None and set(frame["asked"]) == {50.0}


def test_nothing_comes_of_no_runs() -> None:
    assert quantized.draw(Group([]), Journal()) == []

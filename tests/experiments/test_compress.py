"""Any method from its command to its record, at the smallest size."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis.catalogue import method_rank
from analysis.compare.runs import comparisons, run_points
from analysis.compare.words import method_look
from analysis.data.loading import Journal, load
from experiments.compress import main
from prunekit.data.demo import generate
from prunekit.methods.common.method import Compression
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.registry import names
from prunekit.models import checkpoints
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.commands import TINY, composed, perform

SMALL = [*TINY, "calibration_examples=64", "batch_sizes=[2]", "repeats=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def table(folder: Path, record: dict[str, Any], name: str) -> pd.DataFrame:
    return pd.read_csv(folder / record["verb"] / record["run_id"] / "tables" / f"{name}.csv")


def masks(folder: Path, record: dict[str, Any]) -> Any:
    return json.loads((folder / record["verb"] / record["run_id"] / "masks" / "masks.json").read_text())


@pytest.mark.parametrize("score", ["fisher", "magnitude", "random"])
def test_it_is_what_prune_fisher_does(folder: Path, score: str) -> None:
    own = perform("compress", *SMALL, f"run.folder={folder}", f"method={score}")
    paper = perform("prune_fisher", *SMALL, f"run.folder={folder}", f"score={score}")
    assert masks(folder, own) == masks(folder, paper)
    for name in ("value", "baseline", "remaining_macs", "remaining_parameters", "accuracy", "trivial", "above_trivial"):
        assert own["metrics"][name] == paper["metrics"][name]
    assert own["sparsity"] == paper["sparsity"]
    columns = ["stage", "value", "macs", "parameters", "low", "high"]
    ours, theirs = table(folder, own, "stages")[columns], table(folder, paper, "stages")[columns]
    assert ours.replace("scales", "tune").equals(theirs)
    assert table(folder, own, "refit").equals(table(folder, paper, "tuning"))
    assert own["metrics"]["sublayers_refitted"] == paper["metrics"]["sublayers_tuned"]
    timed = ("gradients", "search", "rearrange", "scales")
    spent = sum(own["metrics"].get(f"seconds_{name}", 0.0) for name in timed)
    assert own["metrics"]["seconds_pruning"] == pytest.approx(spent)
    if score == "fisher":  # and the gradients were taken once for both
        assert len(list(folder.glob("cache/gradients/*"))) == 1
        assert own["metrics"]["seconds_gradients"] == paper["metrics"]["seconds_gradients"]


@pytest.mark.parametrize("name", names())
def test_a_record_of_every_method(folder: Path, name: str) -> None:
    record = perform("compress", *SMALL, f"run.folder={folder}", f"method={name}", "constraint=0.4")
    stages = table(folder, record, "stages")
    assert stages.stage.iloc[0] == "dense" and stages.achieved_macs.iloc[-1] >= 0.6
    assert record["metrics"]["method"] == name and record["config"]["method"]["name"] == name
    assert record["metrics"]["value"] == stages.value.iloc[-1]
    small = checkpoints.load(folder / "compress" / record["run_id"] / "model")
    assert cost(small, int(stages.length.iloc[0])).macs == stages.macs.iloc[-1]
    assert {item["role"] for item in record["data"]} == {"train", "evaluation", "calibration"}
    own = {"flap": "bias", "ziplm": "by the method", "kprune": "by the method"}
    assert record["metrics"]["refit"] == own.get(name, "scales")
    refit = table(folder, record, "refit")
    changed = refit[refit.status.str.startswith("tuned")]
    assert len(changed) == record["metrics"]["sublayers_refitted"] > 0
    if name == "flap":  # biases make up for units that are gone
        kept = table(folder, record, "kept").groupby("layer")[["kept", "total"]].apply(lambda own: own.kept < own.total)
        assert len(changed) == kept.sum()
    written = folder / "compress" / record["run_id"] / "tables"
    tables = {path.stem for path in written.glob("*.csv")} - {"stages", "refit", "kept", "latency"}
    assert tables == ({"levels", "search"} if name == "ziplm" else set())
    if name == "ziplm":
        more = int((changed.damping > 0.01).sum())
        assert record["metrics"]["sublayers_with_more_damping"] == more and (changed.damping >= 0.01).all()
    if name == "kprune":
        assert record["metrics"]["directions_dropped"] == 0


def test_what_ziplm_knows_of_levels_and_its_search_is_in_the_record(folder: Path) -> None:
    """Whether the levels were computed by this run or come from the cache."""
    own = [*SMALL, f"run.folder={folder}", "method=ziplm", "method.options.search_steps=6"]
    records = [perform("compress", *own, f"constraint={share}") for share in (0.37, 0.62)]
    assert len(list(folder.glob("cache/levels/*"))) == 1
    first, second = (table(folder, record, "levels") for record in records)
    assert first.equals(second)
    of_one = first[(first.layer == 0) & (first.sublayer == "ffn")]
    assert of_one.units.iloc[0] == first.units.max() and of_one.units.iloc[-1] == 0
    assert of_one.measured_error.iloc[0] == 0 and of_one.damped_error.is_monotonic_increasing
    assert of_one.measured_error.iloc[-1] == pytest.approx(1, abs=1e-5) and (first.damping == 0.01).all()
    assert (first.measured_error <= first.damped_error * (1 + 1e-5)).all()
    text = (folder / "compress" / records[0]["run_id"] / "tables" / "levels.csv").read_text()
    assert max(len(cell.lstrip("0.-")) for line in text.splitlines()[1:] for cell in line.split(",")) <= 10
    refit = table(folder, records[0], "refit").merge(first, on=["layer", "sublayer", "units"])
    assert refit.error_after.to_numpy() ** 2 == pytest.approx(refit.measured_error, rel=1e-4, abs=1e-9)
    steps = table(folder, records[0], "search")
    assert steps.best.iloc[-1] == steps.divergence.min() and steps.step.max() <= 6 and steps.accepted.iloc[0]


def test_records_are_ranked_and_compared_pair_by_pair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("fisher", "flap", "random"):
        perform("compress", *SMALL, f"run.folder={folder}", f"method={name}", "constraint=0.4")
    perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=0.4")
    capsys.readouterr()
    assert method_rank.main(["method=flap", f"source={folder}"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "at 0.4" in line or line.startswith("  against")]
    place = r"demo at 0.4: flap is [1-9] of [3-9] with accuracy \d+\.\d\d, \d+\.\d s; one answer to all: \d+\.\d"
    assert re.match(place, said[0])
    assert any(re.match(r"  against fisher \(\d+\.\d\d, \d+\.\d s\): [+-]\d+\.\d\d \([+-]", line) for line in said)
    assert method_rank.main(["method=flop", f"source={folder}"]) == 2
    told = capsys.readouterr().err
    assert "method: 'flop' has no run of compress in" in told and "did you mean 'flap'" in told

    records = [record for record in load([folder], Journal()) if record.verb in ("prune_fisher", "compress")]
    [runs] = comparisons(records)
    assert set(runs.members) == {"prune_fisher", "compress"}
    points = run_points(runs, Journal())
    assert {"compress fisher", "compress flap", "compress random", "prune_fisher fisher"} <= set(points["method"])
    assert points["seconds"].notna().all() and (points["macs_percent"] <= 80).all()
    looks = [method_look(str(method)) for method in sorted(set(points["method"]))]
    assert len({look.label for look, _ in looks}) == len(looks)


@pytest.mark.parametrize(
    ("refine", "refit", "stages"),
    [
        ("none", "weights", ["dense", "search", "weights"]),
        ("swap", "weights", ["dense", "search", "swap", "weights"]),
        ("rearrange", "bias", ["dense", "search", "rearrange", "bias"]),
        ("none", "none", ["dense", "search"]),
    ],
)
def test_stages_combine(folder: Path, refine: str, refit: str, stages: list[str]) -> None:
    record = perform("compress", *SMALL, f"run.folder={folder}", f"refine={refine}", f"refit={refit}")
    assert table(folder, record, "stages").stage.tolist() == stages
    assert (record["metrics"]["refine"], record["metrics"]["refit"]) == (refine, refit)
    assert record["sparsity"]["achieved_macs"] >= 0.5


@pytest.mark.parametrize(
    ("method", "stages"), [("ziplm", ["stitch", "search", "swap"]), ("kprune", ["search", "swap"])]
)
def test_swaps_after_a_method_that_fits_weights_itself(folder: Path, method: str, stages: list[str]) -> None:
    record = perform("compress", *SMALL, f"run.folder={folder}", f"method={method}", "refine=swap", "constraint=0.45")
    assert table(folder, record, "stages").stage.tolist() == ["dense", *stages]
    assert (record["metrics"]["refine"], record["metrics"]["refit"]) == ("swap", "by the method")
    assert record["metrics"]["seconds_swap"] > 0 and record["metrics"]["sublayers_refitted"] > 0
    kept, refit = table(folder, record, "kept"), table(folder, record, "refit")
    assert kept.kept.sum() == refit.units.sum()


def test_a_finished_run_whose_weights_are_gone_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [*SMALL, f"run.folder={folder}", "method=random", "refit=none", "constraint=0.45"]
    model = folder / "compress" / perform("compress", *own)["run_id"] / "model"
    said = {}
    for name in ("there", "gone", "again"):
        capsys.readouterr()
        perform("compress", *own, *(["run.force=true"] if name == "again" else []))
        said[name] = " ".join(capsys.readouterr().out.split())
        assert model.is_dir() == (name != "gone")
        if name == "there":
            shutil.rmtree(model)
    assert "run.force=true runs it again" in said["there"] and "weights" not in said["there"]
    assert "its weights are gone, run.force=true makes them again" in said["gone"]
    assert "finished before" not in said["again"]


@pytest.mark.parametrize(
    ("verb", "own"),
    [("compress", ["method=magnitude", "refit=none"]), ("prune_fisher", ["score=magnitude", "tune=false"])],
)
def test_a_budget_that_leaves_no_head_says_so(
    folder: Path, verb: str, own: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    kept = table(folder, perform(verb, *SMALL, f"run.folder={folder}", *own, "constraint=0.03"), "kept")
    assert kept[kept.unit == "heads"].kept.sum() == 0 < kept[kept.unit == "neurons"].kept.sum()
    assert "no head is left in any layer" in caplog.messages


def test_a_budget_of_latency(folder: Path) -> None:
    chosen = ["method=magnitude", "budget=latency", "constraint=0.8", "refit=none"]
    gone = perform("compress", *SMALL, f"run.folder={folder}", *chosen)["sparsity"]
    assert gone["requested_latency"] == pytest.approx(0.2) and gone["achieved_latency_by_table"] >= 0.2 - 1e-9
    assert "achieved_latency" in gone and "achieved_parameters_of_layers" not in gone


def test_a_budget_of_parameters_has_its_own_share_beside_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layers' matrices of 4 x 16 x 8 a head and 2 x 16 a neuron, and not the embeddings, which stay."""
    chosen = ["method=magnitude", "budget=parameters", "constraint=0.8", "refit=none"]
    record = perform("compress", *SMALL, f"run.folder={folder}", *chosen)
    kept = table(folder, record, "kept")
    weights = kept.unit.map({"heads": 512, "neurons": 32})
    left, whole = float((weights * kept.kept).sum()), float((weights * kept.total).sum())
    gone = record["sparsity"]
    assert gone["requested_parameters"] == pytest.approx(0.2) and gone["achieved_parameters"] < 0.2
    assert gone["achieved_parameters_of_layers"] == pytest.approx(1 - left / whole) and left / whole <= 0.8
    told = " ".join(capsys.readouterr().out.split())
    assert f"requested constraint=0.8 achieved parameters of the layers {left / whole:.4g} left" in told


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([1.0], "method=random leaves 1 of this model's MACs, no more than constraint=0.55 may remain"),
        ([0.0, 0.0], "method=random calls a stage 'search' as one before it is called"),
    ],
)
def test_what_a_method_promises_is_held_to_before_a_record_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stages: list[float], message: str
) -> None:
    def compress(_self: Any, problem: Problem) -> Iterator[Compression]:
        for kept in stages:
            masks = Masks.ones(describe(problem.model), torch.float32)
            yield Compression("search", Masks(masks.heads, masks.neurons * kept, masks.layers, masks.hidden))

    monkeypatch.setattr("prunekit.methods.random.Random.compress", compress)
    before = set(folder.glob("compress/*/result.json"))
    with pytest.raises(UserError, match=message):
        perform("compress", *SMALL, f"run.folder={folder}", "method=random", "constraint=0.55")
    assert set(folder.glob("compress/*/result.json")) == before


def test_only_where_rows_may_lack_labels_and_none_are_needed_is_it_another_revision() -> None:
    def revision(*overrides: str) -> int:
        return main.revision(composed("compress", *overrides))

    assert [revision("task=snli"), revision("task=snli", "method=flap")] == [1, 2]
    assert [revision("task=snli", "labels=predicted"), revision("task=mnli", "labels=predicted")] == [2, 1]
    assert [revision("method=flap", *task) for task in ([], ["task=mnli"], ["task=squad"])] == [1, 1, 1]


def test_swaps_with_their_own_refit_and_k_prune_by_macs_are_another_revision() -> None:
    def revision(*overrides: str) -> int:
        return main.revision(composed("compress", *overrides))

    assert [revision("refine=swap"), revision("refine=swap", "refit=scales"), revision("refine=none")] == [2, 1, 1]
    kprune = "method=kprune"
    assert [revision(kprune), revision(kprune, "budget=parameters"), revision("budget=parameters")] == [1, 2, 1]
    assert revision(kprune, "method.options.variant=released") == 2


def test_all_methods_draw_from_the_rows_that_have_a_label(tmp_path: Path) -> None:
    rows = pd.DataFrame(generate("train", 48))
    rows["label"] = [number % 4 - 1 for number in range(48)]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    drawn = []
    for method in ("fisher", "flap"):
        [calibration] = [item for item in perform(
            "compress", *[own for own in SMALL if not own.startswith("task.")], f"run.folder={tmp_path / 'runs'}",
            "task=files", f"task.files.train={tmp_path}/rows.csv", f"task.files.validation={tmp_path}/rows.csv",
            "task.columns=[premise,hypothesis]", "task.labels=[a,b,c]", "task.max_length=32",
            "calibration_examples=20", f"method={method}", "refit=none",
        )["data"] if item["role"] == "calibration"]  # fmt: skip
        drawn.append((calibration["rows"], calibration["rows_available"], calibration["fingerprint"]))
    assert drawn[0][:2] == (20, 36) and drawn[0] == drawn[1]


@pytest.mark.parametrize("method", ["flap", "ziplm", "kprune"])
def test_a_uniform_shape(folder: Path, method: str) -> None:
    record = perform("compress", *SMALL, f"run.folder={folder}", f"method={method}", "uniform=true")
    kept = table(folder, record, "kept")
    assert kept.groupby("unit").kept.nunique().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=flap", "refine=rearrange"], "refine: method=flap cannot use rearrange, it can use none, swap"),
        (["refine=swop"], "refine: 'swop' is unknown, did you mean 'swap'?"),
        (["+method.options.damping=1"], "method.options.damping: there is no such option of fisher, fisher has none"),
        (["budget=flops"], "budget: 'flops' is unknown"),
        (["task=demo_translation"], "translation"),
        (["method=flap", "labels=predicted"], "labels: method=flap looks at no label, use labels=gold"),
    ],
)
def test_bad_settings_are_said_before_anything_is_computed(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        main.execute(composed("compress", *SMALL, f"run.folder={tmp_path}", *overrides))
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert not list(tmp_path.glob("finetune/*")) and not list(tmp_path.glob("compress/*"))


@pytest.mark.parametrize("name", ["fisher", "kprune", "ziplm"])
def test_a_constraint_out_of_reach_says_the_range_before_anything_is_computed(folder: Path, name: str) -> None:
    before = sorted(folder.glob("cache/*/*"))
    with pytest.raises(UserError, match=r"it can go down to 0\.\d+"):
        perform("compress", *SMALL, f"run.folder={folder}", f"method={name}", "constraint=0.0001", "seed=17",
                "evaluation.examples=9")  # fmt: skip
    assert sorted(folder.glob("cache/*/*")) == before

"""Latency tables: what is measured, when it is measured again, and for whom it is refused."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.search import latency
from prunekit.stages.search.latency import attention_sublayer, ffn_sublayer, latency_table
from prunekit.support.errors import UserError
from prunekit.support.quiet import Quietness, watched_stage, watching
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, NEURONS, tiny
from tests.support.importance import made_up
from tests.support.masks import uneven_masks


@pytest.mark.parametrize(("heads", "neurons"), [(HEADS, NEURONS), (2, 7), (0, 0), (1, 0), (0, 1)])
def test_what_is_measured_is_the_layer_of_a_pruned_model(model: PreTrainedModel, heads: int, neurons: int) -> None:
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, heads:] = False
    masks.neurons[0, neurons:] = False
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(2, 5, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        first = blocks(model)[0]
        output = ffn_sublayer(first, neurons)(attention_sublayer(first, heads)(x))
        base: Any = model.base_model
        bias = [base.encoder.compute_position_bias(x)] if model.config.model_type == "mpnet" else []
        layer = blocks(prune(model, masks))[0].module(x, None, *bias)
    torch.testing.assert_close(output, layer if torch.is_tensor(layer) else layer[0], rtol=0, atol=1e-12)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_a_table_has_all_heads_and_every_stride_of_neurons(tmp_path: Path) -> None:
    table = latency_table(tiny("bert"), 2, 8, tmp_path, dtype="float64", stride=10, warmup=0, repeats=1)
    numbers = {name: [row["units"] for row in table.rows if row["sublayer"] == name] for name in ("attention", "ffn")}
    assert numbers == {"attention": [0, 1, 2, 3, 4], "ffn": [0, 1, 10, 20, 24]}
    assert all(0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"] for row in table.rows)
    assert {row["repeats"] for row in table.rows} == {20}


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_is_measured_pruned_or_not(family: str, tmp_path: Path) -> None:
    model = tiny(family, dtype=torch.float32)
    for one in (model, prune(model, uneven_masks(model))):
        table = latency_table(one, 512, 8, tmp_path, stride=NEURONS, warmup=0, repeats=1)
        assert table.model_milliseconds(one) > 0


def test_units_in_between_are_interpolated() -> None:
    model = tiny("bert")
    table = made_up(model, {0: 1, 4: 9}, {0: 1, 1: 5, 24: 28})
    assert table.milliseconds("attention", [0, 1, 3, 4]).tolist() == [1, 3, 7, 9]
    assert table.milliseconds("ffn", [0, 1, 2, 24]).tolist() == [1, 5, 6, 28]


def test_model_milliseconds_of_masks_and_of_the_pruned_model() -> None:
    model = tiny("albert")  # two physical layers, each called twice
    table = made_up(model, {0: 1, 4: 9}, {0: 2, 24: 26})
    assert table.model_milliseconds(model) == 2 * 2 * (9 + 26)
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1:] = False
    masks.neurons[1] = False
    assert table.model_milliseconds(model, masks) == 2 * (3 + 26) + 2 * (9 + 2)


def test_a_table_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def measured(model: Any, subject: latency.Subject, *how: Any) -> latency.LatencyTable:
        calls.append(1)
        row = {"sublayer": "ffn", "units": 24, "median_ms": float(len(calls))}
        return latency.LatencyTable(subject, (row,), Quietness(during=0.1 * len(calls), cpus=2))

    monkeypatch.setattr(latency, "_measured", measured)
    model = tiny("bert")
    first = latency_table(model, 2, 8, tmp_path)
    with watching(0), watched_stage() as watched:
        assert latency_table(tiny("bert", initializer_range=0.5), 2, 8, tmp_path) == first  # weights do not matter
    assert watched.quiet == first.quiet == Quietness(during=0.1, cpus=2)  # as it was when it was measured
    assert len(calls) == 1
    others = [
        latency_table(model, 3, 8, tmp_path), latency_table(model, 2, 9, tmp_path),
        latency_table(model, 2, 8, tmp_path, dtype="bfloat16"), latency_table(model, 2, 8, tmp_path, stride=8),
        latency_table(tiny("bert", intermediate_size=20), 2, 8, tmp_path),
        latency_table(model, 2, 8, tmp_path, fresh=True),
    ]  # fmt: skip
    assert [table.rows[0]["median_ms"] for table in others] == [2, 3, 4, 5, 6, 7]
    assert latency_table(model, 2, 8, tmp_path) == others[-1]
    for path in (tmp_path / "cache" / "latency").glob("*.json"):
        path.write_text(path.read_text()[:30])
    assert latency_table(model, 2, 8, tmp_path).rows[0]["median_ms"] == 8  # damaged ones are measured again
    assert not list((tmp_path / "cache" / "latency").glob(".*.tmp"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"device_name": "Other CPU"}, "device_name is 'Other CPU' there and '.*' here"),
        ({"threads": 99}, r"threads is 99 there and \d+ here"),
        ({"neurons": 3072}, "neurons is 3072 there and 24 here"),
        ({"hidden": 768, "family": "roberta"}, "family is 'roberta' there and 'bert' here, hidden is 768"),
    ],
)
def test_a_table_of_something_else_is_refused(change: dict[str, Any], told: str) -> None:
    model = tiny("bert")
    table = made_up(model, {0: 1, 4: 9}, {0: 1, 24: 25})
    other = dataclasses.replace(table, subject=dataclasses.replace(table.subject, **change))
    table.check_fits(model)
    with pytest.raises(UserError, match=f"latency table: it was measured on something else .*{told}"):
        other.check_fits(model)


@pytest.mark.parametrize("name", ["batch_size", "length", "stride"])
def test_sizes_must_be_positive(name: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"batch_size": 1, "length": 1, "stride": 1, name: 0}
    with pytest.raises(UserError, match=f"{name}: 0 must be at least 1"):
        latency_table(tiny("bert"), sizes["batch_size"], sizes["length"], tmp_path, stride=sizes["stride"])


def test_medians_come_from_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum(np.tile([0.001, 0.003], 5000)))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    table = latency_table(tiny("bert"), 512, 8, tmp_path, stride=12, warmup=1, repeats=3)
    assert {round(row["median_ms"], 9) for row in table.rows} == {3.0}


def test_of_several_calls_in_a_row_each_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU is timed: medians and quartiles are of one call."""
    clock = iter(np.cumsum(np.tile([0.001, 0.003], 5000)))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    model = tiny("bert")
    table = latency._measured(model, latency.Subject.of(model, 512, 8, "float64"), 24, 0, 1, 4)
    assert {round(row[name], 9) for row in table.rows for name in ("median_ms", "low_ms", "high_ms")} == {0.75}

"""What is timed: as many rounds as small inputs need, and the same tokens for all models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prunekit.evaluation import speed
from prunekit.evaluation.speed import decoding_calls, forward_calls, rounds
from prunekit.support.timing import Timing
from tests.support.families import tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("batch_size", "length", "times"),
    [(1, 1, 20), (1, 204, 20), (1, 205, 19), (2, 128, 16), (1, 2048, 2), (2, 2048, 1), (1, 4096, 1), (64, 512, 1)],
)
def test_small_inputs_have_more_rounds(batch_size: int, length: int, times: int) -> None:
    """Tokens of about 4,096 in all, and at most 20 times as many rounds."""
    assert rounds(3, batch_size, length) == 3 * times


def test_latency_rows_have_their_own_number_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def timed(calls: dict[str, Any], *, warmup: int, repeats: int) -> dict[str, Timing]:
        asked.append((warmup, repeats))
        return {name: Timing((0.002, 0.004, 0.009)) for name in calls}

    monkeypatch.setattr(speed, "interleaved", timed)
    model = tiny("bert", dtype=torch.float32)
    found = speed.latency_rows(model, model, [1, 16, 100], 8, repeats=5, device=CPU)
    assert asked == [(2, 100), (2, 20), (2, 5)]  # 512 tokens and more are timed as often as asked for
    assert [(row["batch_size"], row["length"]) for row in found] == [(1, 8), (16, 8), (100, 8)]
    assert {(row["dense_ms"], row["pruned_ms"], row["speedup"]) for row in found} == {(4.0, 4.0, 1.0)}


class Seen:
    """A model that keeps what it is asked about."""

    def __init__(self, vocabulary: int) -> None:
        self.config, self.inputs = SimpleNamespace(vocab_size=vocabulary), list[Tensor]()

    def __call__(self, input_ids: Tensor) -> None:
        assert torch.is_inference_mode_enabled()
        self.inputs.append(input_ids)


def test_models_read_the_same_tokens_that_all_of_them_have() -> None:
    one, other = Seen(9), Seen(1000)
    calls = forward_calls({"one": one, "other": other}, 50, 40, CPU)
    for call in (*calls.values(), *calls.values()):
        call()
    assert [len(model.inputs) for model in (one, other)] == [2, 2]
    assert all(torch.equal(ids, one.inputs[0]) for ids in (*one.inputs, *other.inputs))
    assert one.inputs[0].shape == (50, 40)
    assert set(one.inputs[0].unique().tolist()) == {5, 6, 7, 8}  # the first five are of no word


def test_models_read_all_that_their_graphs_take() -> None:
    """As they are served: no token is padding, all are of the first sentence."""
    read: list[dict[str, Tensor]] = []

    class Model:
        config = SimpleNamespace(vocab_size=9)

        def __call__(self, **inputs: Tensor) -> None:
            read.append(inputs)

    names = ("input_ids", "attention_mask", "token_type_ids")
    for call in forward_calls({"one": Model(), "other": Model()}, 3, 4, CPU, names=names).values():
        call()
    assert [tuple(inputs) for inputs in read] == [names, names]
    assert all(inputs[name].shape == (3, 4) for inputs in read for name in names)
    assert all(bool((inputs["attention_mask"] == 1).all()) for inputs in read)
    assert not any(bool(inputs["token_type_ids"].any()) for inputs in read)


def test_every_translation_is_as_long_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[dict[str, Any]] = []
    read: list[dict[str, Tensor]] = []

    class Parts:
        def __init__(self, model: Any) -> None:
            self.name = model.name

        def read(self, batch: dict[str, Tensor]) -> str:
            read.append(batch)
            return f"sources of {self.name}"

    def search(parts: Parts, sources: str, **how: Any) -> None:
        searches.append({"name": parts.name, "sources": sources, **how})

    monkeypatch.setattr(speed, "Seq2Seq", Parts)
    monkeypatch.setattr(speed, "beam_search", search)
    models: Any = {
        name: SimpleNamespace(name=name, config=SimpleNamespace(vocab_size=size)) for name, size in (("a", 7), ("b", 9))
    }
    for call in decoding_calls(models, 30, 20, 11, 4, CPU).values():
        call()
    how = {"beams": 4, "longest": 11, "endless": True}
    assert searches == [{"name": name, "sources": f"sources of {name}", **how} for name in ("a", "b")]
    assert all(torch.equal(batch["input_ids"], read[0]["input_ids"]) for batch in read)
    assert set(read[0]["input_ids"].unique().tolist()) == {5, 6} and read[0]["input_ids"].shape == (30, 20)
    assert bool((read[0]["attention_mask"] == 1).all()) and read[0]["attention_mask"].shape == (30, 20)

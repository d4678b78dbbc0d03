"""Derivatives from a sublayer on against those of the whole model, and its features row by row."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

from prunekit.data.batches import Batch
from prunekit.data.kinds import example_losses
from prunekit.models.blocks import Block, blocks
from prunekit.stages.refit.residual_refit import ResidualStreams
from prunekit.stages.score.gradients import mask_gradients
from prunekit.stages.score.knowledge import derivatives_and_squares, divergences
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, LAYERS, labelled_batches, one_by_one, tiny

PLACES = [f"{layer}.{sublayer}" for layer in range(LAYERS) for sublayer in ("attention", "ffn")]


def found_from(model: PreTrainedModel, at: int, losses: Any = example_losses) -> dict[str, tuple[Tensor, Tensor]]:
    """From PLACES[at] on, the hidden states brought there by unchanged layers."""
    with ExitStack() as files, torch.no_grad():
        streams = ResidualStreams(model, labelled_batches(model), 20, files)
        for place in PLACES[:at]:
            layer, sublayer = place.split(".")
            streams.advance(sublayer, blocks(model)[int(layer)])
        layer, sublayer = PLACES[at].split(".")
        behind = zip(streams.batches, streams.states(), strict=True)
        return derivatives_and_squares(model, behind, losses, layer=int(layer), sublayer=sublayer)


def features_of_rows(model: PreTrainedModel, batches: list[Batch]) -> dict[str, Tensor]:
    """What goes into each projection, (token, feature), row by row."""
    seen: dict[str, list[Tensor]] = {place: [] for place in PLACES}

    def watch(block: Block, sublayer: str, projection: Any) -> Any:
        keep = seen[f"{block.layer}.{sublayer}"]
        return projection.register_forward_pre_hook(lambda _module, inputs: keep.append(inputs[0][0]))

    hooks = [
        watch(block, sublayer, projection)
        for block in blocks(model)
        for sublayer, projection in (("attention", block.o), ("ffn", block.ffn_out))
    ]
    with torch.no_grad():
        for row in one_by_one(batches):
            model(**{name: row[name] for name in row if name not in ("index", "labels") and "positions" not in name})
    for hook in hooks:
        hook.remove()
    return {place: torch.cat(rows) for place, rows in seen.items()}


def assert_those_of_the_whole(model: PreTrainedModel, at: int) -> None:
    whole: UnitTensors = mask_gradients(model, labelled_batches(model))
    features = features_of_rows(model, labelled_batches(model))
    found = found_from(model, at)
    assert list(found) == PLACES[at:]
    for place, (derivatives, squares) in found.items():
        layer, sublayer = place.split(".")
        expected = (whole.heads if sublayer == "attention" else whole.neurons)[:, int(layer)]
        torch.testing.assert_close(derivatives, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(squares, features[place].square().mean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("family", [one for one in FAMILY_NAMES if one != "albert"])
def test_those_of_the_whole_model_in_every_family(family: str) -> None:
    assert_those_of_the_whole(tiny(family), 3)


@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_from_any_sublayer(at: int) -> None:
    assert_those_of_the_whole(tiny("bert"), at)


def test_places_of_an_answer() -> None:
    assert_those_of_the_whole(tiny("roberta", head=AutoModelForQuestionAnswering, num_labels=2), 2)


@pytest.mark.parametrize("kind", ["places", "tags"])
def test_outputs_on_another_device_than_the_batch(kind: str) -> None:
    """The meta device stands for a GPU, which refuses operands of the CPU as well."""
    mask = torch.ones(2, 5, dtype=torch.long)
    whole = torch.randn(2, 5) if kind == "places" else torch.randn(2, 5, 3)
    names = ("start_logits", "end_logits") if kind == "places" else ("logits",)
    batch = {"attention_mask": mask, "labels": mask} | {f"whole_{name}": whole for name in names}
    output = SimpleNamespace(**{name: whole.to("meta") for name in names})
    assert divergences(output, batch, 2.0).device.type == "meta"


def test_example_that_is_not_finite_is_named() -> None:
    def losses(output: Any, batch: Batch) -> Tensor:
        return example_losses(output, batch).masked_fill(batch["index"] == 5, torch.nan)

    with pytest.raises(UserError, match=r"knowledge: loss or gradients of example 5 \(from 0\) are not finite"):
        found_from(tiny("bert"), 4, losses)

"""Wrapped, compiled, quantised and adapted models are refused by every entry, with the way out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import prunekit
from prunekit.support.errors import UserError
from tests.support.entries import entries, refused
from tests.support.families import tiny


class LoraLinear(nn.Module):
    """As peft puts it in place of a linear layer."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base_layer.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, base_layer.out_features, bias=False)})
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.weight, self.bias = base_layer.weight, base_layer.bias


class PeftLike(nn.Module):
    """As peft's model is: what it lacks it takes from the model inside."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.base_model = model
        self.config, self.peft_config = model.config, model.config

    def merge_and_unload(self) -> Any:
        return self.base_model


def put(path: str, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def changed(model: Any) -> Any:
        model.set_submodule(path, make(model.get_submodule(path)))
        return model

    return changed


def compiled(model: Any) -> Any:
    model.compile(backend="eager")
    return model


def quantised(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


class Packed(torch.Tensor):
    """As libraries of quantisation and of sharding have them: a number of it is not one of the model."""


def stored_as(kind: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    def change(model: Any) -> Any:
        dense = model.bert.encoder.layer[1].output.dense
        dense.weight = nn.Parameter(kind(dense.weight.detach()), requires_grad=False)
        return model

    return change


def bottleneck(model: Any) -> Any:
    model.bert.encoder.layer[1].output.adapter = nn.Linear(16, 2)
    return model


def masked(model: Any) -> Any:
    prune.l1_unstructured(model.bert.encoder.layer[1].intermediate.dense, "weight", 0.5)
    return model


def parametrised(model: Any) -> Any:
    parametrize.register_parametrization(model.bert.encoder.layer[1].intermediate.dense, "weight", nn.Identity())
    return model


QUERY = "bert.encoder.layer.2.attention.self.query"
WRAPPED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "peft": (PeftLike, r"PeftLike: adapters that are not merged; give what model.merge_and_unload\(\) returns"),
    "lora": (
        put(QUERY, LoraLinear),
        rf"{QUERY} is an adapter that is not merged; give what peft's model.merge_and_unload",
    ),
    "lora in the head": (put("classifier", LoraLinear), "classifier is an adapter that is not merged"),
    "bottleneck": (
        bottleneck,
        "bert: layer 1 has output.adapter.weight, which is not part of this family; merge adapters",
    ),
    "data parallel": (nn.DataParallel, "DataParallel: a wrapper around the model; give the model inside, model.module"),
    "torch.compile": (
        lambda model: torch.compile(model, backend="eager"),
        "already compiled.*model._orig_mod, and compile",
    ),
    "compiled in place": (compiled, "already compiled, gates would have no effect; give the model before"),
    "a compiled layer": (
        put("bert.encoder.layer.1", partial(torch.compile, backend="eager")),
        "bert.encoder.layer.1 is already compiled",
    ),
    "quantised": (
        quantised,
        "bert.encoder.layer.0.attention.self.query is quantised or split; give the model in float",
    ),
    "whole numbers": (
        stored_as(lambda weight: weight.to(torch.int8)),
        "bert.encoder.layer.1.output.dense.weight is quantised or split; give the model in floating point",
    ),
    "packed numbers": (
        stored_as(lambda weight: weight.as_subclass(Packed)),
        "bert.encoder.layer.1.output.dense.weight is quantised or split; give the model in floating point",
    ),
    "masked by torch": (masked, "bert: layer 1 has intermediate.dense.weight_orig, which is not part"),
    "parametrised": (parametrised, "bert: layer 1 has a ParametrizedLinear in place of a linear layer"),
    "half a model": (lambda model: model.bert.encoder, "BertEncoder: no model of transformers"),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrapped_models_are_refused(wrapper: str) -> None:
    wrap, message = WRAPPED[wrapper]
    model = wrap(tiny("bert", dtype=torch.float32))
    for entry in entries():
        refused(entry, model, message)


@pytest.mark.slow
def test_gates_act_on_what_is_compiled_after_them() -> None:
    model = tiny("bert")
    batch = {"input_ids": torch.arange(2, 10)[None]}
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][:, 1] = False
    with torch.no_grad(), prunekit.gated(model, masks):
        expected = model(**batch).logits
        found = torch.compile(model, backend="eager")(**batch).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert not torch.allclose(model(**batch).logits, expected)
    prunekit.describe(model)


def test_nothing_is_refused_on_what_only_changes_numbers() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        prunekit.describe(tiny("bert", dtype=dtype).train().requires_grad_(False))


def test_the_error_is_a_user_error_for_what_is_no_model() -> None:
    for nothing in (None, "bert", nn.Linear(2, 2)):
        with pytest.raises(UserError, match="no model of transformers"):
            prunekit.describe(nothing)  # type: ignore[arg-type]

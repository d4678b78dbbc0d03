"""Models that are not what the table describes although they look like it: wrapped, compiled, quantised, with adapters.

Gates would have no effect on them, and surgery would leave out what a wrapper adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from prunekit.models.empty_sublayers import BiasOnly, FirstFeature, SkippedNorm
from prunekit.support.errors import UserError

PLAIN: tuple[type, ...] = (Tensor,)
"""Types of weights; of any other kind may compute in their own way."""


def check_wrappers(model: object) -> None:
    """Refuse a model inside another module, or with modules that compute in their own way.

    Raises:
        UserError: says how to come to a model that can be pruned.
    """
    name = type(model).__name__
    if hasattr(model, "_orig_mod"):
        raise UserError(
            f"{name}: already compiled, gates would have no effect; give the model inside, model._orig_mod, and "
            "compile it after gating or pruning"
        )
    if hasattr(model, "merge_and_unload") or (hasattr(model, "peft_config") and not isinstance(model, PreTrainedModel)):
        raise UserError(f"{name}: adapters that are not merged; give what model.merge_and_unload() returns")
    if isinstance(model, nn.Module) and isinstance(getattr(model, "module", None), nn.Module):
        raise UserError(f"{name}: a wrapper around the model; give the model inside, model.module")
    if not isinstance(model, PreTrainedModel):
        raise UserError(f"{name}: no model of transformers; give one that prunekit.load or from_pretrained returns")
    for path, module in model.named_modules():  # of every module, each time that a model is gated: it has to be quick
        what = f"{name}: {path or 'it'} is"
        if module._compiled_call_impl is not None or "_orig_mod" in module._modules:
            raise UserError(
                f"{what} already compiled, gates would have no effect; give the model before it is compiled, "
                "and compile it after gating or pruning"
            )
        if "base_layer" in module._modules or any("lora_" in key for key in (*module._modules, *module._parameters)):
            raise UserError(f"{what} an adapter that is not merged; give what peft's model.merge_and_unload() returns")
        if "modules_to_save" in module._modules:
            raise UserError(f"{what} wrapped by peft; give what its model.merge_and_unload() returns")
        if "quantized" in type(module).__module__:
            raise _quantised(what)
        for key, parameter in module._parameters.items():
            if parameter is not None and (type(parameter.data) not in PLAIN or not parameter.is_floating_point()):
                raise _quantised(f"{name}: {f'{path}.{key}'.lstrip('.')} is")


def _quantised(what: str) -> UserError:
    return UserError(f"{what} quantised or split; give the model in floating point, and quantise it after pruning")


def check_layers(blocks: Sequence[Any], family: str) -> None:
    """Refuse layers with other modules or weights than the row of their family has.

    Args:
        blocks: all sublayers of a model.

    Raises:
        UserError: names the first module or weight.
    """
    described: dict[nn.Module, set[int]] = {}
    for block in blocks:
        linear: tuple[Any, ...]
        if hasattr(block, "ffn_in"):
            linear, norm = (block.ffn_in, block.ffn_out), block.ffn_norm
        else:
            linear, norm = (block.q, block.k, block.v, block.o), block.attention_norm
        for module in linear:
            if module is not None and type(module) not in (nn.Linear, BiasOnly, FirstFeature):
                raise _not_described(f"a {type(module).__name__} in place of a linear layer", block.layer, family)
        if not isinstance(norm, (nn.LayerNorm, SkippedNorm)):
            raise _not_described(f"a {type(norm).__name__} in place of a LayerNorm", block.layer, family)
        weights = described.setdefault(block.module, set())
        for module in (*linear, norm):
            if module is not None:
                weights.update(id(module._parameters[key]) for key in ("weight", "bias") if key in module._parameters)
    for number, (layer, weights) in enumerate(described.items()):
        for path, parameter in layer.named_parameters():
            if id(parameter) not in weights:
                raise _not_described(path, number, family)


def _not_described(what: str, layer: int, family: str) -> UserError:
    return UserError(
        f"{family}: layer {layer} has {what}, which is not part of this family; merge adapters and make "
        "parametrizations and torch's own pruning permanent first"
    )

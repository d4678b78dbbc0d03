"""Physical removal of heads, neurons and sublayers, with a record of what is left."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.models.blocks import AttentionBlock, FFNBlock, attention_blocks, describe, ffn_blocks, install_attention
from prunekit.models.empty_sublayers import BiasOnly, FirstFeature, HeadlessAttention, SkippedNorm
from prunekit.models.masks import Masks, check_masks
from prunekit.models.residual import shrink_residual
from prunekit.models.surgery_record import SurgeryRecord
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def prune(model: PreTrainedModel, masks: Masks) -> PreTrainedModel:
    """A physically smaller copy that computes what the model computes under :func:`prunekit.gated`.

    Units whose mask is False or exactly 0 are removed; any other value is folded into the output projection,
    a sublayer's into its weight and bias. A sublayer that loses all heads (neurons) but is not masked itself
    keeps its output bias; a masked one leaves only residual and LayerNorm, with ``masks.skip_norms`` only the residual.
    A hidden dimension goes from every matrix
    and LayerNorm that has it; its gate is folded into all that writes it. ``config.prunekit`` of the copy
    records what is left of the original model, also over several prunings; its other sizes stay as they were.

    Raises:
        UserError: masks of another shape, with a batch dimension, or not finite.
    """
    check_masks(masks, describe(model), batched=False)
    hidden = [] if masks.hidden is None else [("hidden", masks.hidden)]
    for name, tensor in [("neurons", masks.neurons), *masks.heads.items(), *masks.layers.items(), *hidden]:
        if not tensor.isfinite().all():
            raise UserError(f"masks: {name} has a value that is not finite; masks are bool or finite numbers")
    small = _copy_without_hooks(model)
    record = SurgeryRecord.of(small)
    record.apply(masks)
    small.config.prunekit = record.to_json()
    shrink(small, masks)
    return small


@torch.no_grad()
def shrink(model: PreTrainedModel, masks: Masks) -> None:
    """Cut a model in place, without a record; :func:`prune` is for users."""
    install_attention(model)
    for block in attention_blocks(model):
        shrink_attention(
            block, masks.heads[block.kind][block.layer, : block.heads], masks.layers[block.kind][block.layer]
        )
    for ffn in ffn_blocks(model):
        shrink_ffn(ffn, masks.neurons[ffn.layer, : ffn.neurons], masks.layers["ffn"][ffn.layer])
    if masks.hidden is not None and not bool((masks.hidden == 1).all()):
        shrink_residual(model, masks.hidden)
    if masks.skip_norms:
        skip_norms(model, {kind: (mask == 0).nonzero().flatten().tolist() for kind, mask in masks.layers.items()})


def skip_norms(model: PreTrainedModel, sublayers: dict[str, list[int]]) -> None:
    """Take the LayerNorms after removed sublayers, by attention kind and ``ffn``, out of a model in place."""
    for block in attention_blocks(model):
        if block.layer in sublayers[block.kind] and not isinstance(block.attention_norm, SkippedNorm):
            skipped = SkippedNorm(block.attention_norm.normalized_shape[0])
            if block.paths.norm_inside:
                _replace(block.module.get_submodule(block.paths.attention), "norm", skipped)
            else:
                _replace(block.module, block.paths.attention_norm, skipped)
    for ffn in ffn_blocks(model):
        if ffn.layer in sublayers["ffn"] and not isinstance(ffn.ffn_norm, SkippedNorm):
            _replace(ffn.module, ffn.ffn_paths.ffn_norm, SkippedNorm(ffn.ffn_norm.normalized_shape[0]))


def cut_as_recorded(model: PreTrainedModel) -> None:
    """Cut a model of the original sizes in place to what the record in its configuration has left.

    Raises:
        UserError: a damaged record, or one that does not fit the model.
    """
    record = SurgeryRecord.from_json(model.config.prunekit)
    shrink(model, record.masks(model))
    skip_norms(model, record.skipped)


def shrink_attention(block: AttentionBlock, heads: Tensor, sublayer: Tensor) -> None:
    """Cut the attention of one layer in place by the masks of its heads, (head,), and of the sublayer, ()."""
    paths, layer = block.paths, block.module
    if block.heads and _is_open(heads, sublayer):
        return
    if block.heads and heads.any() and sublayer:
        rows = _features(heads, block.head_size)
        gates = heads[heads != 0].repeat_interleave(block.head_size)
        for path, projection in ((paths.q, block.q), (paths.k, block.k), (paths.v, block.v)):
            _replace(layer, path, _keep_rows(projection, rows))
        _replace(layer, paths.o, _keep_columns(block.o, rows, gates, sublayer))
        if paths.bias is not None:
            computing: Any = layer.get_submodule(paths.computing)
            computing.remaining = computing.remaining[heads != 0]
        return
    attention: Any = layer.get_submodule(paths.attention)
    if block.heads:
        computing = layer.get_submodule(paths.computing)
        replaced = type(computing)
        dropout = layer.get_submodule(paths.attention_dropout) if paths.attention_dropout else nn.Identity()
    else:
        computing, replaced, dropout = attention, attention.replaced, attention.dropout
    norm = block.attention_norm if paths.norm_inside else None
    headless = HeadlessAttention.in_place_of(replaced)(
        _bias_only(block.o, sublayer), dropout, norm, computing.config, getattr(attention, "layer_idx", None)
    )
    _replace(layer, paths.attention, headless)


def shrink_ffn(block: FFNBlock, neurons: Tensor, sublayer: Tensor) -> None:
    """Cut the FFN of one layer in place by the masks of its neurons, (neuron,), and of the sublayer, ()."""
    paths, layer = block.ffn_paths, block.module
    if block.neurons and _is_open(neurons, sublayer):
        return
    if block.neurons and neurons.any() and sublayer:
        rows = _features(neurons, 1)
        gates = neurons[neurons != 0]
        _replace(layer, paths.ffn_in, _keep_rows(block.ffn_in, rows))
        _replace(layer, paths.ffn_out, _keep_columns(block.ffn_out, rows, gates, sublayer))
    else:
        _replace(layer, paths.ffn_in, FirstFeature())
        _replace(layer, paths.ffn_out, _bias_only(block.ffn_out, sublayer))


def _replace(layer: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module in the place of another, in the mode, training or not, that the other is in."""
    layer.set_submodule(path, module.train(layer.get_submodule(path).training))


def _is_open(units: Tensor, sublayer: Tensor) -> bool:
    return bool((units == 1).all() and sublayer == 1)


def _features(units: Tensor, size: int) -> Tensor:
    """Indices of the features that belong to the units that stay."""
    return (units != 0).repeat_interleave(size).nonzero().squeeze(1)


def _keep_rows(projection: Any, rows: Tensor) -> nn.Linear:
    bias = projection.bias
    return _linear(projection.weight[rows], None if bias is None else bias[rows], like=projection)


def _keep_columns(projection: Any, columns: Tensor, gates: Tensor, sublayer: Tensor) -> nn.Linear:
    weight, bias = projection.weight[:, columns], projection.bias
    factor = gates.to(weight) * sublayer.to(weight)
    return _linear(weight * factor, None if bias is None else bias * sublayer.to(bias), like=projection)


def _bias_only(projection: Any, sublayer: Tensor) -> BiasOnly:
    bias = projection.bias
    return BiasOnly(None if bias is None or not sublayer else bias * sublayer.to(bias))


def _linear(weight: Tensor, bias: Tensor | None, like: nn.Linear) -> nn.Linear:
    outputs, inputs = weight.shape
    trained = like.weight.requires_grad
    projection = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    projection.weight = nn.Parameter(weight.contiguous(), requires_grad=trained)
    if bias is not None:
        projection.bias = nn.Parameter(bias, requires_grad=trained)
    return projection


def _copy_without_hooks(model: PreTrainedModel) -> PreTrainedModel:
    """A deep copy for which the hooks of every module, gates among them, are empty."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    memo: dict[int, Any] = {id(getattr(module, name)): OrderedDict() for module in model.modules() for name in names}
    small = copy.deepcopy(model, memo)
    for module in small.modules():
        # transformers records hidden states with hooks that it believes are still there
        module.__dict__.pop("_output_capturing_hooks_installed", None)
    return small

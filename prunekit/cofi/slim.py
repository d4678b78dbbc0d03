"""A model under gates, without the matrix rows and columns whose gate is exactly 0.

Gates are folded into the weights as removal does, but as a differentiable function of both: one step of training then
costs what the units cost that are on in it. A gate of 0 passes no gradient to the weights of its unit, and one that a
draw clamped to 0 gets none itself, so leaving its unit out changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.func import functional_call

from prunekit.models.blocks import Block, blocks, install_attention
from prunekit.models.masks import Masks
from prunekit.models.residual import embedding_writer, stream_readers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


Put = Callable[[Tensor | None, Tensor], None]
"""Takes a parameter or a buffer of the model, and what stands in its place in this call."""


class SlimModel:
    """A model with its layers, parameters and whatever reads and writes the residual stream, looked up once."""

    def __init__(self, model: PreTrainedModel) -> None:
        """
        Args:
            model: not pruned; its modules stay the same.
        """
        install_attention(model)
        self.model, self.blocks = model, blocks(model)
        self.names = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        self.writer: Any = embedding_writer(model)
        self.readers = stream_readers(model)
        self.norms: list[Any] = [norm for block in self.blocks for norm in (block.attention_norm, block.ffn_norm)]
        if isinstance(self.writer, nn.LayerNorm):
            self.norms.append(self.writer)

    def __call__(self, masks: Masks, inputs: dict[str, Tensor], **options: Any) -> Any:
        """The model's output under gates, as ``model(**inputs, **options)`` within :func:`prunekit.gated`.

        Hidden states have the dimensions that are on. Dropout, if the model is training, falls on other places than
        in the whole model.

        Args:
            masks: float gates without a batch dimension.
        """
        parameters: dict[str, Tensor] = {}

        def put(parameter: Tensor | None, value: Tensor) -> None:
            if parameter is not None:
                parameters[self.names[id(parameter)]] = value

        hidden = _on(masks.hidden)
        for block in self.blocks:
            _attention(block, masks, hidden, put)
            _ffn(block, masks, hidden, put)
        if hidden is not None:
            for norm in self.norms:
                put(norm.weight, norm.weight[hidden] * _gates(masks.hidden, hidden))
                put(norm.bias, norm.bias[hidden] * _gates(masks.hidden, hidden))
            for reader in self.readers:
                put(reader.weight, reader.weight[:, hidden])
        with self._stream(masks, hidden), self._skipped(masks):
            return functional_call(self.model, parameters, kwargs={**inputs, **options}, tie_weights=False)

    @contextmanager
    def _stream(self, masks: Masks, hidden: Tensor | None) -> Iterator[None]:
        """Let the embeddings give, and LayerNorms expect, only the hidden dimensions that are on."""
        if hidden is None:
            yield
            return
        gates = _gates(masks.hidden, hidden)

        def scaled_sum(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (inputs[0][..., hidden] * gates.to(inputs[0]), *inputs[1:])

        def scaled_output(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            return output[..., hidden] * gates.to(output)

        before = [(norm, norm.normalized_shape) for norm in self.norms]
        if isinstance(self.writer, nn.LayerNorm):
            hook = self.writer.register_forward_pre_hook(scaled_sum)
        else:
            hook = self.writer.register_forward_hook(scaled_output)
        try:
            for norm, _ in before:
                norm.normalized_shape = (len(hidden),)
            yield
        finally:
            hook.remove()
            for norm, shape in before:
                norm.normalized_shape = shape

    @contextmanager
    def _skipped(self, masks: Masks) -> Iterator[None]:
        """Let LayerNorms after sublayers that are off give their inputs back, where the masks say so."""
        hooks = []
        if masks.skip_norms:
            for block in self.blocks:
                for norm, gate in (
                    (block.attention_norm, masks.layers[block.kind][block.layer]),
                    (block.ffn_norm, masks.layers["ffn"][block.layer]),
                ):
                    if gate == 0:
                        hooks.append(norm.register_forward_hook(lambda _module, inputs, _output: inputs[0]))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _attention(block: Block, masks: Masks, hidden: Tensor | None, put: Put) -> None:
    sublayer = masks.layers[block.kind][block.layer]
    heads = masks.heads[block.kind][block.layer, : block.heads]
    on = (heads != 0) & (sublayer != 0)
    rows = _features(on, block.head_size)
    if rows is not None and block.bias_of_all is not None:
        remaining = block.module.get_submodule(block.paths.computing).get_buffer("remaining")
        put(remaining, remaining[on])
    for projection in (block.q, block.k, block.v):
        assert projection is not None
        put(projection.weight, _columns(projection.weight if rows is None else projection.weight[rows], hidden))
        if rows is not None:
            put(projection.bias, projection.bias[rows])
    gates = heads.repeat_interleave(block.head_size) * sublayer
    _output(block.o, rows, gates, sublayer, masks.hidden, hidden, put)


def _ffn(block: Block, masks: Masks, hidden: Tensor | None, put: Put) -> None:
    sublayer = masks.layers["ffn"][block.layer]
    neurons = masks.neurons[block.layer, : block.neurons]
    rows = _features((neurons != 0) & (sublayer != 0), 1)
    first: Any = block.ffn_in
    put(first.weight, _columns(first.weight if rows is None else first.weight[rows], hidden))
    if rows is not None:
        put(first.bias, first.bias[rows])
    _output(block.ffn_out, rows, neurons * sublayer, sublayer, masks.hidden, hidden, put)


def _output(
    projection: Any, columns: Tensor | None, gates: Tensor, sublayer: Tensor, z: Tensor | None, hidden: Tensor | None,
    put: Put,
) -> None:  # fmt: skip
    """An output projection: its inputs by unit and sublayer, its outputs by hidden dimension."""
    weight, bias = projection.weight, projection.bias
    if columns is not None:
        weight, gates = weight[:, columns], gates[columns]
    if hidden is not None:
        factor = _gates(z, hidden)
        weight, bias = weight[hidden] * factor[:, None], bias[hidden] * factor
    put(projection.weight, weight * gates.to(weight))
    put(projection.bias, bias * sublayer.to(bias))


def _on(gates: Tensor | None) -> Tensor | None:
    """Places that are not 0; None where all are exactly 1 and there is nothing to do."""
    if gates is None or bool((gates == 1).all()):
        return None
    return (gates != 0).nonzero().squeeze(1)


def _features(on: Tensor, size: int) -> Tensor | None:
    """Places of the features of units that are on; None for all."""
    return None if bool(on.all()) else on.repeat_interleave(size).nonzero().squeeze(1)


def _columns(weight: Tensor, hidden: Tensor | None) -> Tensor:
    return weight if hidden is None else weight[:, hidden]


def _gates(z: Tensor | None, hidden: Tensor) -> Tensor:
    assert z is not None
    return z[hidden]

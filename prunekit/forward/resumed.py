"""The rest of an encoder, from a sublayer on, on hidden states that are at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import blocks
from prunekit.models.families.table import encoder_of
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Run = Callable[[Batch, Tensor], Any]


@contextmanager
def resumed(model: PreTrainedModel, layer: int, sublayer: str) -> Iterator[Run]:
    """``with resumed(model, layer, sublayer) as run: output = run(batch, x)``: what the model answers where the hidden
    states that go into a sublayer are ``x``, (row, token, d), whatever layers before it would have made of the batch.

    Those layers are out of the model meanwhile, so that any task head and any family runs as transformers has it.

    Args:
        sublayer: ``attention`` or ``ffn``. Before an ``ffn`` the attention of its layer runs and is not used.

    Raises:
        UserError: layers that several depths share.
    """
    family = encoder_of(model.config)
    *_, path = (stack.layers for stack in family.stacks)
    layers = blocks(model)
    first = layers[layer]
    if any(len(block.calls) > 1 for block in layers):
        raise UserError(f"{model.config.model_type}: one layer is called at several depths, the rest is no part of it")
    owner, _, name = path.removesuffix(".*").rpartition(".")
    holder = attrgetter(owner)(model.base_model)
    every = getattr(holder, name)
    states: list[Tensor] = []

    def into_layer(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (states[-1], *args[1:]), kwargs
        return args, kwargs | {"hidden_states": states[-1]}

    def run(batch: Batch, x: Tensor) -> Any:
        states[:] = [x]
        return model(**model_inputs(batch, model.device))

    with ExitStack() as before:
        before.callback(first.module.register_forward_pre_hook(into_layer, with_kwargs=True).remove)
        if sublayer == "ffn":
            before.callback(first.attention_norm.register_forward_hook(lambda *_: states[-1]).remove)
        before.callback(setattr, holder, name, every)
        setattr(holder, name, nn.ModuleList(list(every)[layer:]))
        yield run

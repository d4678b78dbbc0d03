"""Two models side by side through their layers, for the least-squares problem of every sublayer.

A layer takes two steps. The attention step runs both models' attention; the pruned model's contexts wait on disk,
because its output is linear in the heads' scales. The FFN step goes on from there token by token, and only the
pruned FFN runs once more, with its scales, for the input of the next layer. So a layer of the target model runs once
and a pruned one at most twice, without the removed units; memory holds one batch and the sums of one sublayer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunekit.data.batches import Batch, model_inputs
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.replay import context, equal_length_groups, first_layer_input
from prunekit.models.blocks import Block, describe
from prunekit.stages.refit.least_squares import NormalEquations
from prunekit.stages.refit.token_file import TokenFile
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SideBySide:
    """Hidden states of a pruned and of a target model after the same number of sublayers, for all tokens."""

    def __init__(
        self, model: PreTrainedModel, batches: Iterable[Batch], max_tokens: int, files: ExitStack, whole: bool = False
    ) -> None:
        """Run the embeddings, which both models share.

        Args:
            model: in eval mode.
            batches: as in :func:`prunekit.stages.refit.tuning.tune`.
            max_tokens: how many tokens run at once; a single row may be longer.
            files: closes the temporary files.
            whole: the equations are for whole projections.

        Raises:
            UserError: no rows, or padding that is not on the right.
        """
        self.width, self.dtype, self.device = describe(model).hidden, model.dtype, model.device
        self.max_tokens, self.whole = max_tokens, whole
        self.pruned, self.target, self.contexts = (
            files.enter_context(TokenFile(self.width, self.dtype, self.device)) for _ in range(3)
        )
        self.groups: list[tuple[int, int]] = []
        """(rows, length) of rows of one length, in the order of the files."""
        self.tokens = 0
        checked = checked_batches(model, batches, targets=False)
        for group in equal_length_groups((model_inputs(batch, model.device) for batch in checked), max_tokens):
            x = first_layer_input(model, group)
            for file in (self.pruned, self.target):
                file.write(self.tokens, x.flatten(0, 1))
            self.groups.append((x.shape[0], x.shape[1]))
            self.tokens += x.shape[0] * x.shape[1]
        if not self.groups:
            raise UserError("tuning: no examples to fit to, at least one is needed")

    def attention(self, pruned: Block, target: Block, *, ones: bool, first_token: bool) -> NormalEquations:
        """Run the attention of a layer.

        Args:
            ones: with a column of ones in the equations.
            first_token: only the first token of each row goes on to the FFN.
        """
        width = pruned.heads * pruned.head_size
        equations = NormalEquations(self._weight(pruned.o), pruned.heads, ones, self.whole)
        self.contexts.width = width or self.width
        start = written = 0
        for rows, length in self.groups:
            x, other = (f.read(start, rows * length).unflatten(0, (rows, length)) for f in (self.pruned, self.target))
            start += rows * length
            seen = context(pruned, x)
            wanted = other + target.o(context(target, other))
            missing = wanted - x - pruned.o(seen)
            equations.add(seen.flatten(0, 1)[:, :width], missing.flatten(0, 1), wanted.flatten(0, 1))
            if first_token:
                x, seen, wanted = (values[:, :1] for values in (x, seen, wanted))
                self.pruned.write(written, x.flatten(0, 1))
            self.contexts.write(written, seen.flatten(0, 1))
            self.target.write(written, target.attention_norm(wanted).flatten(0, 1))
            written += rows * x.shape[1]
        self.tokens = written
        return equations

    def ffn(self, pruned: Block, target: Block, whole: Block | None = None) -> NormalEquations:
        """Run the FFN of the same layer; the attention output projection of ``pruned`` has its scales by now.

        Args:
            whole: the FFN through which the target model's states go for what is fitted, in place of its own; the
                next layer of the target model has its inputs from its own in any case.
        """
        equations = NormalEquations(self._weight(pruned.ffn_out), pruned.neurons, whole=self.whole)
        for start, count in self._pieces():
            y = self.pruned.read(start, count)
            y = pruned.attention_norm(y + pruned.o(self.contexts.read(start, count)))
            active = pruned.activation(pruned.ffn_in(y))
            other = self.target.read(start, count)
            output = _after_ffn(target, other)
            wanted = output if whole is None else _after_ffn(whole, other)
            equations.add(active[:, : pruned.neurons], wanted - y - pruned.ffn_out(active), wanted)
            self.pruned.write(start, y)
            self.target.write(start, target.ffn_norm(output))
        return equations

    def finish(self, pruned: Block) -> None:
        """Go on to the next layer; the FFN output projection of ``pruned`` has its scales by now."""
        for start, count in self._pieces():
            y = self.pruned.read(start, count)
            self.pruned.write(start, pruned.ffn_norm(_after_ffn(pruned, y)))

    def _pieces(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self.tokens, self.max_tokens):
            yield start, min(self.max_tokens, self.tokens - start)

    def _weight(self, projection: nn.Module) -> Tensor:
        """Of an output projection, (d, feature); there are no features where no unit is left."""
        if isinstance(projection, nn.Linear):
            return projection.weight
        return torch.empty(self.width, 0, dtype=self.dtype, device=self.device)


def _after_ffn(block: Block, y: Tensor) -> Tensor:
    """Hidden states after an FFN and before its LayerNorm, (token, d)."""
    return y + block.ffn_out(block.activation(block.ffn_in(y)))

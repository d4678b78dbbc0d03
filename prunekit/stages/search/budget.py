"""What a pruned model may cost, and what each number of units costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prunekit.config.checks import near
from prunekit.config.choices import ALL_BUDGETS, ROUNDING
from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import head_macs, head_weights, neuron_macs, neuron_weights
from prunekit.models.masks import Masks
from prunekit.stages.search.latency import LatencyTable
from prunekit.stages.search.mac_search import check_constraint, reachable
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNITS = {"mac": "MACs", "latency": "latency", "parameters": "parameters"}
"""What a kind of budget limits, in words."""


@dataclass(frozen=True)
class Budget:
    """A share of what the layers of a model cost."""

    constraint: float
    """Share that may remain, in (0, 1)."""
    kind: str
    """``mac``; ``latency``, by a measured table; ``parameters``, weights of the layers' matrices."""
    length: int
    """Tokens of the sequence that MACs are counted for."""
    table: LatencyTable | None = None
    """Of this machine and the model's layers, where latency is the budget."""

    def __post_init__(self) -> None:
        check_constraint(self.constraint)
        if self.kind not in ALL_BUDGETS:
            raise UserError(f"budget: {self.kind!r} is unknown, {near(self.kind, ALL_BUDGETS)}")
        if not isinstance(self.table, LatencyTable | None):
            raise UserError(f"budget: table is a {type(self.table).__name__}, it should be what latency_table returns")
        if (self.kind == "latency") != (self.table is not None):
            raise UserError("budget: a latency table is needed with budget=latency, and only there")

    def costs(self, model: PreTrainedModel, hidden: int | None = None) -> list[np.ndarray]:
        """What a sublayer costs with 0, 1, 2, ... units, (unit + 1,) each: attention and FFN of the first layer, of the
        second, and so on. The sum of one entry each is the cost of a model.

        Args:
            hidden: dimensions of the residual stream that are left, None for all; a latency table knows of all alone.

        Raises:
            UserError: a latency table of something else.
        """
        if self.table is not None:
            return self.table.costs(model)
        hidden, costs = describe(model).hidden if hidden is None else hidden, []
        for block in blocks(model):
            macs = self.kind == "mac"
            head = head_macs(hidden, block.head_size, self.length) if macs else head_weights(hidden, block.head_size)
            neuron = neuron_macs(hidden, self.length) if macs else neuron_weights(hidden)
            times = len(block.calls) if macs else 1  # a shared layer's weights are there once
            costs += [times * head * np.arange(block.heads + 1), times * neuron * np.arange(block.neurons + 1)]
        return costs

    def limit(self, model: PreTrainedModel) -> float:
        """What a pruned model may cost.

        Raises:
            UserError: the model has no unit left, or a latency table is of something else.
        """
        if not describe(model).heads + describe(model).neurons:
            raise UserError("model: it has no heads and no neurons left to search among")
        return self.constraint * float(sum(cost[-1] for cost in self.costs(model)))

    def share(self, model: PreTrainedModel, masks: Masks) -> float:
        """The share of the model's cost that masks leave; a removed sublayer costs what one without units does."""
        left, hidden = 0.0, None if masks.hidden is None else int(masks.hidden.count_nonzero())
        pairs = zip(*[iter(self.costs(model, hidden))] * 2, strict=True)
        for block, (of_heads, of_neurons) in zip(blocks(model), pairs, strict=True):
            for layers, mask, cost in (
                ("self", masks.heads["self"][block.layer, : block.heads], of_heads),
                ("ffn", masks.neurons[block.layer, : block.neurons], of_neurons),
            ):
                left += float(cost[int(mask.count_nonzero()) if masks.layers[layers][block.layer] else 0])
        return left / float(sum(cost[-1] for cost in self.costs(model)))

    def check_kept(self, method: str, model: PreTrainedModel, masks: Masks) -> None:
        """Raise a :class:`UserError` if a method's masks leave more than they may."""
        share = self.share(model, masks)
        if share > self.constraint * (1 + ROUNDING):
            raise UserError(
                f"method={method} leaves {share:.6g} of this model's {UNITS[self.kind]}, no more than "
                f"constraint={self.constraint:g} may remain; a method keeps its budget or refuses it"
            )

    def out_of_reach(self, model: PreTrainedModel, least: float, what: str = "a single unit") -> UserError:
        """The error of a constraint that leaves no room.

        Args:
            least: what the smallest model costs that the search could give.
            what: that there is no room for.
        """
        dense = float(sum(cost[-1] for cost in self.costs(model)))
        return UserError(
            f"constraint: {self.constraint} of this model's {UNITS[self.kind]} leaves no room for {what}; "
            f"it can go down to {reachable(least / dense)}"
        )

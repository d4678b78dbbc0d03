"""What a method is given: a fine-tuned model, examples to look at, a budget, a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.data.batches import Batch
from prunekit.stages.score.gradients import GRADIENTS, mask_gradients
from prunekit.stages.score.projection_inputs import input_statistics
from prunekit.stages.search.budget import Budget
from prunekit.stages.units import UnitTensors
from prunekit.support.cache import EntryKind
from prunekit.support.progress import Advance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

INPUTS = EntryKind("inputs", revision=2)

Stage = Callable[[str, int], AbstractContextManager[Advance]]
"""Times a stage of this name, with a bar for so many steps."""
Keep = Callable[[EntryKind, str, Mapping[str, Any], Callable[[], Mapping[str, Tensor]]], dict[str, Tensor]]
"""Of a kind, the stage whose seconds it takes, what identifies it beside model and examples, and how it is computed."""


@contextmanager
def untimed(_name: str, _total: int = 0) -> Iterator[Advance]:
    yield lambda steps: None


def computed(
    _kind: EntryKind, _stage: str, _identity: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    return dict(compute())


@dataclass(frozen=True)
class Problem:
    """One model to be made smaller."""

    model: PreTrainedModel
    """Fine-tuned, in eval mode, pruned before or not. Methods leave it as it is."""
    batches: Sequence[Batch]
    """Calibration examples, with labels where the method needs them."""
    budget: Budget
    seed: int = 0
    """Of whatever the method draws."""
    labels: str = "gold"
    """Whose labels a loss is taken by: ``gold`` or ``predicted``."""
    refine: str = "none"
    """Exchange of units within a sublayer after the search: ``none``, ``rearrange``, ``swap``."""
    refit: str = "none"
    """What is fitted then: ``none``, ``scales``, ``weights``, ``bias``."""
    uniform: bool = False
    """Keep the same numbers of heads and of neurons in every layer."""
    all_heads: bool = False
    """If uniform: all heads, and neurons alone go."""
    stage: Stage = untimed
    """``with problem.stage("search", steps) as advance: ...`` times a stage and shows its progress."""
    keep: Keep = computed
    """Computes tensors that do not depend on the budget once for each model and set of examples: with a folder of runs,
    in its cache. ``compute`` times itself by :attr:`stage`."""

    _kept: dict[tuple[Any, ...], dict[str, Tensor]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """Of all batches."""
        return sum(len(batch["input_ids"]) for batch in self.batches)

    def gradients(self) -> UnitTensors:
        """Each example's derivatives by the gates of all units, see
        :func:`prunekit.stages.score.gradients.mask_gradients`; stage ``gradients``."""

        def compute() -> dict[str, Tensor]:
            with self.stage("gradients", self.rows) as advance:
                own = mask_gradients(self.model, self.batches, labels=self.labels, progress=advance)
            return {"heads": own.heads, "neurons": own.neurons}

        kept = self._once(GRADIENTS, "gradients", {"labels": self.labels, "padded_group": None}, compute)
        return UnitTensors(kept["heads"], kept["neurons"])

    def inputs(self, *, products: bool = False) -> dict[str, Tensor]:
        """Statistics of what goes into the output projections, see
        :func:`prunekit.stages.score.projection_inputs.input_statistics`; stage ``inputs``."""

        def compute() -> dict[str, Tensor]:
            with self.stage("inputs", self.rows) as advance:
                return input_statistics(self.model, self.batches, products=products, progress=advance)

        return self._once(INPUTS, "inputs", {"products": products}, compute)

    def _once(
        self, kind: EntryKind, stage: str, identity: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """By :attr:`keep`, which counts the seconds of the stage: several stages of a method may ask for the same."""
        key = (kind.name, *sorted(identity.items()))
        if key not in self._kept:
            self._kept[key] = self.keep(kind, stage, identity, compute)
        return self._kept[key]

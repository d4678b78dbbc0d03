"""What a method of pruning is: its paper, what it needs, and one function from a problem to a smaller model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from prunekit.config.choices import ALL_BUDGETS
from prunekit.methods.common.problem import Problem
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.refit.replaced import replaced
from prunekit.stages.search.under_budget import check_reach

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Compression:
    """What a stage of a method left: all of the smaller model, not what changed since the stage before."""

    stage: str
    """Its name in records: ``search``, ``rearrange``, ``swap``, ``scales``, ``weights``, ``bias`` or one of its own;
    no two of a run have the same."""
    masks: Masks
    """Over the units of the whole model; soft where units are scaled."""
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """Parameters of the whole model that are others, by name and in its own shape; columns of removed units do not
    matter."""
    report: list[dict[str, Any]] = field(default_factory=list)
    """A row a sublayer, as the table ``refit`` has them; empty where nothing was fitted."""
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of tables that the record has from this stage on, by name, as ``OF_METHODS`` of
    :mod:`prunekit.runs.schema.verbs.compress` has them; none where a method knows no more than its masks say."""

    def smaller(self, model: PreTrainedModel) -> PreTrainedModel:
        """The physically smaller copy of the whole model."""
        with replaced(model, self.weights):
            return prune(model, self.masks)


class Method(ABC):
    """A method. Its fields are its options, with their defaults; ranges are declared with them
    (:mod:`prunekit.config.ranges`)."""

    paper: ClassVar[str]
    """Where it is from, in a line."""
    labels: ClassVar[bool]
    """It needs labels of the calibration data."""
    gradients: ClassVar[bool]
    """It needs derivatives of the loss."""
    training: ClassVar[bool] = False
    """It trains weights by gradient descent."""
    units: ClassVar[tuple[str, ...]] = ("heads", "neurons")
    """What it removes."""
    families: ClassVar[tuple[str, ...] | None] = None
    """Families of :mod:`prunekit.models.families` that it can prune; None: all encoders."""
    budgets: ClassVar[tuple[str, ...]] = ALL_BUDGETS
    """What it can keep within."""
    refinements: ClassVar[tuple[str, ...]] = ("none",)
    """Stages of refinement that fit it; the first one is its own."""
    refits: ClassVar[tuple[str, ...]] = ("none",)
    """Stages of refitting that fit it; the first one is its own."""
    uniform: ClassVar[bool] = False
    """It can keep the same numbers of heads and neurons in every layer."""

    def check(self, problem: Problem) -> None:
        """Refuse what the model and the budget alone rule out, whatever the examples: it is called before anything is
        computed, the whole model's score included. Here, a budget within which not even one unit stays.

        Raises:
            UserError: a budget out of reach (with the reachable range), or a model that it cannot prune.
        """
        check_reach(problem.model, problem.budget, uniform=problem.uniform, all_heads=problem.all_heads)

    @abstractmethod
    def compress(self, problem: Problem) -> Iterator[Compression]:
        """The smaller model after every stage; the last one is the result and within the budget. It leaves
        ``problem.model`` as it is.

        Raises:
            UserError: a budget out of reach (with the reachable range), or a model that it cannot prune.
        """

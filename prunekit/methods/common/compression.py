"""Any method from Python: ``prunekit.compress``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.config.checks import near, one_of
from prunekit.config.choices import LABELS
from prunekit.config.ranges import LENGTH, SEEDS, PathRule, argument, within
from prunekit.data.batches import Batch
from prunekit.forward.checked_batches import check_own_task, checked_batches
from prunekit.methods.common.checked_stages import checked_stages
from prunekit.methods.common.chosen import chosen_stages
from prunekit.methods.common.method import Compression
from prunekit.methods.common.problem import Keep, Problem, computed
from prunekit.methods.common.registry import method as named_method
from prunekit.models.families.table import encoder_of
from prunekit.models.input_tables import check_length
from prunekit.models.wrappers import check_wrappers
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.latency import LatencyTable
from prunekit.support.cache import Cache, EntryKind, Tensors
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import fingerprint, model_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def compress(
    model: PreTrainedModel, batches: Iterable[Batch], method: str = "fisher", constraint: float = 0.5,
    budget: str = "mac", **how: Any,
) -> PreTrainedModel:  # fmt: skip
    """A physically smaller copy of a fine-tuned model, by any method of ``prunekit/methods/``.

    Args:
        model: an encoder, pruned before or not; it stays as it is.
        batches: to look at, as :func:`prunekit.data.batches.evaluation_batches` makes them: ``input_ids``,
            ``attention_mask``, ``token_type_ids`` where the family has them, and labels where the method needs them.
        constraint: share of the budget that may remain, in (0, 1).
        budget: ``mac``, ``latency`` or ``parameters``.
        how: what follows, by name.
        options: of the method, by name.
        refine, refit: stages, ``auto`` for the method's own; after ``swap`` whole output weights in place of scales.
        uniform: the same numbers of heads and of neurons in every layer; False by default.
        all_heads: if uniform, all heads, so that what is left is of a shape that stock transformers has; False by
            default.
        labels: ``gold``, the default, or ``predicted`` by the model itself.
        seed: of what the method draws; 0 by default.
        length: tokens that MACs are counted for; None, the default, for the mean of the batches.
        table: of :func:`prunekit.stages.search.latency.latency_table`, for ``budget="latency"``.
        folder: whose cache keeps what does not depend on the budget, so that a second budget takes seconds.

    Raises:
        UserError: an argument that there is not; what the method cannot do: an unknown name or stage, a constraint out
            of reach (with the reachable range), batches or a model that it cannot read.
    """
    known = inspect.signature(compressions).parameters
    for name in how:
        if name not in known:
            raise UserError(f"{name}: compress has no such argument, {near(name, known)}")
    *_, last = compressions(model, batches, method, constraint, budget, **how)
    return last.smaller(model)


def compressions(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    method: str = "fisher",
    constraint: float = 0.5,
    budget: str = "mac",
    *,
    options: Mapping[str, Any] | None = None,
    refine: str = "auto",
    refit: str = "auto",
    uniform: bool = False,
    all_heads: bool = False,
    labels: str = "gold",
    seed: int = 0,
    length: int | None = None,
    table: LatencyTable | None = None,
    folder: str | Path | None = None,
) -> list[Compression]:
    """What every stage of a method leaves, masks and weights; the last one is the result.

    Args and errors are those of :func:`compress`.
    """
    given = {
        "constraint": constraint, "labels": labels, "seed": seed, "uniform": uniform, "all_heads": all_heads,
    }  # fmt: skip
    if length is not None:
        given["length"] = length
    chosen = _arguments(given, folder)
    own = named_method(method, options)
    refine, refit = chosen_stages(method, own, refine, refit, chosen.uniform, chosen.all_heads, chosen.labels, budget)
    check_family(method, own.families, model)
    check_finite(model)
    checked = checked_batches(model, batches, targets=own.labels, scored=labels == "gold")
    listed = [{name: batch[name] for name in batch if name != "index"} for batch in checked]
    if not own.labels:
        check_own_task(model, listed)
    rows = sum(len(batch["input_ids"]) for batch in listed)
    if not rows:
        raise UserError("batches: there are none, at least one example is needed")
    if length is None:
        tokens = round(sum(int(batch["attention_mask"].sum()) for batch in listed) / rows)
    else:
        tokens = chosen.length
        check_length("length", tokens, model)
    keep = computed if folder is None else kept_in(folder, model, listed)
    problem = Problem(
        model=model, batches=listed, budget=Budget(chosen.constraint, budget, tokens, table), seed=chosen.seed,
        labels=labels, refine=refine, refit=refit, uniform=chosen.uniform, all_heads=chosen.all_heads, keep=keep,
    )  # fmt: skip
    training = model.training
    model.eval()
    try:
        return list(checked_stages(method, own, problem))
    finally:
        model.train(training)


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    """What Python code chooses, with the ranges that the verb's settings have."""

    constraint: float = within(0.5, 0, 1, above=True, below=True)
    labels: str = "gold"
    length: int = within(1, 1, LENGTH)
    seed: int = within(0, 0, SEEDS)
    uniform: bool = False
    all_heads: bool = False


def _arguments(given: Mapping[str, Any], folder: str | Path | None) -> _Arguments:
    """
    Raises:
        UserError: one is of another type or outside its range, or the folder can be none.
    """
    known = {item.name: item for item in fields(_Arguments)}
    chosen = _Arguments(**{name: argument(known[name], value) for name, value in given.items()})
    problems = [*one_of("labels", chosen.labels, LABELS)]
    if folder is not None:
        problems += PathRule(written=True).problems("folder", str(folder))
    for problem in problems:
        raise UserError(problem)
    return chosen


def check_finite(model: PreTrainedModel) -> None:
    """Refuse weights that are no numbers: scores would order them somehow."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise UserError(f"model: {name} has values that are not finite; check how it was trained or saved")


def check_family(name: str, families: tuple[str, ...] | None, model: PreTrainedModel) -> None:
    """Raise a :class:`UserError` for a model that a method cannot prune."""
    check_wrappers(model)
    encoder_of(model.config)
    if families is not None and model.config.model_type not in families:
        raise UserError(f"method={name} prunes {', '.join(families)}; this model is a {model.config.model_type}")


def kept_in(folder: str | Path, model: PreTrainedModel, batches: list[Batch]) -> Keep:
    """Keeps what is computed from a model and batches in the cache of a folder."""

    def keep(
        kind: EntryKind, _stage: str, identity: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        whole = {"model": model_fingerprint(model), "examples": fingerprint([*map(dict, batches)]), **identity}
        form: Tensors[dict[str, Tensor]] = Tensors(lambda tensors: (tensors, {}), lambda tensors, _notes: tensors)
        return Cache(folder, model.device).get(kind, whole, lambda: dict(compute()), form)

    return keep

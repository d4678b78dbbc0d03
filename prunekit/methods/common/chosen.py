"""The stages that a method is asked for, if it can have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunekit.config.checks import near
from prunekit.config.choices import ALL_BUDGETS, REFINEMENTS, REFITS
from prunekit.methods.common.options import label_problems
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from prunekit.methods.common.method import Method


def chosen_stages(
    name: str, method: Method, refine: str, refit: str, uniform: bool, all_heads: bool = False, labels: str = "gold",
    budget: str = "mac",
) -> tuple[str, str]:  # fmt: skip
    """The stages of refinement and of refitting, with the method's own for ``auto``; after swaps, which lower the error
    of an exact refit, that refit in place of scales.

    Raises:
        UserError: an unknown stage (with near ones), one that the method cannot use (with those that it can), a
            kind of budget that it cannot keep, or predicted labels where it uses none.
    """
    if not method.labels:
        for problem in label_problems(name, labels):
            raise UserError(problem)
    if budget in ALL_BUDGETS and budget not in method.budgets:
        raise UserError(f"budget: method={name} cannot keep {budget}, it can keep {', '.join(method.budgets)}")
    chosen: list[str] = []
    for setting, value, known, fitting in (
        ("refine", refine, REFINEMENTS, method.refinements), ("refit", refit, REFITS, method.refits),
    ):  # fmt: skip
        if value not in ("auto", *known):
            raise UserError(f"{setting}: {value!r} is unknown, {near(value, ('auto', *known))}")
        if value != "auto" and value not in fitting:
            raise UserError(f"{setting}: method={name} cannot use {value}, it can use {', '.join(fitting)}")
        if value == "auto":
            exact = chosen == ["swap"] and fitting[0] == "scales" and "weights" in fitting
            value = "weights" if exact else fitting[0]
        chosen.append(value)
    if all_heads and not uniform:
        raise UserError("all_heads: it is of uniform shapes, use uniform=true with it")
    if uniform and not method.uniform:
        raise UserError(f"uniform: method={name} has no uniform shape, use uniform=false")
    return chosen[0], chosen[1]

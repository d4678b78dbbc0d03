"""A level for every sublayer so that the whole fits a budget: a knapsack over errors, and a local search over how much
the error of each sublayer counts (Kurtic et al. 2023, after Frantar & Alistarh 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunekit.stages.levels.database import Counts, LevelDatabase
from prunekit.stages.score.projection_inputs import SUBLAYERS
from prunekit.stages.search.knapsack import choose

CHANGED = 0.25
"""Share of the sensitivities that a step of the local search changes."""
SPREAD = 1.0
"""Standard deviation of the logarithm of a change."""


@dataclass(frozen=True)
class Stitched:
    """Levels that fit a budget."""

    counts: Counts
    divergence: float | None
    """What the judge says of them; None where nobody was asked."""
    steps: list[dict[str, Any]]
    """A row a judged model, as the table ``search`` of records has them: ``tried`` (candidates until then, from 1),
    ``step`` (0 for the starts), ``divergence``, ``accepted``: whether the search went on from it, ``best`` until then.
    """


class Stitching:
    """The levels of a database, their costs, and the knapsack over them."""

    def __init__(self, database: LevelDatabase, costs: Sequence[np.ndarray], limit: float) -> None:
        """
        Args:
            costs: of 0, 1, 2, ... units, (unit + 1,), of the attention and the FFN of the first layer, of the second,
                and so on, as :meth:`prunekit.stages.search.budget.Budget.costs` has them.
            limit: what all sublayers together may cost.
        """
        places = [f"{at // 2}.{SUBLAYERS[at % 2]}" for at in range(len(costs))]
        self.places = list(database.sublayers)
        levels = [database.sublayers[place] for place in self.places]
        self.counts = [one.counts.numpy() for one in levels]
        by_place = dict(zip(places, costs, strict=True))
        self.costs = [np.asarray(by_place[place][counts], dtype=float)
                      for place, counts in zip(self.places, self.counts, strict=True)]  # fmt: skip
        self.errors = [one.damped.cpu().numpy() for one in levels]
        self.power = np.asarray([float(one.power) for one in levels])
        self.fixed = float(sum(cost[0] for place, cost in by_place.items() if place not in database.sublayers))
        """What sublayers without a unit cost."""
        self.limit = limit

    @property
    def least(self) -> float:
        """What the cheapest levels that are not all empty cost."""
        return self.fixed + least_cost(self.costs)

    def stitch(self, sensitivities: Sequence[float] | np.ndarray) -> Counts | None:
        """The levels within the limit whose errors, times their sublayers' sensitivities, add up to least; None where
        not even the cheapest fit, or only those without any unit."""
        values = [-scale * error for scale, error in zip(sensitivities, self.errors, strict=True)]
        chosen = choose(self.costs, values, self.limit - self.fixed)
        if chosen is None:
            return None
        counts = {place: int(own[level]) for place, own, level in zip(self.places, self.counts, chosen, strict=True)}
        return counts if any(counts.values()) else None


def least_cost(costs: Iterable[np.ndarray]) -> float:
    """What the cheapest levels cost that are not all empty; infinite where there is no unit.

    Args:
        costs: of the levels of every sublayer, from all of its units to none, (level,).
    """
    listed = [np.asarray(cost, dtype=float) for cost in costs]
    filled = [float(cost[:-1].min() - cost.min()) for cost in listed if len(cost) > 1]
    return float(sum(cost.min() for cost in listed)) + min(filled, default=float("inf"))


def search_levels(
    stitching: Stitching, judge: Callable[[Counts], float], steps: int, seed: int,
    progress: Callable[[int], None] = lambda steps: None,
) -> Stitched:  # fmt: skip
    """Levels from the knapsack, and from a local search over sensitivities.

    The knapsack starts with errors as they are, and as shares of the sublayer's output; the better start is gone on
    from. A step multiplies some sensitivities by random factors, and is kept where the judge says that it is better.
    Models that were judged already are not judged again.

    Args:
        stitching: with a limit that some levels fit.
        judge: how far the predictions of a model with these levels are from the whole model's.
        steps: models that are judged after the starts; 0 asks nobody and takes errors as they are.
        seed: of the random factors.
        progress: called with the number of steps done since the last call.
    """
    counts = stitching.stitch(np.ones(len(stitching.places)))
    assert counts is not None
    if steps == 0 or not stitching.places:
        return Stitched(counts, None, [])
    generator = np.random.default_rng(seed)
    judged: dict[tuple[int, ...], float] = {}
    rows: list[dict[str, Any]] = []
    best, least, at = counts, np.inf, np.ones(len(stitching.places))
    tried = 0

    def judged_now(step: int, sensitivities: np.ndarray) -> bool:
        """Whether the levels of these sensitivities had not been judged before."""
        nonlocal best, least, at, tried
        tried += 1
        levels = stitching.stitch(sensitivities)
        assert levels is not None
        key = tuple(levels.values())
        if key in judged:
            return False
        judged[key] = judge(levels)
        accepted = judged[key] < least
        if accepted:
            best, least, at = levels, judged[key], sensitivities
        rows.append({
            "tried": tried, "step": step, "divergence": judged[key], "accepted": accepted, "best": float(least),
        })  # fmt: skip
        return True

    for start in (np.ones(len(at)), 1 / np.maximum(stitching.power, 1e-300)):
        judged_now(0, start)
    step, starts = 0, tried
    changed = max(1, round(CHANGED * len(at)))
    while step < steps and tried - starts < 20 * steps:
        factors = np.ones(len(at))
        places = generator.choice(len(at), changed, replace=False)
        factors[places] = np.exp(SPREAD * generator.standard_normal(changed))
        if judged_now(step + 1, at * factors):
            step += 1
            progress(1)
    return Stitched(best, float(least), rows)

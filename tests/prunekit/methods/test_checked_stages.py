"""What every method's stages are held to, by the verb and from Python alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch

import prunekit
from prunekit.methods.common.checked_stages import checked_stages
from prunekit.methods.common.chosen import chosen_stages
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.method import Compression, Method
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.registry import method
from prunekit.methods.common.stage_tables import recorded
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.search.budget import Budget
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny

SHOULD = "it should yield a Compression a stage"


def left(neurons: int) -> Masks:
    """Of a tiny model: so many of the 24 neurons of each layer, and all heads."""
    masks = Masks.ones(describe(tiny("bert")))
    masks.neurons[:, neurons:] = False
    return masks


class Yields(Method):
    """A method that yields what it is given."""

    paper: ClassVar[str] = "none"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = False

    def __init__(self, stages: Any) -> None:
        self.stages = stages

    def compress(self, problem: Problem) -> Iterator[Compression]:
        return iter(self.stages) if isinstance(self.stages, list) else self.stages


def stages_of(given: Any, constraint: float = 0.9, kind: str = "mac") -> list[str]:
    problem = Problem(model=tiny("bert"), batches=[], budget=Budget(constraint, kind, 9))
    return [one.stage for one in checked_stages("mine", Yields(given), problem)]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["search", "search"], "method=mine calls a stage 'search' as one before it is called, give it a name of its"),
        (["search", "refit", "search"], "method=mine calls a stage 'search' as one before it is called, give it a"),
        (["dense"], "method=mine calls a stage 'dense' as the whole model is called, give it a name of its own"),
        ([" "], "a stage is called ' ', give it a name"),
        ([3], "a stage is called 3, give it a name"),
    ],
)
def test_names_by_which_scores_are_recorded(stages: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(f'prunekit/methods/mine.py: {message}')}"):
        stages_of([Compression(stage, left(12)) for stage in stages])
    assert stages_of([Compression("search", left(12)), Compression("refit", left(12))]) == ["search", "refit"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], f"compress yields nothing, {SHOULD}"),
        (None, f"compress returns a NoneType, {SHOULD}"),
        ([left(12)], f"compress yields a Masks, {SHOULD}"),
    ],
)
def test_what_is_no_stage(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(f'prunekit/methods/mine.py: {message}')}$"):
        stages_of(given)


def test_a_method_has_uniform_shapes_only_if_it_says_so() -> None:
    with pytest.raises(UserError, match=r"^uniform: method=mine has no uniform shape, use uniform=false$"):
        chosen_stages("mine", Yields([]), "auto", "auto", uniform=True)
    assert chosen_stages("mine", Yields([]), "auto", "auto", uniform=False) == ("none", "none")
    assert chosen_stages("ziplm", method("ziplm"), "auto", "auto", uniform=True) == ("none", "none")


LEVEL = {"layer": 0, "sublayer": "ffn", "units": 3, "damped_error": 0.2, "measured_error": 0.1, "damping": 0.01}
OF_METHODS = "prunekit/runs/schema/verbs/compress.py"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"lewels": [LEVEL]}], "compress hands a table 'lewels', a method can hand levels, search; another one goes "
                                f"into OF_METHODS of {OF_METHODS}"),
        ([{"kept": [LEVEL]}], "compress hands a table 'kept', a method can hand levels, search; another one goes into "
                              f"OF_METHODS of {OF_METHODS}"),
        ([{"levels": [LEVEL]}, {"levels": [LEVEL]}], "compress hands the table levels twice, hand it with one stage"),
        ([{"levels": [LEVEL | {"units": 2.5}]}], "compress, table levels, row 0, column units: 2.5 is not a whole "
                                                 "number, right would be units that are left (a whole number)"),
        ([{"levels": []}], "compress, table levels: no rows"),
    ],
)  # fmt: skip
def test_tables_that_no_record_has(tables: list[Any], message: str) -> None:
    stages = [Compression(str(at), left(12), tables=own) for at, own in enumerate(tables)]
    with pytest.raises(UserError, match=f"^{re.escape(f'prunekit/methods/mine.py: {message}')}$"):
        stages_of(stages)
    assert stages_of([Compression("a", left(12), tables={"levels": [LEVEL]}), Compression("b", left(12))]) == ["a", "b"]


def test_tables_are_recorded_with_six_digits() -> None:
    row = {"a": 0.123456789, "b": 1234567.8, "c": 3, "d": None, "e": True, "f": "x"}
    assert recorded([row]) == [{"a": 0.123457, "b": 1234570.0, "c": 3, "d": None, "e": True, "f": "x"}]


def test_masks_of_another_model() -> None:
    masks = left(12)
    masks.neurons = masks.neurons[:, :7]
    with pytest.raises(UserError, match=r"masks.neurons has shape \(3, 7\); this model needs \(3, 24\)"):
        stages_of([Compression("search", masks)])


@pytest.mark.parametrize("kind", ["mac", "parameters"])
def test_the_last_stage_is_within_the_budget(kind: str) -> None:
    share = Budget(0.5, kind, 9).share(tiny("bert"), left(12))
    over, within = Compression("search", left(13)), Compression("refit", left(12))
    assert stages_of([over, within], share, kind) == ["search", "refit"]
    what = {"mac": "MACs", "parameters": "parameters"}[kind]
    more = Budget(0.5, kind, 9).share(tiny("bert"), left(13))
    with pytest.raises(UserError, match=rf"^method=mine leaves {more:.6g} of this model's {what}, "
                                        rf"no more than constraint={share:g} may remain; a method keeps"):  # fmt: skip
        stages_of([within, Compression("last", left(13))], share, kind)


def test_it_is_what_python_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = tiny("bert")
    whole = Yields([Compression("search", Masks.ones(describe(model)))])
    monkeypatch.setattr("prunekit.methods.common.compression.named_method", lambda name, options: whole)
    batch = {**batch_for(model, 4, 6), "labels": torch.arange(4) % 3}
    with pytest.raises(UserError, match=r"^method=mine leaves 1 of this model's MACs, no more than constr"):
        prunekit.compress(model, [batch], "mine")
    with pytest.raises(UserError, match=r"^method=mine leaves 1 "):
        compressions(model, [batch], "mine")

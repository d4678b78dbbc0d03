"""What every method of the registry has to do, on every family that it names."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import prunekit
from experiments.cli.composition import CONF
from prunekit.config.choices import REFINEMENTS, REFITS
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.registry import method, method_class, names
from prunekit.methods.common.scored import ScoredMethod
from prunekit.models.families.table import ENCODERS
from prunekit.models.masks import Masks
from prunekit.stages.refit.replaced import replaced
from prunekit.stages.search.budget import Budget
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint
from tests.support.families import tiny
from tests.support.importance import made_up
from tests.support.methods import LENGTH, SHARED, logits, outcome, rows_for, same


def cases() -> list[Any]:
    """Every method with every family that it names: all are slow but BERT, and the one with shared layers for one."""
    quick = [("fisher", family) for family in SHARED]
    return [
        pytest.param(name, family, marks=() if family == "bert" or (name, family) in quick else pytest.mark.slow)
        for name in names()
        for family in method_class(name).families or ENCODERS
    ]


each = pytest.mark.parametrize(("name", "family"), cases())


@each
def test_the_budget_is_met_and_the_model_is_really_smaller(name: str, family: str, tmp_path: Path) -> None:
    model = tiny(family)
    before = model_fingerprint(model)
    result = outcome(name, model)
    assert model_fingerprint(model) == before
    small = result.smaller(model)
    share = prunekit.cost(small, LENGTH).macs / prunekit.cost(model, LENGTH).macs
    assert 0.3 < share <= 0.5
    assert Budget(0.5, "mac", LENGTH).share(model, result.masks) == pytest.approx(share)

    with replaced(model, result.weights), prunekit.gated(model, result.masks):
        gated = logits(model)
    assert model_fingerprint(model) == before
    torch.testing.assert_close(logits(small), gated, rtol=0, atol=1e-10 * max(1.0, float(gated.abs().max())))
    prunekit.save(small, tmp_path / "small")
    reloaded = prunekit.load(tmp_path / "small", dtype=torch.float64)
    torch.testing.assert_close(logits(reloaded), logits(small), rtol=0, atol=0)


@each
def test_the_same_seed_gives_the_same_model(name: str, family: str) -> None:
    model = tiny(family)
    one, other = outcome(name, model, seed=3), outcome(name, model, seed=3)
    assert same(one.masks, other.masks)
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(value, other.weights[key]) for key, value in one.weights.items())


@each
def test_budgets_near_the_ends(name: str, family: str) -> None:
    model = tiny(family)
    nearly_all = outcome(name, model, 0.999)
    assert Budget(0.999, "mac", LENGTH).share(model, nearly_all.masks) <= 0.999
    gone = Masks.ones(prunekit.describe(model)).neurons.numel() - nearly_all.masks.neurons_kept
    assert gone + prunekit.describe(model).heads - nearly_all.masks.heads_kept >= 1
    with pytest.raises(UserError) as refused:
        outcome(name, model, 1e-6)
    message = str(refused.value)
    assert "\n" not in message and message.startswith("constraint: 1e-06 of this model's MACs")
    least = float(re.search(r"it can go down to ([\d.]+)", message).group(1))  # type: ignore[union-attr]
    assert 1e-6 < least < 0.2
    assert Budget(least, "mac", LENGTH).share(model, outcome(name, model, least).masks) <= least
    for constraint in (0.0, 1.0, -0.5, 2.0):
        with pytest.raises(UserError, match="constraint"):
            outcome(name, model, constraint)


@pytest.mark.parametrize("name", names())
def test_what_no_method_can_reach_is_said_before_anything_is_computed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_anything: object, **_more: object) -> None:
        raise AssertionError("taken")

    own, model, other = method_class(name), tiny("bert"), tiny("bert", intermediate_size=20)
    monkeypatch.setattr(model.base_model, "forward", taken)
    if issubclass(own, ScoredMethod):  # not all of them ask the model
        monkeypatch.setattr(own, "scores", taken)
    reached = "latency is less than its" if issubclass(own, ScoredMethod) else "latency leaves no room for a single"
    tables = [made_up(one, {0: 2, 4: 9}, {0: 2, one.config.intermediate_size: 26}) for one in (model, other)]
    for how, message in (
        ({"constraint": 1e-5}, "1e-05 of this model's MACs leaves no room for a single unit; it can go down to 0.0"),
        ({"constraint": 1e-5, "budget": "parameters"}, "1e-05 of this model's parameters leaves no room for a single"),
        ({"constraint": 0.01, "uniform": True}, "0.01 of this model's MACs leaves no room for a head and a neuron in"),
        ({"constraint": 0.1, "budget": "latency", "table": tables[0]}, f"0.1 of this model's {reached}"),
        ({"constraint": 0.9, "budget": "latency", "table": tables[1]}, "it was measured on something else (neurons"),
    ):
        if how.get("budget", "mac") not in own.budgets:
            message = f"budget: method={name} cannot keep latency, it can keep {', '.join(own.budgets)}"
        if how.get("uniform", False) and not own.uniform:
            message = f"uniform: method={name} has no uniform shape"
        with pytest.raises(UserError, match=re.escape(message)):
            outcome(name, model, **how)
    least = Budget(0.5, "mac", LENGTH).costs(model)[1][1] / Budget(0.5, "mac", LENGTH).limit(model) / 2
    with pytest.raises(AssertionError, match="taken"):  # the most that is out of reach, and the least that is not
        outcome(name, model, float(least) * (1 + 1e-9))
    with pytest.raises(UserError, match="leaves no room"):
        outcome(name, model, float(least) * (1 - 1e-9))


@each
def test_a_pruned_model_is_pruned_again(name: str, family: str) -> None:
    model = tiny(family)
    masks = Masks.ones(prunekit.describe(model))
    masks.heads["self"][0] = False  # a sublayer that is empty, and rows of several widths
    masks.heads["self"][1, 0] = False
    masks.neurons[1, ::3] = False
    once = prunekit.prune(model, masks)
    result = outcome(name, once, 0.6)
    small = result.smaller(once)
    assert prunekit.cost(small, LENGTH).macs <= 0.6 * prunekit.cost(once, LENGTH).macs
    with replaced(once, result.weights), prunekit.gated(once, result.masks):
        gated = logits(once)
    torch.testing.assert_close(logits(small), gated, rtol=0, atol=1e-10 * max(1.0, float(gated.abs().max())))


@pytest.mark.parametrize("name", names())
def test_a_method_says_what_it_is(name: str) -> None:
    own = method_class(name)
    assert own.__doc__ and own.paper
    assert {type(own.labels), type(own.gradients), type(own.training)} == {bool}
    assert set(own.refinements) <= set(REFINEMENTS) and set(own.refits) <= set(REFITS)
    preset: Any = OmegaConf.to_container(OmegaConf.load(CONF / "method" / f"{name}.yaml"))
    made = method(name)
    assert preset == {"name": name, **({"options": vars(made)} if vars(made) else {})}


@pytest.mark.parametrize("name", names())
def test_no_labels_where_none_are_needed(name: str) -> None:
    model = tiny("bert")
    if method_class(name).labels:
        with pytest.raises(UserError, match="labels"):
            compressions(model, rows_for(model, labelled=False), name)
        own = compressions(model, rows_for(model, labelled=True), name, labels="predicted")
        assert own[-1].masks.neurons_kept
    else:
        one = compressions(model, rows_for(model, labelled=False), name)[-1]
        other = compressions(model, rows_for(model, labelled=True), name)[-1]
        assert same(one.masks, other.masks)
        with pytest.raises(UserError, match=f"^labels: method={name} looks at no label, use labels=gold$"):
            compressions(model, rows_for(model, labelled=True), name, labels="predicted")


UNIFORM = [name for name in names() if method_class(name).uniform]
"""Whether a method has a uniform shape is for it to say; all of this repository have."""


@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize("budget", ["mac", "parameters"])
def test_a_uniform_shape(name: str, budget: str) -> None:
    model = tiny("bert")
    result = outcome(name, model, budget=budget, uniform=True)
    layout = prunekit.describe(result.smaller(model))
    assert len({shape.heads for shape in layout.attention}) == len({shape.neurons for shape in layout.ffn}) == 1
    assert layout.attention[0].heads and layout.ffn[0].neurons
    assert Budget(0.5, budget, LENGTH).share(model, result.masks) <= 0.5


@pytest.mark.parametrize("name", UNIFORM)
def test_a_uniform_shape_with_all_heads_is_one_of_stock_transformers(name: str, tmp_path: Path) -> None:
    model = tiny("bert")
    result = outcome(name, model, 0.7, uniform=True, all_heads=True)
    assert result.masks.heads["self"].bool().all()
    assert len(set(result.masks.neurons.bool().sum(1).tolist())) == 1
    assert 0.5 < Budget(0.7, "mac", LENGTH).share(model, result.masks) <= 0.7
    written = prunekit.export(result.smaller(model), tmp_path / "out", "plain")
    assert written.parameters == result.smaller(model).num_parameters() and written.lost == ()
    with pytest.raises(UserError, match=r"^all_heads: it is of uniform shapes, use uniform=true with it$"):
        outcome(name, model, 0.7, all_heads=True)


@pytest.mark.parametrize("name", names())
def test_one_calibration_serves_all_budgets(name: str, tmp_path: Path) -> None:
    model = tiny("bert")
    plain = outcome(name, model, 0.4)
    outcome(name, model, 0.7, folder=tmp_path)
    entries = sorted(tmp_path.glob("cache/*/*"))
    kept = outcome(name, model, 0.4, folder=tmp_path)
    assert sorted(tmp_path.glob("cache/*/*")) == entries
    assert same(kept.masks, plain.masks)


@pytest.mark.parametrize("name", names())
def test_what_a_method_cannot_do_is_said_in_a_line(name: str) -> None:
    model, own = tiny("bert"), method_class(name)
    batches = rows_for(model, own.labels)
    for how, start in (
        ({"refine": "swop"}, "refine: 'swop' is unknown, did you mean 'swap'?"),
        ({"refit": "wieghts"}, "refit: 'wieghts' is unknown, did you mean 'weights'?"),
        ({"options": {"dampening": 1}}, "method.options.dampening: there is no such option"),
        ({"budget": "macs"}, "budget: 'macs' is unknown, did you mean 'mac'?"),
        ({"budget": "latency"}, "budget: a latency table is needed with budget=latency"
         if "latency" in own.budgets else f"budget: method={name} cannot keep latency, it can keep mac, parameters"),
    ):
        with pytest.raises(UserError, match=re.escape(start)) as refused:
            compressions(model, batches, name, **how)
        assert "\n" not in str(refused.value)
    for setting, all_stages, fitting in (("refine", REFINEMENTS, own.refinements), ("refit", REFITS, own.refits)):
        for stage in set(all_stages) - set(fitting):
            with pytest.raises(UserError, match=f"{setting}: method={name} cannot use {stage}, it can use"):
                compressions(model, batches, name, **{setting: stage})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="batches: there are none"):
        compressions(model, [], name)
    damaged = copy.deepcopy(model)
    next(damaged.parameters()).data.fill_(torch.nan)
    if own.gradients or (own.families is None and name not in ("magnitude", "random")):
        with pytest.raises(UserError, match="not finite"):
            compressions(damaged, batches, name)


def test_a_near_name_is_offered() -> None:
    with pytest.raises(UserError, match="method: 'fischer' is unknown, did you mean 'fisher'"):
        prunekit.compress(tiny("bert"), [], method="fischer")

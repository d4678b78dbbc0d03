"""CoFi's stages on a tiny student: the target is met, the pruned model is what was learned, resume is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prunekit.cofi.distillation import DistillationObjective
from prunekit.cofi.fixed import Pruned, train_fixed
from prunekit.cofi.pruning import Cofi
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.sparsity import PrunableSize
from prunekit.cofi.structures import drawn, small_dense, whole_layers
from prunekit.data.batches import Examples
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.blocks import blocks, describe
from prunekit.models.checkpoints import build
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from prunekit.training.loop import Context
from prunekit.training.state import changed_inputs
from tests.support.trainings import RECIPE, SHAPE, STUDENT, TASK


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(640))


@pytest.fixture(scope="module")
def few(examples: Examples) -> Examples:
    """Ten steps an epoch, for what does not depend on how well the gates have learned."""
    return examples.take(range(320))


@pytest.fixture(scope="module")
def undisturbed(few: Examples, tmp_path_factory: pytest.TempPathFactory) -> Pruned:
    return prune_tiny(few, tmp_path_factory.mktemp("undisturbed"))[0]


class KilledError(Exception):
    pass


def prune_tiny(
    examples: Examples, folder: Path, recipe: Recipe = RECIPE, *, die_at: int | None = None, cache: Path | None = None,
    **options: Any,
) -> tuple[Pruned, dict[int, dict[str, Any]]]:
    teacher, student = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    logged: dict[int, dict[str, Any]] = {}
    steps = 0

    def on_step(done: int) -> None:
        nonlocal steps
        steps += done
        if steps == die_at:
            raise KilledError

    context = Context(
        examples=examples, device=torch.device("cpu"), folder=folder, identity={"recipe": repr(recipe)},
        on_log=logged.__setitem__, on_step=on_step, **options,
    )  # fmt: skip
    return Cofi(teacher, student, recipe, score_of(examples), context, cache).run(), logged


def score_of(examples: Examples) -> Callable[[Any], float]:
    batch = examples.batch(range(64))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}

    def score(model: Any) -> float:
        with torch.no_grad():
            return float((model(**inputs).logits.argmax(-1) == batch["labels"]).float().mean())

    return score


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_target_is_met_and_counted_on_what_is_left(examples: Examples, tmp_path: Path) -> None:
    found, logged = prune_tiny(examples, tmp_path)
    assert not found.missed
    assert found.sparsity["counted"] == pytest.approx(RECIPE.sparsity, abs=0.01)
    assert found.sparsity["expected"] >= RECIPE.sparsity - 0.005
    whole = build("bert", SHAPE, 3)
    size = PrunableSize.of(whole)
    left = sum(
        part.weight.numel()
        for block in blocks(found.model)
        for part in (block.q, block.k, block.v, block.o, block.ffn_in, block.ffn_out)
        if isinstance(part, torch.nn.Linear)
    )
    assert 1 - left / size.total == pytest.approx(found.sparsity["counted"])
    assert sum(p.numel() for p in found.model.parameters()) < sum(p.numel() for p in whole.parameters())
    lines = list(logged.values())
    assert [line["stage"] for line in lines[:1]] == ["distil"] and lines[-1]["stage"] == "finetune"
    targets = [line["target_sparsity"] for line in lines if line["stage"] == "prune"]
    assert targets == sorted(targets) and targets[-1] == pytest.approx(0.6)
    assert sorted(logged) == list(logged)
    assert {"expected_sparsity", "linear_multiplier", "layer_loss", "prediction_loss"} <= lines[5].keys()


def test_gates_that_are_left_as_learned_reach_the_target_only_if_it_is_gone(few: Examples, tmp_path: Path) -> None:
    """``released`` has no upper bound when it chooses weights; what is said of them has."""
    student = replace(STUDENT, distil_epochs=0, finetune_epochs=0)
    found, _ = prune_tiny(few, tmp_path, replace(RECIPE, variant="released", student=student))
    counted = found.sparsity["counted"]
    assert counted == found.sparsity["counted_as_learned"]
    assert found.stages["prune"].best is not None and abs(counted - RECIPE.sparsity) > 0.01
    assert found.missed == f"the counted sparsity is {counted:.3f}, as the gates were learned"


@pytest.mark.parametrize("die_at", [*(pytest.param(step, marks=pytest.mark.slow) for step in (7, 65)), 37, 75])
def test_a_killed_training_ends_the_same(few: Examples, undisturbed: Pruned, tmp_path: Path, die_at: int) -> None:
    """In every stage; dropout and the draws of gates hold the random state to account."""
    with pytest.raises(KilledError):
        prune_tiny(few, tmp_path, die_at=die_at, checkpoint_seconds=0.0)
    again, _ = prune_tiny(few, tmp_path, checkpoint_seconds=0.0)
    assert torch.equal(weights(undisturbed.model), weights(again.model))
    assert undisturbed.sparsity == again.sparsity
    assert undisturbed.stages == again.stages


def test_another_recipe_does_not_go_on(few: Examples, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        prune_tiny(few, tmp_path, die_at=7, checkpoint_seconds=0.0)
    prune_tiny(few, tmp_path, checkpoint_seconds=0.0)
    with pytest.raises(UserError, match="belongs to another training"):
        prune_tiny(few, tmp_path, replace(RECIPE, sparsity=0.5))


def test_another_teacher_is_learned_from_anew(few: Examples, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        prune_tiny(few, tmp_path, die_at=37, checkpoint_seconds=0.0, inputs={"teacher": "old"})
    assert changed_inputs(tmp_path / "distil.safetensors", {"teacher": "new"}) == ["teacher"]
    with pytest.raises(KilledError):  # what goes on begins with the steps of its checkpoint
        prune_tiny(few, tmp_path, die_at=1, inputs={"teacher": "new"})


@pytest.mark.slow
def test_another_teacher_is_learned_from_anew_in_every_stage(examples: Examples, tmp_path: Path) -> None:
    """But a warm-up that others share is of nothing but what its key says."""
    whole, logged = prune_tiny(examples, tmp_path / "whole")
    with pytest.raises(KilledError):
        prune_tiny(examples, tmp_path / "killed", die_at=130, checkpoint_seconds=0.0, inputs={"teacher": "old"})
    again, lines = prune_tiny(examples, tmp_path / "killed", inputs={"teacher": "new"})
    assert list(lines) == list(logged)  # from the first step on
    assert torch.equal(weights(whole.model), weights(again.model))
    cache = tmp_path / "cache"
    for selection in ("one", "other"):
        prune_tiny(examples, tmp_path / selection, cache=cache, inputs={"selection": selection})
    [checkpoint] = cache.glob("cache/*/*/distil.safetensors")
    assert changed_inputs(checkpoint, {"selection": "third"}) == []


def test_embeddings_stay(few: Examples, tmp_path: Path) -> None:
    recipe = replace(RECIPE, units=("heads", "neurons"), sparsity=0.4)
    found, _ = prune_tiny(few, tmp_path, recipe)
    before = build("bert", SHAPE, 3, seed=2).get_parameter("bert.embeddings.word_embeddings.weight")
    assert torch.equal(found.model.get_parameter("bert.embeddings.word_embeddings.weight"), before)
    assert found.masks is not None and found.masks.hidden is not None
    assert bool((found.masks.hidden == 1).all())


def test_students_that_do_not_fit(examples: Examples, tmp_path: Path) -> None:
    context = Context(examples=examples, device=torch.device("cpu"), folder=tmp_path)
    teacher = build("bert", SHAPE, 3)
    for change, told in (
        ({"num_labels": 2}, "labels is 2, the teacher's 3"),
        ({"hidden_size": 32}, "hidden size is 32, the teacher's 16"),
        ({"num_hidden_layers": 1}, "layers is 1, the teacher's 2"),
        ({"vocab_size": 99}, "vocabulary is 99"),
    ):
        shape = {**SHAPE, **{name: value for name, value in change.items() if name != "num_labels"}}
        with pytest.raises(UserError, match=f"student: its {told}"):
            Cofi(teacher, build("bert", shape, change.get("num_labels", 3)), RECIPE, lambda model: 0.0, context)
    with pytest.raises(UserError, match=r"sparsity: 0.9 is out of reach for gates of heads"):
        recipe = replace(RECIPE, sparsity=0.9, units=("heads",))
        Cofi(teacher, build("bert", SHAPE, 3), recipe, lambda model: 0.0, context)


def test_trainings_share_their_warm_up(few: Examples, tmp_path: Path) -> None:
    """One target after another, and the same target without a cache: the same lines, steps and numbers."""
    trained: list[Pruned] = []

    def steps_of(recipe: Recipe, **options: Any) -> tuple[Pruned, dict[int, dict[str, Any]], int]:
        calls = 0
        real = Examples.batch

        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            return real(*arguments, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Examples, "batch", counting)
            found, logged = prune_tiny(few, tmp_path / str(len(trained)), recipe, **options)
        trained.append(found)
        return found, logged, calls

    student = replace(STUDENT, teacher_gigabytes=0.0)
    first, second = (replace(RECIPE, student=student, sparsity=target) for target in (0.5, 0.6))
    _, _, whole = steps_of(first, cache=tmp_path)
    found, lines, less = steps_of(second, cache=tmp_path)
    alone, expected, _ = steps_of(second)
    assert whole - less == 10  # one epoch of 320 rows
    assert torch.equal(weights(found.model), weights(alone.model))
    assert lines == expected and lines[10]["stage"] == "distil"
    assert found.stages == alone.stages


def test_another_objective_has_another_warm_up(few: Examples, tmp_path: Path) -> None:
    for recipe in (RECIPE, replace(RECIPE, matching="none"), replace(RECIPE, learn_from="labels")):
        with pytest.raises(KilledError):  # soon after its warm-up
            prune_tiny(few, tmp_path / recipe.matching / recipe.learn_from, recipe, die_at=12, cache=tmp_path)
    assert len(list((tmp_path / "cache" / "distilled").iterdir())) == 3


def test_labels_without_layers_need_no_teacher(examples: Examples, tmp_path: Path) -> None:
    recipe = replace(RECIPE, matching="none", learn_from="labels")
    model = build("bert", SHAPE, 3)
    objective = DistillationObjective(model, model, recipe, examples, torch.device("cpu"))
    assert objective.outputs_of is None
    batch = examples.batch(range(8))
    output = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")})
    loss, values = objective(batch, output, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(output.logits, batch["labels"]))
    assert values.keys() == {"prediction_loss"}


@pytest.mark.parametrize("structure", ["layers", "dense"])
def test_a_fixed_shape_is_trained_as_long(few: Examples, tmp_path: Path, structure: str) -> None:
    teacher = build("bert", SHAPE, 3, seed=1)
    masks = whole_layers(teacher, 0.5) if structure == "layers" else None
    model = small_dense(teacher, 0.5, 0) if masks is None else prune(teacher, masks)
    before = model.get_parameter("bert.embeddings.word_embeddings.weight").detach().clone()
    context = Context(examples=few, device=torch.device("cpu"), folder=tmp_path)
    found = train_fixed(teacher, model, masks, RECIPE, score_of(few), context)
    assert {name: stage.step for name, stage in found.stages.items()} == {"train": 70, "finetune": 10}
    assert found.sparsity["counted"] == pytest.approx(0.5, abs=0.01)
    after = found.model.get_parameter("bert.embeddings.word_embeddings.weight")
    assert torch.equal(before, after) == (structure == "layers")
    assert found.stages["finetune"].best == score_of(few)(found.model)


def test_random_units_after_the_same_warm_up(few: Examples, tmp_path: Path) -> None:
    teacher, student = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    context = Context(examples=few, device=torch.device("cpu"), folder=tmp_path)
    cofi = Cofi(teacher, student, RECIPE, score_of(few), context)
    shape = {"heads": [2, 1], "neurons": [9, 7], "hidden": [12], "self layers": [1, 1], "ffn layers": [1, 1]}
    masks = drawn(student, shape, 0)
    found = cofi.run_with(masks)
    assert {name: stage.step for name, stage in found.stages.items()} == {"distil": 10, "train": 60, "finetune": 10}
    assert found.sparsity == {"counted": pytest.approx(1 - 12 * (3 * 16 + 16 * 2) / PrunableSize.of(teacher).total)}
    assert describe(found.model).hidden == 12


def test_a_loss_that_is_not_finite(examples: Examples, tmp_path: Path) -> None:
    """The step and the last good checkpoint are told, and that checkpoint is still there."""
    recipe = replace(RECIPE, student=replace(STUDENT, learning_rate=1e25, distil_epochs=0))
    told = r"the loss is (nan|inf) at step \d+, there is no checkpoint yet; lower student.learning_rate"
    with pytest.raises(UserError, match=told):
        prune_tiny(examples, tmp_path / "a", recipe)
    with pytest.raises(KilledError):
        prune_tiny(examples, tmp_path / "b", die_at=45, checkpoint_seconds=0.0)
    real = DistillationObjective.__call__
    with pytest.MonkeyPatch.context() as patch:

        def poisoned(*given: Any, **named: Any) -> Any:
            return real(*given, **named)[0] * float("nan"), {}

        patch.setattr(DistillationObjective, "__call__", poisoned)
        told = r"the loss is nan at step 41, the last good checkpoint is .*prune.safetensors"
        with pytest.raises(UserError, match=told):
            prune_tiny(examples, tmp_path / "b", checkpoint_seconds=0.0)
    found, _ = prune_tiny(examples, tmp_path / "b")
    assert not found.missed

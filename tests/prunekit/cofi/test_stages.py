"""What every stage of CoFi is given: seeds, learning rates, clipped parameters, the direction of the multipliers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from prunekit.cofi import fixed
from prunekit.cofi.distillation import DistillationObjective
from prunekit.cofi.pruning import Cofi
from prunekit.data.batches import Examples
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.blocks import describe
from prunekit.models.checkpoints import build
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.training.loop import Context, Stage, StageState
from tests.support.trainings import RECIPE, SHAPE, STUDENT, TASK

RATE, FINETUNE_RATE, SEED = 1e-3, 3e-3, 5
HOW = replace(RECIPE, seed=SEED, student=replace(STUDENT, learning_rate=RATE, finetune_learning_rate=FINETUNE_RATE))


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(64))


@pytest.fixture
def cofi(examples: Examples) -> Cofi:
    teacher, student = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    return Cofi(teacher, student, HOW, lambda model: 0.0, Context(examples=examples, device=torch.device("cpu")))


def fixed_stages(cofi: Cofi, offset: int) -> Iterator[Stage]:
    """Those of a shape that is fixed, with the steps before them; nothing is trained."""
    seen: list[Stage] = []

    def ran(stage: Stage, context: Context) -> StageState:
        seen.append(stage)
        return StageState(step=stage.steps)

    masks = Masks.ones(describe(cofi.student))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed, "run", ran)
        model = prune(cofi.student, masks)
        epochs = {"train": 2, "finetune": 1}
        fixed.fixed_stages(model, masks, cofi.objective, lambda model: 0.0, cofi.context, offset, epochs)
    yield from seen


def all_stages(cofi: Cofi) -> dict[str, Stage]:
    stages = [cofi.distillation_stage(), cofi.pruning_stage(2), *fixed_stages(cofi, 14)]
    return {stage.name: stage for stage in stages}


def rate_before(stage: Stage, step: int) -> float:
    stage.before_step(step, stage.steps)
    optimizer = next(own for name, own in stage.optimizers.items() if name in ("student_optimizer", "model_optimizer"))
    return float(optimizer.param_groups[0]["lr"])


def test_seeds_and_steps_of_every_stage(cofi: Cofi) -> None:
    """The order of the data is of the recipe's seed in all stages; what is drawn goes on from stage to stage."""
    stages = all_stages(cofi)
    steps = {"distil": 2, "prune": 12, "train": 4, "finetune": 2}
    assert {name: stage.steps for name, stage in stages.items()} == steps
    assert {stage.seed for stage in stages.values()} == {SEED}
    firsts = {"distil": 0, "prune": 2, "train": 14, "finetune": 18}
    assert {name: stage.first_step for name, stage in stages.items()} == firsts
    assert {name: stage.random_seed for name, stage in stages.items()} == {n: SEED + 1 + at for n, at in firsts.items()}


def test_learning_rates_of_every_stage(cofi: Cofi) -> None:
    """It falls to 0 in each stage but the last, which has a constant one of its own."""
    for name, stage in all_stages(cofi).items():
        first, middle, last = (rate_before(stage, step) for step in (0, stage.steps // 2, stage.steps - 1))
        if name == "finetune":
            assert first == middle == last == FINETUNE_RATE
        else:
            assert (first, middle) == (pytest.approx(RATE), pytest.approx(RATE / 2))
            assert last == pytest.approx(RATE / stage.steps)


def test_gradients_of_all_that_is_trained_of_the_student_are_clipped(cofi: Cofi) -> None:
    for name, stage in all_stages(cofi).items():
        model: Any = stage.modules["model" if name in ("train", "finetune") else "student"]
        own = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        assert {id(parameter) for parameter in stage.clipped} == own and own
        assert stage.max_grad_norm == 1.0


def test_weights_of_the_student_and_of_the_map_decay_and_nothing_else_does(cofi: Cofi) -> None:
    def stages() -> Iterator[Stage]:  # one after the other: a fixed shape has a map of its own
        yield cofi.distillation_stage()
        yield cofi.pruning_stage(2)
        yield from fixed_stages(cofi, 14)

    for stage in stages():
        whose = "model" if stage.name in ("train", "finetune") else "student"
        groups, model = stage.optimizers[f"{whose}_optimizer"].param_groups, stage.modules[whose]
        decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        both = {id(parameter): parameter.ndim for parameter in (*trained, *stage.modules["layers"].parameters())}
        assert decay == {number: 0.01 if dimensions == 2 else 0.0 for number, dimensions in both.items()}
        assert set(decay.values()) == {0.0, 0.01}


def test_only_the_last_stage_of_a_fixed_shape_is_judged(cofi: Cofi) -> None:
    stages = all_stages(cofi)
    assert {name for name, stage in stages.items() if stage.score is not None} == {"prune", "finetune"}


def test_multipliers_ascend_and_gates_descend(cofi: Cofi) -> None:
    """Above the target both multipliers rise with what is too much; below it, the linear one falls."""
    stage = cofi.pruning_stage(0)
    for target, sign in ((-0.5, 1), (1.5, -1)):  # the sparsity is above, below
        before = [float(value.detach()) for value in (cofi.constraint.linear, cofi.constraint.quadratic)]
        cofi.constraint.zero_grad()
        cofi.constraint.target = cofi.constraint.start = target
        cofi.constraint(torch.tensor(0.5), 10**6).backward()
        optimizer = stage.optimizers["constraint_optimizer"]
        optimizer.state.clear()
        optimizer.step()
        assert (float(cofi.constraint.linear.detach()) - before[0]) * sign > 0
        assert float(cofi.constraint.quadratic.detach()) > before[1]
    log_alpha = cofi.gates.log_alpha["heads"]
    cofi.gates.zero_grad()
    log_alpha.grad = torch.ones_like(log_alpha)
    old = log_alpha.detach().clone()
    stage.optimizers["gates_optimizer"].step()
    assert bool((log_alpha.detach() < old).all())


@pytest.mark.parametrize(
    ("gates", "multipliers", "epochs", "expected"),
    [
        (0.3, 0.7, 6, (0.3, 0.7)), (0.3, None, 6, (0.3, 0.3)),
        (None, None, 6, (0.01 * 3000 / 12,) * 2), (None, None, 1500, (0.01, 0.01)), (None, None, 2000, (0.01, 0.01)),
    ],
)  # fmt: skip
def test_gates_and_multipliers_have_rates_of_their_own_and_no_decay(
    examples: Examples, gates: float | None, multipliers: float | None, epochs: int, expected: tuple[float, float]
) -> None:
    """Of 64 examples in batches of 32: short schedules have a rate above 0.01, in proportion to 3,000 steps."""
    student = replace(HOW.student, gates_learning_rate=gates, multipliers_learning_rate=multipliers,
                      prune_epochs=epochs)  # fmt: skip
    models = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    context = Context(examples=examples, device=torch.device("cpu"))
    stage = Cofi(*models, replace(HOW, student=student), lambda model: 0.0, context).pruning_stage(0)
    groups = [group for name in ("gates_optimizer", "constraint_optimizer")
              for group in stage.optimizers[name].param_groups]  # fmt: skip
    assert [group["lr"] for group in groups] == pytest.approx(expected)
    assert [(group["weight_decay"], group["maximize"]) for group in groups] == [(0, False), (0, True)]


@pytest.mark.parametrize("weight", [0.25, 0.9])
def test_the_prediction_weight_is_of_the_answers(examples: Examples, weight: float) -> None:
    teacher, student = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    recipe = replace(RECIPE, prediction_weight=weight)
    objective = DistillationObjective(teacher, student, recipe, examples, torch.device("cpu"))
    batch = examples.batch(range(4))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    output = student.eval()(**inputs, output_hidden_states=True)
    loss, parts = objective(batch, output, torch.ones(2, dtype=torch.bool))
    assert float(parts["layer_loss"]) != pytest.approx(float(parts["prediction_loss"]), rel=0.1)
    torch.testing.assert_close(loss, weight * parts["prediction_loss"] + (1 - weight) * parts["layer_loss"])

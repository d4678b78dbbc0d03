import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from prunekit.config.sections import TrainConfig
from prunekit.data.batches import Examples
from prunekit.data.kinds import encode
from prunekit.data.losses import task_loss
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.checkpoints import build
from prunekit.support.errors import UserError
from prunekit.training import finetuning
from prunekit.training.finetuning import inverse_sqrt, linear, retrain, train, training_attention
from prunekit.training.loop import Context, Stage, StageRun, StageState
from tests.support import families
from tests.support.trainings import TASK
from tests.support.translators import translator

CONFIG = TrainConfig(epochs=2, batch_size=16, learning_rate=1e-3)
CPU = torch.device("cpu")


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer())


SHAPE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": len(demo_tokenizer()), "pad_token_id": demo_tokenizer().pad_token_id,
}  # fmt: skip


def tiny() -> Any:
    return build("bert", SHAPE, 3)


def fit(
    model: Any, examples: Examples, config: TrainConfig, *, folder: Path, evaluate: Any = None, **options: Any
) -> StageState:
    context = Context(examples=examples, device=CPU, folder=folder, **options)
    return train(model, config, context, evaluate=evaluate)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@dataclass
class Trained:
    model: Any
    losses: dict[int, float]
    checkpoint: Path

    def copied(self, folder: Path) -> Path:
        """The checkpoint for a training that goes on in another folder."""
        return Path(shutil.copy(self.checkpoint, folder))


@pytest.fixture(scope="module")
def whole(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training to its end, which nothing has disturbed."""
    model, folder, losses = tiny(), tmp_path_factory.mktemp("whole"), dict[int, float]()
    fit(model, examples, CONFIG, folder=folder, on_log=lambda step, values: losses.__setitem__(step, values["loss"]))
    return Trained(model, losses, folder / "checkpoint.safetensors")


def test_a_killed_training_ends_with_the_same_weights(examples: Examples, whole: Trained, tmp_path: Path) -> None:
    """Dropout is on, so this also holds the random state to account."""
    resumed, losses = tiny(), dict[int, float]()
    steps = 0

    def die(done: int) -> None:
        nonlocal steps
        steps += done
        if steps == 170:
            raise KilledError

    arguments: dict[str, Any] = {
        "folder": tmp_path, "checkpoint_seconds": 0.0,
        "on_log": lambda step, values: losses.__setitem__(step, values["loss"]),
    }  # fmt: skip
    with pytest.raises(KilledError):
        fit(resumed, examples, CONFIG, on_step=die, **arguments)
    again, started = tiny(), list[int]()
    state = fit(again, examples, CONFIG, on_resume=started.append, **arguments)
    assert started == [150]
    assert state.step == 240
    assert torch.equal(weights(whole.model), weights(again))
    assert whole.losses == losses


def test_best_weights_are_kept(examples: Examples, tmp_path: Path) -> None:
    """Of equally good ones the first."""
    config = TrainConfig(epochs=4, batch_size=64, learning_rate=1e-3, keep="best")
    scores, judged = [0.2, 0.9, 0.9, 0.5], list[torch.Tensor]()

    def evaluate(model: torch.nn.Module) -> float:
        judged.append(weights(model).clone())
        return scores[len(judged) - 1]

    model = tiny()
    state = fit(model, examples, config, folder=tmp_path, evaluate=evaluate)
    assert (state.best, state.best_step) == (0.9, 60)
    assert torch.equal(weights(model), judged[1])


def test_training_lowers_the_loss(whole: Trained) -> None:
    losses = list(whole.losses.values())
    assert losses[0] == pytest.approx(math.log(3), abs=0.1)
    assert losses[-1] < losses[0]


def test_an_infinite_loss_names_the_step(examples: Examples, tmp_path: Path) -> None:
    model = tiny()
    seen = 0

    def poison(done: int) -> None:
        nonlocal seen
        seen += done
        if seen == 70:
            model.classifier.bias.data.fill_(torch.nan)

    arguments: dict[str, Any] = {"folder": tmp_path, "checkpoint_seconds": 0.0, "on_step": poison}
    with pytest.raises(UserError, match=r"the loss is nan at step 71, the last good checkpoint is .*safetensors"):
        fit(model, examples, CONFIG, **arguments)


def test_a_checkpoint_from_before_there_were_stages_goes_on(examples: Examples, whole: Trained, tmp_path: Path) -> None:
    """It names no stage, and its best score was below all numbers."""
    resumed, path = tiny(), whole.copied(tmp_path)
    with safe_open(path, framework="pt") as file:
        notes, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert notes.keys() == {"config", "total", "progress"}
    steps = json.loads(notes["progress"])["step"]
    old = json.dumps({"step": steps, "best": -math.inf, "best_step": 0})
    save_file(tensors, path, metadata={**notes, "progress": old})
    state = fit(resumed, examples, CONFIG, folder=tmp_path)
    assert (state.step, state.best) == (steps, None)
    assert torch.equal(weights(resumed), weights(whole.model))


def test_a_damaged_checkpoint_is_named(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"checkpoint .* is damaged .* delete it to train from the start"):
        fit(tiny(), examples, CONFIG, folder=tmp_path)


def test_another_trainings_checkpoint_is_refused(examples: Examples, whole: Trained, tmp_path: Path) -> None:
    whole.copied(tmp_path)
    with pytest.raises(UserError, match="belongs to another training"):
        fit(tiny(), examples, TrainConfig(epochs=1), folder=tmp_path)


def test_the_checkpoint_of_another_model_is_refused(examples: Examples, whole: Trained, tmp_path: Path) -> None:
    whole.copied(tmp_path)
    wider = build("bert", {**SHAPE, "intermediate_size": 32}, 3)
    with pytest.raises(UserError, match="belongs to another training"):
        fit(wider, examples, CONFIG, folder=tmp_path)
    save_file(tiny().state_dict(), tmp_path / "checkpoint.safetensors")
    with pytest.raises(UserError, match="belongs to another training"):
        fit(tiny(), examples, CONFIG, folder=tmp_path)


def test_other_rows_are_trained_on_anew(examples: Examples, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Never half on each, whatever their number; what a checkpoint says nothing of was the same."""
    whole, other = tiny(), examples.take(range(960))
    fit(whole, other, CONFIG, folder=tmp_path / "whole")
    folder, inputs = tmp_path / "edited", {"examples": examples.fingerprint()}

    def die(done: int) -> None:
        if done == 1:
            died.append(done)
        if len(died) == 90:
            raise KilledError

    died: list[int] = []
    with pytest.raises(KilledError):
        fit(tiny(), examples, CONFIG, folder=folder, inputs=inputs, checkpoint_seconds=0.0, on_step=die)
    went_on: list[int] = []
    with pytest.raises(KilledError):
        died.clear()
        known = {**inputs, "start": "of a newer version"}
        fit(tiny(), examples, CONFIG, folder=folder, inputs=known, on_step=die, on_resume=went_on.append)
    assert (went_on, caplog.messages) == ([50], [])
    again = tiny()
    inputs = {"examples": other.fingerprint()}
    state = fit(again, other, CONFIG, folder=folder, inputs=inputs, on_resume=went_on.append)
    assert went_on == [50, 0]
    assert state.step == 120
    assert torch.equal(weights(whole), weights(again))
    [line] = caplog.messages
    assert line.endswith("not gone on with, its examples had another content; training anew")


def test_losses_of_examples() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = torch.tensor([math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))])
    torch.testing.assert_close(task_loss(logits, torch.tensor([0, 0])), expected)
    torch.testing.assert_close(task_loss(logits[:, :1], torch.tensor([1.0, 3.0])), torch.tensor([1.0, 9.0]))


def test_retraining_moves_the_weights_the_same_way_every_time(examples: Examples) -> None:
    first, second, before = tiny(), tiny(), tiny()
    for model in (first, second):
        retrain(model, examples, steps=3, batch_size=8, learning_rate=0.01, seed=1)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(before))
    assert not first.training
    with pytest.raises(UserError, match="lower retrain_learning_rate"):
        retrain(first, examples, steps=30, batch_size=8, learning_rate=1e12, seed=1)


@pytest.mark.parametrize(
    ("family", "precision", "attention", "inside"),
    [
        ("marian", "bfloat16", None, "eager"), ("marian", "float32", None, "sdpa"), ("bert", "bfloat16", None, "sdpa"),
        ("marian", "bfloat16", "sdpa", "sdpa"), ("bert", "bfloat16", "eager", "eager"),
        ("bert", "float32", "eager", "eager"), ("mpnet", "bfloat16", "eager", "eager"),
    ],
)  # fmt: skip
def test_attention_is_eager_only_while_a_translator_trains_in_bfloat16_or_a_recipe_says_so(
    family: str, precision: str, attention: str | None, inside: str
) -> None:
    model = translator(family) if family == "marian" else families.tiny(family)
    config = TrainConfig(precision=precision, attention=attention)
    with pytest.raises(KilledError), training_attention(model, CPU, config):
        assert model.config._attn_implementation == inside
        raise KilledError
    assert model.config._attn_implementation == "sdpa"


def test_only_gradients_that_are_longer_than_allowed_are_shortened(examples: Examples) -> None:
    """All clipped parameters together, to the length that the stage says; others are left alone."""
    layers = [torch.nn.Linear(1, 1, bias=False) for _ in range(3)]
    parameters = [layer.get_parameter("weight") for layer in layers]
    for length, expected in ((0.5, [-0.3, -0.4, -7.0]), (10.0, [-3.0, -4.0, -7.0])):
        for parameter in parameters:
            parameter.data.zero_()
        stage = Stage(
            name="clip", steps=1, batch_size=2, seed=0, random_seed=0, modules={"layers": torch.nn.ModuleList(layers)},
            optimizers={"optimizer": torch.optim.SGD(parameters, lr=1.0)},
            loss=lambda batch, step: ((torch.cat([*parameters]).flatten() * torch.tensor([3.0, 4.0, 7.0])).sum(), {}),
            clipped=parameters[:2], max_grad_norm=length,
        )  # fmt: skip
        StageRun(stage, Context(examples=examples, device=CPU)).step(np.arange(2))
        moved = torch.cat([*parameters]).detach().flatten()
        torch.testing.assert_close(moved, torch.tensor(expected), atol=1e-4, rtol=0)


def test_a_training_takes_seed_and_clipping_from_its_settings(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Stage] = []

    def ran(stage: Stage, context: Context) -> StageState:
        seen.append(stage)
        return StageState()

    monkeypatch.setattr(finetuning, "run", ran)
    model, context = tiny(), Context(examples=examples, device=CPU)
    train(model, TrainConfig(epochs=1, batch_size=16, seed=7, max_grad_norm=0.25), context)
    retrain(model, examples, steps=3, batch_size=8, learning_rate=0.01, seed=9)
    teacher, short = seen
    assert (teacher.seed, teacher.random_seed, teacher.max_grad_norm) == (7, 8, 0.25)
    assert [id(parameter) for parameter in teacher.clipped] == [id(parameter) for parameter in model.parameters()]
    assert (short.seed, short.random_seed, short.steps, short.clipped) == (9, 9, 3, [])


def test_rates_rise_to_their_peak_and_fall_as_the_schedule_says() -> None:
    """Shares of the peak; of 12 steps a third are warm-up."""
    falling = [linear(step, 12, 1 / 3) for step in (0, 1, 2, 4, 5, 8, 11)]
    assert falling == pytest.approx([1 / 4, 2 / 4, 3 / 4, 8 / 8, 7 / 8, 4 / 8, 1 / 8])
    assert [linear(step, 4, 0.0) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    rooted = [inverse_sqrt(step, 12, 1 / 3) for step in (0, 1, 3, 8, 11)]
    assert rooted == pytest.approx([1 / 4, 2 / 4, 1, (4 / 9) ** 0.5, (4 / 12) ** 0.5])
    assert inverse_sqrt(0, 12, 0.0) == 1

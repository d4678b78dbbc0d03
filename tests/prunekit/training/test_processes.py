"""A batch shared out over processes gives the gradient of the whole batch, however it divides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from prunekit.config.sections import ModelConfig, RunConfig, Settings
from prunekit.config.task import TaskConfig
from prunekit.runs.execute import Run, execute
from prunekit.runs.finished import FinishedRecord
from prunekit.support.errors import UserError
from prunekit.training import processes


@pytest.mark.parametrize(("examples", "count"), [(6, 1), (6, 2), (7, 2), (5, 3), (1, 2), (1, 4)])
def test_shares_add_up_to_the_mean_of_the_whole(examples: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: count)
    batch, losses = np.arange(10, 10 + examples), np.random.default_rng(0).normal(size=30)
    parts, means = list[int](), list[float]()
    for rank in range(count):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        own, weight = processes.share(batch)
        assert len(own) >= 1  # every process takes the step
        parts += own.tolist() if weight else []
        means.append(weight * losses[own].mean())
    assert sorted(parts) == batch.tolist()
    assert np.mean(means) == pytest.approx(losses[batch].mean(), abs=1e-15)


def test_shares_of_sentences_are_weighted_by_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 3)
    tokens = np.asarray([3, 9, 2, 5])
    losses = [np.random.default_rng(row).normal(size=size) for row, size in enumerate(tokens)]
    means = []
    for rank in range(3):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        own, weight = processes.share(np.arange(4), lambda rows: int(tokens[rows].sum()))
        means.append(weight * np.concatenate([losses[row] for row in own]).mean())
    assert np.mean(means) == pytest.approx(np.concatenate(losses).mean(), abs=1e-15)


def test_one_process_is_left_alone() -> None:
    model, batch, state = torch.nn.Linear(2, 2), np.arange(3), torch.get_rng_state()
    own, weight = processes.share(batch)
    assert own is not None and own.tolist() == [0, 1, 2] and weight == 1.0
    assert processes.averaging(model) is model
    processes.seed_step(0, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_process_and_step_has_its_own_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)
    drawn: dict[tuple[int, int], float] = {}
    for rank in (0, 1):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        for step in (5, 6, 5):
            processes.seed_step(3, step)
            value = torch.rand(1).item()
            assert drawn.setdefault((rank, step), value) == value
    assert len(set(drawn.values())) == 4


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_another_process_than_the_first_writes_nothing(
    tmp_path: Path, joined: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "rank", lambda: 1)
    monkeypatch.setattr(processes, "broadcast", lambda value, device: True)
    ran: list[Run] = []

    def procedure(config: Settings, run: Run) -> None:
        run.log(1, loss=1.0)
        run.table("t", [{"a": 1}])
        assert run.logged() == []
        ran.append(run)

    shape = {"hidden_size": 8}
    config = Settings(
        model=ModelConfig(name="m", weights="scratch", shape=shape), task=TaskConfig(name="demo", source="demo"),
        run=RunConfig(folder=str(tmp_path / "runs"), wandb="disabled"),
    )  # fmt: skip
    assert execute("finetune", 1, config, procedure) == {}
    assert ran[0].folder.parent.name == "finetune"

    def refuse(config: Settings, device: torch.device) -> None:
        raise UserError("a package is missed")

    with pytest.raises(UserError, match="a package is missed"):
        execute("finetune", 1, config, procedure, check=refuse)
    assert len(ran) == 1
    assert not (tmp_path / "runs").exists()


def test_a_finished_run_is_found_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Settings(
        model=ModelConfig(name="m", weights="scratch", shape={"hidden_size": 8}),
        task=TaskConfig(name="demo", source="demo"), run=RunConfig(folder=str(tmp_path), wandb="disabled"),
    )  # fmt: skip
    said: list[bool] = []

    def broadcast(value: bool, device: Any) -> bool:
        said.append(value)
        return value

    monkeypatch.setattr(processes, "broadcast", broadcast)
    record = execute("verb", 1, config, lambda config, run: None)
    found = execute("verb", 1, config, lambda config, run: None)
    assert said == [True, False]
    assert found == record and isinstance(found, FinishedRecord) and not isinstance(record, FinishedRecord)


@pytest.mark.parametrize(
    ("device", "line"), [("cuda:1", "run.device: cuda:1 is one GPU"), ("auto", "torchrun: more processes than GPUs")]
)
def test_every_process_needs_a_gpu_of_its_own(device: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match=line), processes.joined(device):
        pass

"""Several processes that train one model together, as torchrun starts them; without torchrun there is one.

Every batch is shared out over the processes, and gradients are averaged so that a step is that of one process with
the whole batch, also where a batch does not divide evenly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from prunekit.support.errors import UserError


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did.

    Args:
        device: as ``run.device``; every process takes a GPU of its own where there are any.

    Raises:
        UserError: more processes than GPUs, or one GPU for all.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        own, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if ":" in device:
            raise UserError(f"run.device: {device} is one GPU, every process takes its own; use auto or cuda")
        if own >= gpus:
            raise UserError(f"torchrun: more processes than GPUs, --nproc-per-node={gpus} is right for this machine")
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process. The first, 0, is the only one that writes anything."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def broadcast(value: bool, device: torch.device) -> bool:
    """What the first process says, in all of them."""
    if count() == 1:
        return value
    flag = torch.tensor(int(value), device=device)
    distributed.broadcast(flag, src=0)
    return bool(flag.item())


def averaging(model: torch.nn.Module) -> Any:
    """The model to call in training: its gradients become the mean over the processes."""
    return model if count() == 1 else DistributedDataParallel(model)


def share(indices: np.ndarray, terms: Callable[[np.ndarray], int] = len) -> tuple[np.ndarray, float]:
    """This process's part of a batch, and the weight of its mean loss, with which :func:`averaging` gives the
    gradient of the whole batch's mean loss.

    Args:
        terms: what the loss of some examples is the mean over: examples, or tokens of their targets.

    Processes without a part of a small batch take its first example with weight 0: all have to take the step.
    """
    own = indices[rank() :: count()]
    return (own if len(own) else indices[:1]), (terms(own) * count() / terms(indices) if len(own) else 0.0)


def mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over the processes, elementwise."""
    if count() > 1:
        distributed.all_reduce(values)
        values = values / count()
    return values


def seed_step(seed: int, step: int) -> None:
    """Give each process its own dropout in a step, the same after a resume: a checkpoint has one random state only,
    which is enough for one process."""
    if count() > 1:
        torch.manual_seed(int(np.random.SeedSequence([seed, step, rank()]).generate_state(1, np.uint64)[0]))

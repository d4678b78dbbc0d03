"""Several processes that train one model together, as torchrun starts them; without torchrun there is one.

Every batch is shared out over the processes, and gradients are averaged so that a step is that of one process with
the whole batch, also where a batch does not divide evenly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prunekit.support.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch


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
    import torch
    from torch import distributed

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
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Number of this process. The first, 0, is the only one that writes anything."""
    group = _group()
    return 0 if group is None else int(group.get_rank())


def _group() -> Any:
    """torch's module with the group of these processes; None where they are none, or torch is not imported, in which
    nobody can have joined."""
    distributed = sys.modules.get("torch.distributed")
    return distributed if distributed is not None and distributed.is_initialized() else None


def broadcast(value: bool, device: torch.device | None) -> bool:
    """What the first process says, in all of them."""
    if count() == 1:
        return value
    import torch
    from torch import distributed

    flag = torch.tensor(int(value), device=device)
    distributed.broadcast(flag, src=0)
    return bool(flag.item())


def averaging(model: torch.nn.Module) -> Any:
    """The model to call in training: its gradients become the mean over the processes."""
    if count() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


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
    if (group := _group()) is not None:
        group.all_reduce(values)
        values = values / count()
    return values


def seed_step(seed: int, step: int) -> None:
    """Give each process its own dropout in a step, the same after a resume: a checkpoint has one random state only,
    which is enough for one process."""
    if count() > 1:
        import numpy as np
        import torch

        torch.manual_seed(int(np.random.SeedSequence([seed, step, rank()]).generate_state(1, np.uint64)[0]))

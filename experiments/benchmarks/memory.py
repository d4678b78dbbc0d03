"""Memory that a step of training needs besides weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from prunekit.support.timing import peak_memory


def saved_bytes(forward: Callable[[], object], besides: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass: activations and whatever else is not there anyway.

    Every piece of memory counts once, also what is let go before the pass ends.

    Args:
        forward: computes a loss.
        besides: tensors that are there anyway, as weights are.
    """
    there = {tensor.untyped_storage().data_ptr() for tensor in besides}
    storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            storages.setdefault(storage.data_ptr(), storage)
        return tensor.detach()  # the tensor itself would keep its own graph alive

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in storages.values())


def added_peak(function: Callable[[], object], device: torch.device) -> int:
    """Bytes on a CUDA device at most, beyond those in use before."""
    before = torch.cuda.memory_allocated(device)
    return peak_memory(function, device) - before

"""All that an interrupted training needs to go on exactly, in one safetensors file; nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path

Modules = Mapping[str, nn.Module]
Optimizers = Mapping[str, torch.optim.Optimizer]


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers on the CPU, by name."""
    # cloned: tied weights may not share storage in a safetensors file
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}


def save_state(
    path: Path,
    modules: Modules,
    optimizers: Optimizers,
    identity: Mapping[str, str],
    progress: str,
    inputs: Mapping[str, str] | None = None,
) -> None:
    """Write weights, moments of the optimisers, random state and progress.

    Args:
        modules, optimizers: by names that differ from each other.
        identity: of the training; only a training of the same goes on from here.
        progress: whatever else is needed.
        inputs: fingerprints of what it is trained on, by name; on other contents nothing goes on from here.
    """
    tensors = _named(modules)
    for name, optimizer in optimizers.items():
        for number, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"{name}/{number}/{key}"] = value.detach().cpu().contiguous()
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={**(inputs or {}), **identity, "progress": progress})


def changed_inputs(path: Path, inputs: Mapping[str, str]) -> list[str]:
    """Names of the inputs of a checkpoint that had another content; one that says nothing of an input had the same.

    A damaged file has none: whoever loads it says so.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
    except Exception:
        return []
    return [name for name, value in inputs.items() if meta.get(name, value) != value]


def load_state(path: Path, modules: Modules, optimizers: Optimizers, identity: Mapping[str, str]) -> str:
    """Bring everything back into modules and optimisers, and the random state; returns the progress.

    Raises:
        UserError: a damaged file, or one of another training.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except Exception as error:
        raise UserError(f"checkpoint {path} is damaged ({error}); delete it to train from the start") from error
    weights = {name: _below(name, tensors) for name in modules}
    if (
        not {*identity, "progress"} <= meta.keys()
        or any(meta[name] != value for name, value in identity.items())
        or any(_shapes(weights[name]) != _shapes(module.state_dict()) for name, module in modules.items())
    ):
        raise UserError(f"checkpoint {path} belongs to another training; delete it to train from the start")
    for name, module in modules.items():
        module.load_state_dict(weights[name])
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(name, tensors).items():
            number, value = key.split("/")
            state.setdefault(int(number), {})[value] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return meta["progress"]


def save_modules(path: Path, modules: Modules) -> None:
    """Write weights alone."""
    with atomic_path(path) as temporary:
        save_file(_named(modules), temporary)


def load_modules(path: Path, modules: Modules) -> None:
    """Bring back what :func:`save_modules` wrote."""
    tensors = load_file(path)
    for name, module in modules.items():
        module.load_state_dict(_below(name, tensors))


def _named(modules: Modules) -> dict[str, Tensor]:
    return {f"{name}/{key}": value for name, module in modules.items() for key, value in tensors_of(module).items()}


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{name}/"
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}

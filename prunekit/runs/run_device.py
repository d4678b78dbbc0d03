"""The device that a run computes on."""

from __future__ import annotations

import torch

from prunekit.config.sections import Settings
from prunekit.support.errors import UserError
from prunekit.support.quiet import free_cpus


def prepare_device(config: Settings) -> torch.device:
    """The device that the configuration asks for; sets the number of CPU threads, and torch's current GPU.

    What waits for a GPU or keeps its random state without naming one means the current one.
    """
    if config.run.threads is not None:
        torch.set_num_threads(free_cpus() if isinstance(config.run.threads, str) else config.run.threads)
    wanted = config.run.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"run.device: {wanted} is not there, torch sees {torch.cuda.device_count()} CUDA devices")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device

"""The device that a run computes on."""

from __future__ import annotations

import torch

from prunekit.config.sections import Settings
from prunekit.support.errors import UserError
from prunekit.support.quiet import free_cpus
from prunekit.support.timing import process_peak_memory


def prepare_device(config: Settings) -> torch.device:
    """The device that the configuration asks for; sets the number of CPU threads."""
    if config.run.threads is not None:
        torch.set_num_threads(free_cpus() if isinstance(config.run.threads, str) else config.run.threads)
    wanted = config.run.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"run.device: {wanted} is not there, torch sees {torch.cuda.device_count()} CUDA devices")
    return device


def peak_memory(device: torch.device) -> int:
    """Bytes, of the process where the device has no memory of its own."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else process_peak_memory()

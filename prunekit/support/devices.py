"""The device that something runs on, how records name it, and the precision of what runs there."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from prunekit.support.bfloat16 import RoundedProducts, has_instructions


@dataclass(frozen=True)
class Device:
    """What a measurement was taken on."""

    type: str
    name: str
    threads: int
    dtype: str

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)


def describe_device(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Device:
    """Type and product name of the device, CPU threads of PyTorch and the dtype's name."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return Device(device.type, name, torch.get_num_threads(), str(dtype).removeprefix("torch."))


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bfloat16 autocast, or nothing for float32 and float64.

    Processors without bfloat16 instructions multiply as :class:`prunekit.support.bfloat16.RoundedProducts` says.
    """
    if precision != "bfloat16":
        yield
        return
    slow = device.type == "cpu" and not has_instructions()
    with torch.autocast(device.type, dtype=torch.bfloat16), RoundedProducts() if slow else nullcontext():
        yield

"""Measured wall-clock time and memory, and the device they were measured on."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import numpy as np
import torch

from prunekit.support.quiet import Quietness, watched_timing


@dataclass(frozen=True)
class Timing:
    """Seconds of every measured repeat, in the order they were taken."""

    seconds: tuple[float, ...]
    quiet: Quietness | None = None
    """How quiet the machine was over all rounds; None where nobody watched."""

    @property
    def repeats(self) -> int:
        return len(self.seconds)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def low(self) -> float:
        """The lower quartile."""
        return float(np.quantile(self.seconds, 0.25))

    @property
    def high(self) -> float:
        """The upper quartile."""
        return float(np.quantile(self.seconds, 0.75))


def interleaved(functions: Mapping[str, Callable[[], object]], *, warmup: int, repeats: int) -> dict[str, Timing]:
    """Times several variants in turn, A B C A B C, so that whatever else the machine does meets all of them
    alike.

    Repeat i of every variant was taken in the same round: ratios of variants are best taken per round. In a run, other
    processes are watched, and waited for a little, see :mod:`prunekit.support.quiet`.

    Raises:
        ValueError: fewer than one repeat or less than no warm-up.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be at least 1 and warmup at least 0, not {repeats} and {warmup}")
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    with watched_timing() as watched:
        for turn in range(warmup + repeats):
            for name, function in functions.items():
                _synchronise()
                start = time.perf_counter()
                function()
                _synchronise()
                if turn >= warmup:
                    seconds[name].append(time.perf_counter() - start)
    return {name: Timing(tuple(taken), watched.quiet) for name, taken in seconds.items()}


def _synchronise() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_memory(function: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """The highest memory in use while ``function`` runs, in bytes, with all that was in use before.

    On CUDA the memory of PyTorch's allocator; otherwise the resident memory of the process. The kernel's
    high-water mark is reset for it; where that is not possible (not Linux), the mark of the whole process so
    far is returned, an upper bound.
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        _reset_peak_of_gpu(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    _reset_high_water_mark()
    function()
    return _high_water_mark()


class PeakMemory:
    """The highest memory in use on a device since this was made, whatever is measured or begun meanwhile.

    Of the process where the device has no memory of its own, and then since the process started: what it held at its
    highest cannot be told from what it holds now.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.before_reset = device, 0
        if device.type == "cuda":
            _reset_peak_of_gpu(device)
            _watching.add(self)

    def so_far(self) -> int:
        """In bytes."""
        if self.device.type != "cuda":
            return process_peak_memory()
        return max(self.before_reset, torch.cuda.max_memory_allocated(self.device))


_watching: WeakSet[PeakMemory] = WeakSet()
"""Those of GPUs, which have to know a mark before it is reset."""


def _reset_peak_of_gpu(device: torch.device) -> None:
    for watched in _watching:
        if watched.device == device:
            watched.before_reset = watched.so_far()
    torch.cuda.reset_peak_memory_stats(device)


def process_peak_memory() -> int:
    """The highest resident memory of this process since it started, in bytes."""
    return max(_highest_before_reset, _high_water_mark())


_highest_before_reset = 0


def _reset_high_water_mark() -> None:
    global _highest_before_reset
    _highest_before_reset = process_peak_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # 5 resets VmHWM, see proc(5)
    except OSError:
        return


def _high_water_mark() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes on macOS and in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""Timing by a false clock, memory by known allocations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from prunekit.support import timing


def test_interleaved_takes_turns_and_keeps_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(itertools.count())
    spent = {"a": 2, "b": 5}
    calls: list[str] = []

    def variant(name: str) -> None:
        calls.append(name)
        for _ in range(spent[name]):
            next(clock)

    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    functions = {name: (lambda name=name: variant(name)) for name in spent}
    timings = timing.interleaved(functions, warmup=1, repeats=3)
    assert calls == ["a", "b"] * 4
    assert timings["a"].seconds == (3, 3, 3)
    assert timings["b"].seconds == (6, 6, 6)


def test_quartiles() -> None:
    taken = timing.Timing((4.0, 1.0, 3.0, 2.0, 5.0))
    assert (taken.low, taken.median, taken.high, taken.repeats) == (2.0, 3.0, 4.0, 5)


def test_no_repeats() -> None:
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        timing.interleaved({"a": lambda: None}, warmup=0, repeats=0)


def test_peak_memory_sees_what_is_freed_again_and_forgets_what_was_before() -> None:
    megabyte = 2**20

    def allocate(size: int) -> None:
        np.ones(size * megabyte // 8)

    small = timing.peak_memory(lambda: None)
    assert timing.peak_memory(lambda: allocate(200)) - small > 190 * megabyte
    if timing._high_water_mark() != timing.process_peak_memory():  # the mark could be reset
        assert timing.peak_memory(lambda: None) - small < 50 * megabyte
    assert timing.process_peak_memory() - small > 190 * megabyte


def test_peaks_of_a_gpu_are_of_their_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {0: 100, 1: 7}  # by GPU, what ran before
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: marks[device.index])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: marks.update({device.index: 10}))
    first, other = torch.device("cuda:0"), torch.device("cuda:1")
    outer, elsewhere = timing.PeakMemory(first), timing.PeakMemory(other)
    assert (outer.so_far(), elsewhere.so_far()) == (10, 10)
    marks[0] = 60
    assert timing.peak_memory(lambda: marks.update({0: 20}), first) == 20
    inner = timing.PeakMemory(first)
    marks[0] = 30
    assert (inner.so_far(), outer.so_far(), elsewhere.so_far()) == (30, 60, 10)
    assert timing.PeakMemory(torch.device("cpu")).so_far() == timing.process_peak_memory()

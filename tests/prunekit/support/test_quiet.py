"""Other processes' share of the CPUs, from invented counters and clocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunekit.support import quiet, timing
from prunekit.support.quiet import (
    BUSY,
    WINDOW,
    Counters,
    Machine,
    Quietness,
    Watch,
    free_cpus,
    watched_stage,
    watching,
)

CPUS = 2


class Invented:
    """A machine of two CPUs with a clock that goes on only where something sleeps or works."""

    def __init__(self, folder: Path, others: Callable[[float], float] = lambda clock: 0.0) -> None:
        """
        Args:
            others: CPUs that other processes keep busy, by the clock.
        """
        self.folder, self.others = folder, others
        self.clock = self.own = self.busy = 0.0
        (folder / "loadavg").write_text("1.25 0.50 0.10 2/100 4242\n")
        (folder / "cpuinfo").write_text("processor\t: 0\ncpu MHz\t\t: 2000.0\nprocessor\t: 1\ncpu MHz\t\t: 3000.0\n")
        self.work(0.0, 0)
        self.machine = Machine(
            proc=folder, sys=folder, clock=lambda: self.clock, own=lambda: self.own, hertz=100,
            sleep=lambda seconds: self.work(seconds, 0),
        )  # fmt: skip

    def work(self, seconds: float, own: float = 1) -> None:
        """Let time go by in which this process keeps ``own`` CPUs busy."""
        self.busy += seconds * (own + self.others(self.clock))
        self.clock, self.own = self.clock + seconds, self.own + seconds * own
        busy, idle = round(100 * self.busy), round(100 * (CPUS * self.clock - self.busy))
        # steal and irq are work as well; guest, behind them, is in user already
        parts = [busy - 2 * (busy // 4), 0, 0, idle - idle // 2, idle // 2, 0, busy // 4, busy // 4, busy, 0]
        lines = [" ".join(["cpu ", *map(str, parts)]), "cpu0 1 2 3 4", "cpu1 1 2 3 4", "intr 5"]
        (self.folder / "stat").write_text("\n".join(lines) + "\n")


def timed(watch: Watch, invented: Invented, seconds: float = 4.0) -> Quietness:
    with watch.timing() as watched:
        invented.work(seconds)
    assert watched.quiet is not None
    return watched.quiet


def test_own_work_is_no_disturbance_and_nothing_is_waited_for(tmp_path: Path) -> None:
    invented = Invented(tmp_path)
    mark = timed(Watch(10, invented.machine), invented)
    assert mark == Quietness(before=0, during=0, after=0, load=1.25, mhz=2500, cpus=2, waited=0)
    assert mark.disturbed is False
    assert invented.clock == 2 * WINDOW + 4


@pytest.mark.parametrize(("others", "disturbed"), [(0.08, False), (0.12, True)])
def test_shares_are_of_all_cpus(tmp_path: Path, others: float, disturbed: bool) -> None:
    mark = timed(Watch(0, (invented := Invented(tmp_path, lambda clock: others)).machine), invented, seconds=100)
    assert (mark.before, mark.after) == (None, None)  # not looked at
    assert mark.during == pytest.approx(others / CPUS)
    assert mark.disturbed is disturbed and 0.04 < BUSY < 0.06
    assert invented.clock == 100


def test_what_ends_soon_is_waited_for(tmp_path: Path) -> None:
    invented = Invented(tmp_path, lambda clock: 1.0 if clock < 3 else 0.0)
    mark = timed(Watch(10, invented.machine), invented)
    assert (mark.before, mark.during, mark.after) == (0, 0, 0)
    assert mark.waited == 3 and mark.disturbed is False


def test_waiting_has_an_end_that_all_timings_of_a_run_share(tmp_path: Path) -> None:
    invented = Invented(tmp_path, lambda clock: 1.0)
    watch = Watch(10, invented.machine)
    first, second = timed(watch, invented), timed(watch, invented)
    assert (first.waited, second.waited) == (10, 0)
    assert first.before == first.during == second.before == pytest.approx(0.5)
    assert first.disturbed and second.disturbed


@pytest.mark.parametrize("window", ["before", "during", "after"])
def test_each_window_can_disturb(tmp_path: Path, window: str) -> None:
    invented = Invented(tmp_path)
    ends = {"before": WINDOW, "during": WINDOW + 4, "after": 2 * WINDOW + 4}
    place = list(ends).index(window)
    start = [0.0, *ends.values()][place]
    invented.others = lambda clock: 1.0 if start <= clock < ends[window] else 0.0
    mark = timed(Watch(WINDOW / 2, invented.machine), invented)
    assert mark.disturbed
    assert [name for name in ends if getattr(mark, name)] == [window]
    assert Quietness.from_dict(mark.as_dict()) == mark and mark.as_dict()["disturbed"] is True


@pytest.mark.parametrize("text", ["", "cpu\n", "cpu a b c d e f g h\n", "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0\n"])
def test_what_nothing_counts_is_unknown(tmp_path: Path, text: str) -> None:
    """A sandbox whose counters stand still is not quiet."""
    invented = Invented(tmp_path)
    invented.work = lambda seconds, own=1: setattr(invented, "clock", invented.clock + seconds)  # type: ignore[method-assign]
    (tmp_path / "stat").write_text(text)
    mark = timed(Watch(10, invented.machine), invented)
    assert (mark.before, mark.during, mark.after, mark.disturbed, mark.waited) == (None, None, None, None, 0)


def test_without_files_all_is_unknown(tmp_path: Path) -> None:
    machine = replace(quiet.MACHINE, proc=tmp_path / "none", sys=tmp_path / "none", sleep=lambda seconds: None)
    with Watch(10, machine).timing() as watched:
        pass
    assert watched.quiet is not None and watched.quiet.disturbed is None
    assert (watched.quiet.load, watched.quiet.mhz) == (None, None)


def test_a_moment_is_too_short_to_tell(tmp_path: Path) -> None:
    machine = Invented(tmp_path).machine
    start, end = Counters(0.0, 0.0, 0.0, 0.0), Counters(0.19, 0.0, 0.19, 0.38)
    assert machine.others(start, end) is None
    assert machine.others(start, replace(end, clock=0.2)) == 0.5


def test_frequency_comes_from_the_governor_where_cpuinfo_has_none(tmp_path: Path) -> None:
    machine = Invented(tmp_path).machine
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n")
    assert machine.mhz is None
    for cpu, kilohertz in enumerate((1_800_000, 2_200_000)):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{kilohertz}\n")
    assert machine.mhz == 2000


def test_the_worse_of_two_timings() -> None:
    one = Quietness(before=0.1, during=0.2, after=None, load=1.0, mhz=2000, cpus=2, waited=1)
    other = Quietness(before=0.3, during=None, after=None, load=0.5, mhz=1500, cpus=2, waited=3)
    both = Quietness(before=0.3, during=0.2, after=None, load=1.0, mhz=1500, cpus=2, waited=3)
    assert one.and_also(other) == other.and_also(one) == both
    assert both.and_also(both) == both.and_also(None) == both


def test_a_stage_is_as_quiet_as_the_timings_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invented = Invented(tmp_path, lambda clock: 1.0 if clock < 10 else 0.0)
    monkeypatch.setattr(quiet, "MACHINE", invented.machine)
    with watching(0):
        with watched_stage() as outer:
            invented.work(10)  # beside another process: loading a model, say
            with watched_stage() as inner:
                taken = timing.interleaved({"a": lambda: invented.work(4)}, warmup=0, repeats=2)
        with watched_stage() as later:
            invented.work(4)
    assert inner.quiet == taken["a"].quiet and inner.quiet is not None
    assert inner.quiet.during == 0 and invented.clock == 22
    assert outer.quiet is not None and outer.quiet.during == pytest.approx(10 / 36)
    assert later.quiet is not None and later.quiet.during == 0


def test_nobody_watches_outside_of_a_run() -> None:
    assert timing.interleaved({"a": lambda: None}, warmup=0, repeats=1)["a"].quiet is None
    with watched_stage() as watched:
        pass
    assert watched.quiet is None


@pytest.mark.parametrize(
    ("others", "usable", "free"),
    [(0.0, 2, 2), (0.2, 2, 2), (0.3, 2, 1), (1.0, 2, 1), (2.0, 2, 1), (0.0, 1, 1), (1.0, 1, 1)],
)
def test_a_cpu_is_free_if_others_leave_most_of_it(tmp_path: Path, others: float, usable: int, free: int) -> None:
    invented = Invented(tmp_path, lambda clock: others)
    assert free_cpus(invented.machine, usable) == free


def test_all_cpus_are_free_where_the_kernel_does_not_say(tmp_path: Path) -> None:
    machine = Machine(proc=tmp_path / "none", sys=tmp_path / "none", sleep=lambda seconds: None)
    assert free_cpus(machine, 3) == 3

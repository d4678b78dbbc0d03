"""How quiet the machine is while something is timed: what other processes take of its CPUs, as the kernel counts it.

Where the kernel does not count (another system than Linux, some sandboxes), quiet and disturbed are both unknown.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BUSY = 0.05
"""Share of the CPUs' time from which on other processes disturb a timing."""
WINDOW = 0.25
"""Seconds of a look at the counters before and after a timing."""
SHORTEST = 0.2
"""Seconds over which counters of hundredths of a second, of every CPU, tell a share."""
COUNTED = (0, 1, 2, 5, 6, 7)
"""Columns of ``/proc/stat`` that are work: user, nice, system, irq, softirq, steal (guests are in user)."""
COLUMNS = 8
"""With idle and iowait; what comes behind is in them."""


@dataclass(frozen=True)
class Counters:
    """What the kernel has counted until a moment, in seconds of one CPU each."""

    clock: float
    """Seconds on a clock that only goes forward."""
    own: float
    """Of this process and of the processes that it has started and waited for."""
    busy: float | None = None
    """Of all processes, and of other virtual machines on the same CPUs; None where it is not told."""
    total: float | None = None
    """Of all CPUs, busy or not."""


@dataclass(frozen=True)
class Quietness:
    """How quiet the machine was around a timing; shares are of all its CPUs, None where they are not known."""

    before: float | None = None
    """Share of other processes just before, once it was waited for quiet."""
    during: float | None = None
    """Share of other processes in the meantime."""
    after: float | None = None
    """Share of other processes just after."""
    load: float | None = None
    """Load average of the last minute, before."""
    mhz: float | None = None
    """Frequency of the CPUs, after."""
    cpus: int | None = None
    waited: float = 0.0
    """Seconds in which other processes were waited for."""

    @property
    def disturbed(self) -> bool | None:
        """Whether other processes took part of the CPUs; None where that is not known."""
        shares = [share for share in (self.before, self.during, self.after) if share is not None]
        return max(shares) > BUSY if shares else None

    def as_dict(self) -> dict[str, Any]:
        """As records have it."""
        return {"disturbed": self.disturbed, **asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Quietness:
        """The inverse of :meth:`as_dict`."""
        return cls(**{name: value for name, value in content.items() if name != "disturbed"})

    def and_also(self, other: Quietness | None) -> Quietness:
        """Of two timings together: the worse of both."""
        if other is None:
            return self
        return Quietness(
            before=_most(self.before, other.before), during=_most(self.during, other.during),
            after=_most(self.after, other.after), load=_most(self.load, other.load),
            mhz=min((one.mhz for one in (self, other) if one.mhz is not None), default=None),
            cpus=self.cpus or other.cpus, waited=max(self.waited, other.waited),
        )  # fmt: skip


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _own_seconds() -> float:
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


@dataclass(frozen=True)
class Machine:
    """Where counters are read."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    clock: Callable[[], float] = time.monotonic
    own: Callable[[], float] = _own_seconds
    sleep: Callable[[float], None] = time.sleep
    hertz: int = os.sysconf("SC_CLK_TCK")
    """Of the kernel's counters."""

    def read(self) -> Counters:
        """The counters as they are now."""
        clock, own = self.clock(), self.own()
        try:
            columns = self._text("stat").split("\n", 1)[0].split()
            ticks = [int(value) for value in columns[1 : 1 + COLUMNS]]
            busy, total = sum(ticks[place] for place in COUNTED), sum(ticks)
        except (ValueError, IndexError):
            return Counters(clock, own)
        return Counters(clock, own, busy / self.hertz, total / self.hertz)

    def others(self, start: Counters, end: Counters) -> float | None:
        """Share of all CPUs' time that other processes took between two readings; None where that is not told, or the
        time was too short to tell."""
        elapsed = end.clock - start.clock
        if elapsed < SHORTEST or None in (start.busy, end.busy, start.total, end.total):
            return None
        busy, total = (end.busy or 0) - (start.busy or 0), (end.total or 0) - (start.total or 0)
        if total < elapsed / 2:  # of the one CPU that there is at least: these counters stand still
            return None
        return min(1.0, max(0.0, busy - (end.own - start.own)) / total)

    def look(self) -> float | None:
        """The same over a moment in which this process sleeps."""
        start = self.read()
        self.sleep(WINDOW)
        return self.others(start, self.read())

    @property
    def load(self) -> float | None:
        try:
            return float(self._text("loadavg").split()[0])
        except (ValueError, IndexError):
            return None

    @property
    def cpus(self) -> int | None:
        lines = self._text("stat").splitlines()
        return sum(line[:3] == "cpu" and line[3:4].isdigit() for line in lines) or os.cpu_count()

    @property
    def mhz(self) -> float | None:
        """The mean over CPUs."""
        lines = self._text("cpuinfo").splitlines()
        try:
            known = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
            if not known:
                paths = self.sys.glob("devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")
                known = [float(path.read_text()) / 1000 for path in paths]
        except (OSError, ValueError):
            return None
        return sum(known) / len(known) if known else None

    def _text(self, name: str) -> str:
        try:
            return (self.proc / name).read_text()
        except OSError:
            return ""


MACHINE = Machine()
"""This one."""


def free_cpus(machine: Machine | None = None, usable: int | None = None) -> int:
    """How many CPUs of those that this process may use others leave free at the moment, one at least.

    A CPU counts if at least three quarters of it are free; all count where the kernel does not say. Threads that share
    a CPU with another process keep all others of their process waiting.

    Args:
        usable: CPUs that this process may use; those that the system lets it.
    """
    machine = machine or MACHINE
    if usable is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    taken = (machine.look() or 0.0) * (machine.cpus or usable)
    return max(1, math.floor(usable - taken + 0.25))


@dataclass
class Watched:
    """What the end of a stage or a timing fills in."""

    quiet: Quietness | None = None
    """None where nobody watched."""


class Watch:
    """How quiet the machine is in each stage of a run, and around each timing in it."""

    def __init__(self, seconds: float, machine: Machine | None = None) -> None:
        """
        Args:
            seconds: of waiting for quiet, in all; with 0, what is before and after a timing is not looked at.
        """
        self.machine = machine or MACHINE
        self.looks, self.left = seconds > 0, seconds
        self._inside: Quietness | None = None

    @contextmanager
    def stage(self) -> Iterator[Watched]:
        """A stage; one that has timings of their own in it is as quiet as those, whatever else it does."""
        watched = Watched()
        outer, self._inside = self._inside, None
        start = self.machine.read()
        try:
            yield watched
            during = self.machine.others(start, self.machine.read())
            watched.quiet = self._inside or self._mark(during=during)
        finally:
            self._inside = outer

    @contextmanager
    def timing(self) -> Iterator[Watched]:
        """A timing for its own sake: waits a little for quiet before it, and says in the end what it was like."""
        watched = Watched()
        before, waited = self._quiet_now() if self.looks else (None, 0.0)
        load, start = self.machine.load, self.machine.read()
        yield watched
        during = self.machine.others(start, self.machine.read())
        after = self.machine.look() if self.looks else None
        watched.quiet = self._mark(before=before, during=during, after=after, load=load, waited=waited)
        self.note(watched.quiet)

    def note(self, mark: Quietness) -> None:
        """Count a timing to the stage that is going on, also one whose result came from a cache."""
        self._inside = mark.and_also(self._inside)

    def _quiet_now(self) -> tuple[float | None, float]:
        """The share of other processes once it is low, or no time is left to wait; and the seconds waited."""
        waited = 0.0
        while True:
            share = self.machine.look()
            if share is None or share <= BUSY or self.left < WINDOW:
                return share, waited
            self.left, waited = self.left - WINDOW, waited + WINDOW

    def _mark(self, **values: Any) -> Quietness:
        known = {"load": self.machine.load, "mhz": self.machine.mhz, "cpus": self.machine.cpus}
        return Quietness(**(known | values))


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(seconds: float) -> Iterator[None]:
    """Watch the machine over every stage and timing in here, see :class:`Watch`."""
    token = _watch.set(Watch(seconds))
    try:
        yield
    finally:
        _watch.reset(token)


def watched_stage() -> AbstractContextManager[Watched]:
    """See :meth:`Watch.stage`; nothing where nobody watches."""
    watch = _watch.get()
    return nullcontext(Watched()) if watch is None else watch.stage()


def watched_timing() -> AbstractContextManager[Watched]:
    """See :meth:`Watch.timing`; nothing where nobody watches."""
    watch = _watch.get()
    return nullcontext(Watched()) if watch is None else watch.timing()


def note_timing(mark: Quietness) -> None:
    """See :meth:`Watch.note`; nothing where nobody watches."""
    if (watch := _watch.get()) is not None:
        watch.note(mark)

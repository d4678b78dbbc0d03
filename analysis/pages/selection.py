"""Runs picked by their settings and the numbers in them, as the templates of the pages ask for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.data.averages import mean_interval
from analysis.data.marks.quiet import comparable_latencies, quiet_words
from analysis.data.marks.trivial import trivial_score
from analysis.data.records import Record
from analysis.data.timings import speedup
from analysis.pages.table_rows import TableRows
from analysis.pages.words import in_words
from analysis.render.output import listed
from prunekit.runs.schema.seconds import own_seconds
from prunekit.support.errors import UserError

Key = tuple[object, ...]
PLACES = ("metrics", "sparsity", "seconds", "config")
"""Parts of a record in which a number is named with its place (``seconds.train``); without one it is a metric.
``seconds.own`` is all of a run but what was made ahead of it, as its teacher; ``peak_memory`` is in bytes."""


@dataclass(frozen=True)
class Numbers:
    """One number a run. Two of them are combined run by run: those of the same task, teacher and seed."""

    of: Mapping[Key, float]
    what: str
    """Where they come from, for messages."""

    @property
    def count(self) -> int:
        return len(self.of)

    @property
    def only(self) -> float:
        """The number of a single run."""
        if len(self.of) != 1:
            raise UserError(f"{self.what}: {len(self.of)} runs where one is meant; say which, or ask for a mean")
        return next(iter(self.of.values()))

    @property
    def same(self) -> float:
        """The number that all runs agree on."""
        if len(set(self.of.values())) != 1:
            raise UserError(f"{self.what}: the runs do not agree on it: {sorted(set(self.of.values()))}")
        return next(iter(self.of.values()))

    @property
    def each(self) -> list[float]:
        """All of them, by task, teacher and seed."""
        return [self.of[key] for key in sorted(self.of, key=str)]

    @property
    def mean(self) -> float:
        return self.total / len(self.of)

    @property
    def total(self) -> float:
        return sum(self.of.values())

    @property
    def lowest(self) -> float:
        return min(self.of.values())

    @property
    def highest(self) -> float:
        return max(self.of.values())

    @property
    def range(self) -> tuple[float, float]:
        return self.lowest, self.highest

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean over the runs, of which there must be three."""
        if len(self.of) < 3:
            raise UserError(f"{self.what}: an interval needs three runs, there are {len(self.of)}")
        return mean_interval(list(self.of.values()))

    def __sub__(self, other: Numbers) -> Numbers:
        return self._paired(other, lambda own, its: own - its, "minus")

    def __truediv__(self, other: Numbers) -> Numbers:
        return self._paired(other, lambda own, its: own / its, "over")

    def __neg__(self) -> Numbers:
        return Numbers({key: -number for key, number in self.of.items()}, self.what)

    def _paired(self, other: Numbers, combine: Callable[[float, float], float], word: str) -> Numbers:
        what = f"{self.what} {word} {other.what}"
        common = [key for key in self.of if key in other.of]
        if not common:
            raise UserError(f"{what}: no two runs have task, teacher and seed in common")
        return Numbers({key: combine(self.of[key], other.of[key]) for key in common}, what)


class Runs:
    """Runs of one verb. ``runs["value"]`` are their numbers, ``runs.where(task="sst2")`` some of them."""

    def __init__(self, records: Sequence[Record], what: str) -> None:
        """
        Raises:
            UserError: there are none.
        """
        if not records:
            raise UserError(f"{what}: no such run in the records")
        self.records, self.what = records, what

    def where(self, settings: Mapping[str, Any] | None = None, /, **more: Any) -> Runs:
        """Those with these settings: ``task``, ``model`` and ``seed`` by their name, others by their path in the
        configuration (``{"train.seed": 1}``). A list names several values, one of which a run must have, unless the
        setting is a list itself."""
        wanted = {**(settings or {}), **more}
        words = "".join(f" {name}={value}" for name, value in wanted.items())
        matching = [r for r in self.records if all(_matches(setting(r, name), value) for name, value in wanted.items())]
        return Runs(matching, self.what + words)

    def __add__(self, other: Runs) -> Runs:
        """Both, a run of both once."""
        further = [record for record in other.records if record not in self.records]
        return Runs([*self.records, *further], f"{self.what} and {other.what}")

    def __getitem__(self, name: str) -> Numbers:
        """A metric of each run, a number of another part of its record (``sparsity.counted``), or ``trivial``, what one
        answer to all of its evaluation rows scores."""
        of: dict[Key, float] = {}
        for record in self._of(name):
            key = _key(record)
            if key in of:
                raise UserError(f"{self.what}: two runs of {key} differ in a setting that is not named")
            of[key] = float(self._look_up(record, name))
        return Numbers(of, f"{self.what}: {name}")

    def __iter__(self) -> Iterator[Runs]:
        """Run by run."""
        return (Runs([record], f"{self.what} {record.run_id}") for record in self.records)

    def __len__(self) -> int:
        return len(self.records)

    def total(self, name: str) -> float:
        """Sum over all of them, also of runs that cannot be told apart by task, teacher and seed."""
        return sum(float(self._look_up(record, name)) for record in self._of(name))

    def range(self, name: str) -> tuple[float, float]:
        """The lowest and the highest over all of them, as :meth:`total`."""
        numbers = [float(self._look_up(record, name)) for record in self._of(name)]
        return min(numbers), max(numbers)

    def quiet_words(self, *stages: str) -> str:
        """How many of them were timed beside other work, or nobody knows, in these stages (latencies if none is named).
        """
        return quiet_words(self.records, stages)

    def largest_difference(self, first: str, second: str) -> float:
        """Between two numbers of the same run, over all of them."""
        return max(abs(self._look_up(record, first) - self._look_up(record, second)) for record in self.records)

    def by(self, *names: str) -> list[Runs]:
        """Split by the values of settings, in the order of these values; runs of one part differ in other things."""
        parts: dict[tuple[Any, ...], list[Record]] = {}
        for record in self.records:
            parts.setdefault(tuple(_hashable(setting(record, name)) for name in names), []).append(record)
        ordered = sorted(parts.items(), key=lambda item: tuple(map(str, item[0])))
        return [Runs(records, f"{self.what} {values}") for values, records in ordered]

    def most(self, *names: str) -> Runs:
        """Of the parts of :meth:`by` the one with the most runs, the first of several."""
        return max(self.by(*names), key=len)

    def setting(self, name: str) -> Any:
        """A setting that all of them share."""
        values = [setting(record, name) for record in self.records]
        if any(value != values[0] for value in values):
            raise UserError(f"{self.what}: {name} differs between them")
        return values[0]

    def values(self, name: str) -> list[Any]:
        """The different values that a setting has in them, rising."""
        return sorted({_hashable(setting(record, name)) for record in self.records}, key=str)

    def machine(self) -> str:
        """Where they ran: ``one thread of an AMD EPYC``, ``an NVIDIA H200``; where most of them did comes first."""
        places = Counter((record.provenance.hardware, record.provenance.threads) for record in self.records)
        words = []
        for (name, threads), _ in sorted(places.items(), key=lambda item: (-item[1], item[0])):
            hardware, _, kind = name.rpartition(" (")
            cores = "" if kind != "cpu)" else f"{in_words(threads)} thread{'s' * (threads > 1)} of "
            words.append(f"{cores}an {hardware}")
        return listed(list(dict.fromkeys(words)))

    def fingerprint(self, role: str) -> str:
        """Of the rows in a role, which all of them share: equal ones are equal rows."""
        return str(self._data(role, "fingerprint"))

    def rows(self, role: str) -> int:
        """Rows of the data in a role (``train``, ``evaluation``, ...) that all of them share."""
        return int(self._data(role, "rows"))

    def rows_available(self, role: str) -> int:
        """How many there would have been."""
        return int(self._data(role, "rows_available"))

    def table(self, name: str, settings: Mapping[str, Any] | None = None, /, **more: Any) -> TableRows:
        """Rows of a table of a single run (``tables/NAME.csv``) that have these values."""
        if len(self.records) != 1:
            raise UserError(f"{self.what}: {len(self.records)} runs where the table of one is meant")
        return TableRows(self.records[0].table(name, {}), f"{self.what}, {name}").where(settings, **more)

    def rounds(self, comparison: str) -> TableRows:
        """Of benchmarks: the rounds of a comparison, of all runs."""
        frames = [run.table("repeats", comparison=comparison).frame for run in self]
        return TableRows.joined(frames, f"{self.what}, {comparison}")

    def cells(self, name: str, column: str, settings: Mapping[str, Any] | None = None, /, **more: Any) -> Numbers:
        """The cell of each run's table in the one row that has these values."""
        of = {_key(run.records[0]): float(run.table(name, settings, **more)[column]) for run in self}
        return Numbers(of, f"{self.what}: {name}, {column}")

    def averages(self, name: str, column: str, settings: Mapping[str, Any] | None = None, /, **more: Any) -> Numbers:
        """The mean of a column of each run's table over the rows that have these values."""
        values = {_key(run.records[0]): run.table(name, settings, **more).column(column) for run in self}
        return Numbers({key: sum(c) / len(c) for key, c in values.items()}, f"{self.what}: {name}, mean {column}")

    def _data(self, role: str, field: str) -> Any:
        values = {getattr(item, field) for record in self.records for item in record.data if item.role == role}
        if len(values) != 1:
            raise UserError(f"{self.what}: {role} data with {len(values)} different {field}")
        return values.pop()

    def timed(self) -> Runs:
        """Those whose speed-up figures show: whose shapes were timed again, where some were."""
        return Runs(comparable_latencies(self.records), self.what)

    def _of(self, name: str) -> Sequence[Record]:
        """The runs that a number is of."""
        return self.timed().records if name == "speedup" else self.records

    def _look_up(self, record: Record, name: str) -> Any:
        place, _, rest = name.partition(".")
        if place == "config":
            value = setting(record, rest)
        elif name == "seconds.own":
            value = own_seconds(record.seconds)
        elif name == "speedup" and record.timed_again is not None:
            value = speedup(record)  # as figures have it, and :meth:`quiet_words` speaks of
        elif name == "peak_memory":
            value = record.peak_memory_bytes or None
        elif place in PLACES and rest:
            value = getattr(record, place).get(rest)
        elif place == "trivial":  # a number, whatever the record has: of the first metric, or of one named behind it
            value = trivial_score(record, rest)
        else:
            value = record.metrics.get(name)
        if value is None:
            raise UserError(f"{self.what}: {record.verb}/{record.run_id} has no {name}")
        return value


def select(records: Iterable[Record], verb: str, settings: Mapping[str, Any] | None = None, /, **more: Any) -> Runs:
    """Runs of a verb with these settings, see :meth:`Runs.where`."""
    return Runs([record for record in records if record.verb == verb], verb).where(settings, **more)


def setting(record: Record, name: str) -> Any:
    """A field of the configuration by its path; null where the record does not know it."""
    if name in ("task", "model"):
        return record.task if name == "task" else record.model.name
    value: Any = record.config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple) and not isinstance(value, list):
        return value in wanted
    return bool(value == wanted)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _key(record: Record) -> Key:
    budget = record.config.get("constraint")
    return record.task, record.teacher_seed, record.seed, budget

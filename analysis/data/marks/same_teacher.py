"""Whether two runs are of the same fine-tuned model: by its weights, and where a record does not say them by whatever
else is known of both.

An id of a run may stand for several models: one that was trained again, on another machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.data.records import TIMING_VERBS, Record


@dataclass(frozen=True)
class KnownTeacher:
    """What is known of the content of the model under test."""

    fingerprint: str
    """Of its weights; empty in older records."""
    name: str
    """The id of the run that fine-tuned it, or where it came from; empty of what was only timed."""
    score: float | None
    """As its own run has it; None where it came from outside."""
    rows: str
    """Those that the run under test was evaluated on."""
    baseline: float | None
    """What it scores there."""
    tolerance: float
    """Another machine may answer a row or two of them differently; half a row more than two, for rounding."""

    def agrees(self, other: KnownTeacher) -> bool:
        """Whether nothing that both are known by differs."""
        if self.fingerprint and other.fingerprint:
            return self.fingerprint == other.fingerprint
        if self.name != other.name:
            return False
        if None not in (self.score, other.score) and self.score != other.score:
            return False
        if self.baseline is None or other.baseline is None or self.rows != other.rows:
            return True
        return abs(self.baseline - other.baseline) <= self.tolerance


def known_teacher(record: Record) -> KnownTeacher:
    """See :class:`KnownTeacher`."""
    if record.verb in TIMING_VERBS:  # older ones were timed, whatever they would have scored
        return KnownTeacher(record.model.fingerprint, "", None, "", None, 0.0)
    measured = record.metrics.get("baseline")
    baseline = float(measured) if isinstance(measured, int | float) else None
    rows = sum(item.rows for item in record.data if item.role == "evaluation")
    return KnownTeacher(
        record.model.fingerprint, record.teacher_run or record.teacher_path or "", record.teacher_score,
        evaluated_on(record), baseline, 2.5 / rows if rows else 0.0,
    )  # fmt: skip


def evaluated_on(record: Record) -> str:
    """Which rows scores are of: equal texts are equal rows."""
    return "; ".join(
        f"{item.name}/{item.split}:{item.rows}:{item.fingerprint}" for item in record.data if item.role == "evaluation"
    )


def started_from(records: Iterable[Record]) -> dict[str, str]:
    """The fine-tuned model that each run started from, by the run's id: equal texts are one model. Without runs that
    have none or name none.

    A record that does not say the weights counts as of those that the others of its teacher have with which it agrees,
    if these are of one model, and else as of the same as others that do not say them and agree.
    """
    known = [(record.run_id, known_teacher(record)) for record in records]
    texts: dict[str, str] = {}
    for _, one in known:
        if one.name and one.fingerprint:
            texts.setdefault(one.fingerprint, f"{one.name} {one.fingerprint}")
    named = {one for _, one in known if one.name and one.fingerprint}
    unsaid: list[tuple[KnownTeacher, str]] = []
    models = {}
    for run, one in known:
        if one.fingerprint and one.name:
            models[run] = texts[one.fingerprint]
        elif one.name:
            others = {texts[other.fingerprint] for other in named if other.agrees(one)}
            if len(others) != 1:
                others = {text for other, text in unsaid if other.agrees(one)} or {f"{one.name} unsaid {len(unsaid)}"}
            models[run] = min(others)
            unsaid.append((one, models[run]))
    return models

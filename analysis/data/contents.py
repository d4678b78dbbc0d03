"""One name, one content: runs whose rows, files or teacher were changed in place never share a figure.

A run names its rows, local files and teacher; its record says by a hash what was in them. Of the runs of a verb and
setting that name the same, those stay that have the content of the newest one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from analysis.data.groups import AXES, condition_of, flat, setting_of
from analysis.data.marks.same_teacher import KnownTeacher, known_teacher
from analysis.data.records import TIMING_VERBS, Record

ON_RESULTS = ("evaluation", "second")
"""Roles of the rows that scores are of. Others are drawn anew by seed; their files have hashes of their own."""
ALONG_A_CURVE = ("share", "constraint", "sparsity")
"""Axes that no verb's revision hangs on: how much is pruned."""


Name = tuple[Hashable, ...]


def of_one_content(records: Sequence[Record], warn: Callable[[str], None]) -> tuple[list[Record], list[Record]]:
    """The runs that may be drawn together, in their order, and those that are left out; ``warn`` is told of the latter.

    The newest run is right, and whatever agrees with all that is newer and right.
    """
    known: dict[Name, list[Any]] = {}
    out: dict[int, str] = {}
    for record in sorted(records, key=lambda record: record.provenance.finished, reverse=True):
        own = list(_contents(record))
        differs = [what for name, what, value in own if not all(_agree(value, other) for other in known.get(name, []))]
        if differs:
            out[id(record)] = " and ".join(dict.fromkeys(differs))
            continue
        for name, _, value in own:
            if value not in (values := known.setdefault(name, [])):
                values.append(value)
    left = [record for record in records if id(record) in out]
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for record in left:
        by_reason.setdefault((record.verb, str(setting_of(record)), out[id(record)]), []).append(record.run_id)
    for (verb, setting, what), ids in by_reason.items():
        warn(
            f"left out: {len(ids)} {verb} run(s) of {setting}, whose {what} had another content than in newer runs: "
            f"{', '.join(sorted(ids))}"
        )
    return [record for record in records if id(record) not in out], left


def without_replaced(records: Sequence[Record], warn: Callable[[str], None]) -> tuple[list[Record], list[Record]]:
    """The runs in their order without those that one among them says it replaces, and those; ``warn`` is told of them.

    A verb whose numbers have changed makes another run of the same settings; the earlier one is then of no use.
    """
    by_later = {(record.verb, record.replaces): record.run_id for record in records if record.replaces is not None}
    left = [record for record in records if (record.verb, record.run_id) in by_later]
    by_verb: dict[str, list[str]] = {}
    for record in left:
        by_verb.setdefault(record.verb, []).append(f"{record.run_id} by {by_later[record.verb, record.run_id]}")
    for verb, pairs in by_verb.items():
        warn(f"left out: {len(pairs)} {verb} run(s), replaced at a later revision: {', '.join(sorted(pairs))}")
    return [record for record in records if (record.verb, record.run_id) not in by_later], left


def warn_of_mixed_revisions(records: Sequence[Record], warn: Callable[[str], None]) -> None:
    """Warn of curves that have runs of several revisions of their verb.

    A verb is raised only for the settings whose numbers change, so others may be at an earlier one beside them: only
    runs that differ in nothing but seeds and :data:`ALONG_A_CURVE` are compared.
    """
    by_verb: dict[str, list[Record]] = {}
    for record in records:
        by_verb.setdefault(record.verb, []).append(record)
    mixed: dict[str, Counter[int]] = {}
    for verb, own in sorted(by_verb.items()):
        if len({record.revision for record in own}) == 1:
            continue
        curves: dict[str, Counter[int]] = {}
        for record in own:
            curves.setdefault(_curve(record), Counter())[record.revision] += 1
        mixed[verb] = sum((counts for counts in curves.values() if len(counts) > 1), Counter())
    for verb, counts in mixed.items():
        if counts:
            parts = ", ".join(f"{number} of revision {revision}" for revision, number in sorted(counts.items()))
            warn(f"{verb}: runs of the same settings are of different revisions ({parts}); their numbers may not "
                 "compare")  # fmt: skip


def _curve(record: Record) -> str:
    """Of one curve: all settings but seeds and :data:`ALONG_A_CURVE`."""
    settings = dict(flat(record.config))
    axes = {axis: settings.get(axis) for axis in AXES.get(record.verb, ()) if axis not in ALONG_A_CURVE}
    return _text({"setting": str(setting_of(record)), "axes": axes, "condition": condition_of(record)})


def warn_of_other_weights(records: Sequence[Record], warn: Callable[[str], None]) -> None:
    """Warn of teachers of one id that are different models: the device that trained them is not in their id."""
    weights: dict[str, Counter[str]] = {}
    scores: dict[str, Counter[str]] = {}
    for record in records:
        run = record.run_id if record.verb == "finetune" else record.teacher_run
        if run is not None and record.model.fingerprint:
            weights.setdefault(run, Counter())[record.model.fingerprint] += 1
        elif run is not None and record.teacher_score is not None:
            scores.setdefault(run, Counter())[f"{record.teacher_score:.6g}"] += 1
    for what, found in (("weights", weights), ("scores", scores)):
        for run, counts in found.items():
            if len(counts) > 1:
                parts = ", ".join(f"{number} run(s) with {value}" for value, number in sorted(counts.items()))
                warn(f"teacher finetune/{run}: its {what} differ between records of runs on it ({parts})")


def disagreement(one: Record, other: Record) -> str:
    """In what two records of one id differ, in words; empty if in nothing. Measured times may."""
    found = [what for (_, what, value), (_, _, same) in zip(_contents(one), _contents(other), strict=False)
             if not _agree(value, same)]  # fmt: skip
    if one.verb not in TIMING_VERBS and any(one.metrics.get(n) != other.metrics.get(n) for n in ("baseline", "value")):
        found.append("scores")
    return " and ".join(dict.fromkeys(found))


def _contents(record: Record) -> Iterator[tuple[Name, str, Any]]:
    """What a record names, in words, and what is known of the content."""
    own = (record.verb, setting_of(record))
    for item in record.data:
        if item.role in ON_RESULTS:
            section = record.config.get("task" if item.role == "evaluation" else item.role)
            rows = (*own, item.role, _text(section), item.name, item.split)
            what = f"rows of {item.name} {item.split}"
            yield (*rows, item.rows), what, item.fingerprint
            yield rows, what, item.rows_available
    for setting, content in record.input.items():
        yield (*own, setting, _text(_value(record.config, setting))), setting, content
    if record.verb == "finetune" or record.teacher_run or record.teacher_path:
        made = record.teacher_path or _text({name: record.config.get(name) for name in ("model", "task", "train")})
        yield (*own, "teacher", made, str(record.config.get("dtype"))), "teacher", known_teacher(record)


def _agree(one: Any, other: Any) -> bool:
    return one.agrees(other) if isinstance(one, KnownTeacher) else bool(one == other)


def _text(section: Any) -> str:
    """Settings as text; null and a setting that an older record does not know are the same."""
    if not isinstance(section, Mapping):
        return json.dumps(section, default=str)
    known = {key: value for key, value in flat(section) if value is not None}
    return json.dumps(known, sort_keys=True, default=str)


def _value(config: Mapping[str, Any], setting: str) -> Any:
    found: Any = config
    for key in setting.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found

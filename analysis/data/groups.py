"""Which runs belong in one figure: settings, conditions within a setting, and the words that name them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.data.file_names import one_name
from analysis.data.records import TIMING_VERBS, Data, Record

REPLICATES = ("seed", "train.seed")
"""Fields in which the runs of one curve may differ: they repeat the same measurement."""
AXES = {
    "prune_heads": ("order", "share", "kinds"),
    "time_inference": ("share",),
    "prune_fisher": (
        "constraint", "budget", "score", "variant", "labels", "calibration_examples", "rearrange", "tune", "target",
        "on_failure",
    ),
    "compress": (
        "constraint", "budget", "labels", "calibration_examples", "refine", "refit", "uniform", "method.name",
    ),
    "quantize": ("remaining", "quantization", "source"),
    "prune_cofi": (
        "sparsity", "structure", "units", "matching", "learn_from", "variant", "prediction_weight",
    ),
}  # fmt: skip
"""Fields that the figures of a verb themselves show."""
NOT_RESULTS = ("run", "scale", "save")
"""Parts of the configuration that change no number."""
GENERATED = "generated data, not a reproduction"

ROLES = {
    "train": "trained on",
    "importance": "scores from",
    "calibration": "calibrated on",
    "selection": "chosen on",
    "distillation": "distilled on",
    "evaluation": "evaluated on",
    "second": "second set",
}


@dataclass(frozen=True)
class Setting:
    """What must never be mixed in one figure."""

    model: str
    weights: str
    task: str
    """Empty where figures show several tasks side by side."""
    scale: str | None

    @property
    def folder(self) -> str:
        model = self.model + ("-random" if self.weights == "random" else "")
        return one_name(f"{model}_{self.task}" if self.task else model)

    def __str__(self) -> str:
        words = [f"{self.model} on {self.task}" if self.task else self.model, f"scale {self.scale or 'none'}"]
        return ", ".join([*words, "random weights"] if self.weights == "random" else words)


@dataclass(frozen=True)
class Group:
    """Runs that may be drawn together."""

    records: list[Record]
    label: str = ""
    """The fields that tell them from the other runs of the setting (``floor=1``); empty if there are none."""
    suffix: str = ""
    """What tells their files from those of the first group."""

    @property
    def caption(self) -> str:
        """The words below figure and table."""
        return describe(self.records, self.label)

    @property
    def title(self) -> str:
        """The words above a panel: the task, and what tells its runs from others of the same task."""
        return self.records[0].task + (f" ({self.label})" if self.label else "")


def of_all_kinds(group: Group) -> Group:
    """The runs of `prune_heads` in which heads of all kinds of attention were ranked together."""

    def every(record: Record) -> bool:
        kinds = record.config.get("kinds")
        return kinds is None or len(kinds) == (3 if record.translation else 1)

    return replace(group, records=[record for record in group.records if every(record)])


def setting_of(record: Record, *, all_tasks: bool = False) -> Setting:
    return Setting(record.model.name, record.model.weights, "" if all_tasks else record.task, record.scale)


def by_setting(records: Iterable[Record], *, all_tasks: bool = False) -> dict[Setting, list[Record]]:
    """Records by setting, in a fixed order; ``all_tasks`` joins the tasks of a model."""
    groups: dict[Setting, list[Record]] = {}
    for record in records:
        groups.setdefault(setting_of(record, all_tasks=all_tasks), []).append(record)
    return dict(sorted(groups.items(), key=lambda item: (item[0].folder, str(item[0].scale))))


def folder_names(settings: Iterable[Setting]) -> dict[Setting, str]:
    """``MODEL_TASK``, followed by the scale where two scales would share a folder; a hash where names still meet."""
    names, scaled = {setting: setting.folder for setting in settings}, False
    for more in (
        lambda setting: f"_{setting.scale}",
        lambda setting: f"-{hashlib.sha256(repr(setting).encode(errors='surrogatepass')).hexdigest()[:8]}",
    ):
        # Where a scale is in the name, a task and all tasks may share a folder: their figures have other names.
        apart = [(name, bool(setting.task)) if scaled else (name, True) for setting, name in names.items()]
        shared = Counter(apart)
        names = {
            setting: name if shared[key] == 1 else one_name(name + more(setting))
            for (setting, name), key in zip(names.items(), apart, strict=True)
        }
        scaled = True
    return names


def by_condition(records: Sequence[Record]) -> list[Group]:
    """Split the runs of one verb and setting into groups that differ only in seeds and in what figures show.

    Most evaluation rows first, then most runs: the first group takes the plain file names.
    """
    conditions: dict[str, tuple[dict[str, str], list[Record]]] = {}
    for record in records:
        fields = condition_of(record)
        conditions.setdefault(json.dumps(fields, sort_keys=True), (fields, []))[1].append(record)
    ordered = sorted(conditions.items(), key=lambda item: (-evaluation_rows(item[1][1]), -len(item[1][1]), item[0]))
    keys = sorted({key for _, (fields, _) in ordered for key in fields})
    differing = [key for key in keys if len({fields.get(key) for _, (fields, _) in ordered}) > 1]
    groups = []
    for number, (_, (fields, members)) in enumerate(ordered):
        label = ", ".join(f"{key}={fields[key]}" for key in differing if key in fields)
        groups.append(Group(members, label, suffix=label if number else ""))
    return groups


def condition_of(record: Record) -> dict[str, str]:
    """Everything that identifies a measurement, without seeds and without what the figures show."""
    shown = REPLICATES + AXES.get(record.verb, ())
    fields = {
        key: json.dumps(value, sort_keys=True, default=str).strip('"')
        for key, value in flat(record.config)
        if key not in shown and key.split(".")[0] not in NOT_RESULTS and value is not None
    }  # null and a setting that an older record does not know are the same
    for item in record.data:
        if item.role in ("evaluation", "second"):
            fields[f"{item.role} rows"] = f"{item.name}/{item.split}:{item.rows}"
    if record.verb in TIMING_VERBS:
        fields["device"] = record.device
    return fields


def repeated(records: Iterable[Record], among: Iterable[Record]) -> list[Record]:
    """Those ``among`` that differ from one of the records in seeds alone, itself included."""
    wanted = set(map(_but_for_seeds, records))
    return [record for record in among if _but_for_seeds(record) in wanted]


def _but_for_seeds(record: Record) -> tuple[str, ...]:
    condition = json.dumps(condition_of(record), sort_keys=True)
    return record.verb, condition, *settings_of(record, AXES.get(record.verb, ()))


def settings_of(record: Record, names: Iterable[str]) -> tuple[str, ...]:
    """The values of settings, by their paths in the configuration, as texts: equal ones are the same setting."""
    fields = dict(flat(record.config))
    return tuple(str(fields.get(name)) for name in names)


def evaluation_rows(records: Iterable[Record]) -> int:
    return max((item.rows for record in records for item in record.data if item.role == "evaluation"), default=0)


def by_teacher(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by the model under test."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(teacher_of(record), []).append(record)
    return dict(sorted(groups.items()))


def teacher_of(record: Record) -> str:
    """The model under test in a word or two: ``seed 0``, or where it came from."""
    return record.teacher_path or f"seed {record.teacher_seed or 0}"


def describe(records: Sequence[Record], label: str = "") -> str:
    """One sentence a part: model, data with row counts, seeds, scale; printed below figures and tables."""
    model = records[0].model
    words = [f"{model.name} ({model.path}, {_heads(records[0])}, {_weights(model.weights)})"]
    words += [f"{title} {text}" for role, title in ROLES.items() if (text := _data(records, role))]
    if records[0].teacher_path:
        words.append(f"fine-tuned model {records[0].teacher_path}")
    elif records[0].teacher_seed is not None and not _data(records, "train"):
        words.insert(1, _trained_on(records))
    teachers = sorted({r.teacher_seed for r in records if r.teacher_seed is not None})
    seeds = sorted({r.seed for r in records})
    if teachers:
        words.append(f"teacher seed{'s' * (len(teachers) > 1)} {_list(teachers)}")
    if seeds != teachers:
        words.append(f"run seed{'s' * (len(seeds) > 1)} {_list(seeds)}")
    generated = any(item.source == "demo" for record in records for item in record.data)
    words.append(f"scale {records[0].scale or 'none'}" + (f" ({GENERATED})" if generated else ""))
    if label:
        words.append(label)
    return "; ".join(words) + "."


def _heads(record: Record) -> str:
    model = record.model
    if record.translation:  # encoder and decoder may differ, and decoder layers have two kinds
        return f"{model.layers} layers, {model.heads} heads of three kinds of attention"
    return f"{model.layers} layers x {model.heads // model.layers} heads"


def _trained_on(records: Sequence[Record]) -> str:
    if len({record.task for record in records}) > 1:
        return "fine-tuned on each task"
    examples = records[0].config.get("train", {}).get("examples")
    return f"trained on {records[0].task} ({f'{examples:,}' if examples else 'all'} examples)"


def _weights(weights: str) -> str:
    return {"random": "RANDOM WEIGHTS, timing only", "scratch": "trained from scratch"}.get(weights, weights)


def _data(records: Iterable[Record], role: str) -> str:
    items: dict[tuple[str, str], set[Data]] = {}
    for record in records:
        for item in record.data:
            if item.role == role:
                items.setdefault((item.name, item.split), set()).add(item)
    texts = [f"{name} {split} ({_rows(data)})" for (name, split), data in sorted(items.items())]
    return (" and " if len(texts) < 3 else ", ").join(texts)


def _rows(items: Iterable[Data]) -> str:
    counts = sorted({(item.rows, item.rows_available) for item in items})
    if len(counts) > 3 and len(available := {available for _, available in counts}) == 1:
        return f"{counts[0][0]:,} to {counts[-1][0]:,} of {available.pop():,} rows"
    return " or ".join(
        f"{rows:,} rows" if rows == available else f"{rows:,} of {available:,} rows" for rows, available in counts
    )


def _list(numbers: Sequence[int]) -> str:
    """Rising numbers; of many, the first, the last and how many there are.

    >>> _list([0, 1, 2]), _list(range(12)), _list([*range(11), 40])
    ('0, 1, 2', '0 to 11', '0 to 40 (12 of them)')
    """
    if len(numbers) <= 10:
        return ", ".join(map(str, numbers))
    gaps = numbers[-1] - numbers[0] >= len(numbers)
    return f"{numbers[0]} to {numbers[-1]}" + (f" ({len(numbers)} of them)" if gaps else "")


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Settings by their dotted names."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

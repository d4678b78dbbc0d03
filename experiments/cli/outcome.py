"""What a finished run came to, in a few facts: its score beside the baseline, what was asked for and what was reached.

The end of a run and the table at the end of a sweep both say it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.data.marks.quiet import BESIDE, UNKNOWN, disturbed_in
from prunekit.runs.schema.seconds import LATENCIES

BUDGETS = {
    "mac": {"achieved_macs": "MACs {} left"},
    "latency": {"achieved_latency_by_table": "latency {} left"},
    "parameters": {
        "achieved_parameters_of_layers": "parameters of the layers {} left",
        "achieved_parameters": "parameters {} left of the whole model",
    },
}
"""What tells that a budget was kept, by its kind: the share that is gone, and the words for what is left. Of several
the first that a record has: before version 7 of the schema none had its budget's own share of parameters."""

TIMES = ("seconds_", "speedup", "ratio_", "layers_ms", "share_without_units", "share_of_promise_", "achieved_latency")
"""How the names of metrics begin that were measured as times."""


@dataclass(frozen=True)
class CellOutcome:
    """Texts, each empty where a run has no such thing."""

    metric: str
    score: str
    baseline: str
    requested: str
    """The setting as it was given, for example ``constraint=0.3``."""
    achieved: str
    """In the unit of the request."""


def outcome(record: dict[str, Any], config: Any) -> CellOutcome:
    """The few facts of a record.

    Of a whole curve the score is that of the last point within the baseline's band: at its end nothing is left.

    Args:
        config: the run's settings, whose words the request is told in.
    """
    metrics, sparsity = record["metrics"], record["sparsity"]
    metric = metrics.get("metric") or (config.task.metric if config.task.metric in metrics else "")
    score, baseline = metrics.get("value", metrics.get(metric)), metrics.get("baseline")
    requested = achieved = ""
    if "share_within_baseline_band" in metrics and config.share is None:
        share = metrics["share_within_baseline_band"]
        score = _at_share(table_rows(record, config, "points"), share)
        requested = "every share"
        achieved = f"heads {_short(share)} gone within the baseline's band"
    elif hasattr(config, "constraint"):
        name, words = next(item for item in BUDGETS[config.budget].items() if item[0] in sparsity)
        requested, achieved = f"constraint={config.constraint:g}", words.format(_short(1 - sparsity[name]))
        if mark := quiet_mark(record, [name]):
            achieved += f" ({mark})"
    elif hasattr(config, "sparsity"):
        missed = "" if metrics.get("reached_target", True) else ", target missed"
        requested, achieved = f"sparsity={config.sparsity:g}", f"counted {_short(sparsity['counted'])}{missed}"
    elif hasattr(config, "remaining"):
        if config.source is None and config.remaining < 1:
            requested = f"remaining={config.remaining:g}"
        if sparsity["achieved_macs"]:
            achieved = BUDGETS["mac"]["achieved_macs"].format(_short(1 - sparsity["achieved_macs"]))
    elif "achieved_heads" in sparsity:
        if hasattr(config, "shares"):
            requested = f"shares=[{','.join(f'{share:g}' for share in config.shares)}]"
        else:
            requested = f"share={config.share:g}"
        achieved = f"heads {_short(sparsity['achieved_heads'])} gone"
    return CellOutcome(metric, _short(score), _short(baseline), requested, achieved)


def facts(record: dict[str, Any], config: Any) -> list[tuple[str, str]]:
    """Names and values of the small table at the end of a run: its outcome first, then what else it has measured."""
    metrics, own = record["metrics"], outcome(record, config)
    band = ""
    if "baseline_low" in metrics:
        band = f" ({_short(metrics['baseline_low'])} to {_short(metrics['baseline_high'])})"
    baseline = f"{own.baseline}{band}" if own.baseline else ""
    curve = own.requested == "every share"  # its end is no result
    score = own.score
    if curve and score:
        share = metrics["share_within_baseline_band"]
        score += f" with {_short(share)} of the heads gone" if share else " of the whole model"
    rows = [(own.metric, score), ("baseline" if own.score else f"baseline {own.metric}", baseline),
            ("trivial answer", _trivial(metrics, own.metric)), ("requested", own.requested),
            ("achieved", own.achieved)]  # fmt: skip
    said = {"metric", "value", own.metric, "baseline", "baseline_low", "baseline_high", "share_within_baseline_band"}
    said |= {"remaining_macs", "remaining_parameters"}  # the other side of what is achieved
    said |= {name for name in metrics if name.endswith("above_trivial")}
    said |= set(metrics.get("trivial", ())) if curve else set()
    rest = {
        name: value for name, value in metrics.items()
        if name not in said and not name.endswith("_signature") and isinstance(value, float | int | str)
    }  # fmt: skip
    if "sublayers_refitted" in rest:
        rest = _refitted(rest)
    gone = {} if curve else {
        name.replace("achieved", "gone"): value for name, value in record["sparsity"].items()
        if name.startswith("achieved_") or name in ("expected", "counted_as_learned")
    }  # fmt: skip
    shown = [*_grouped(rest, record), *_grouped(gone, record)]
    timed = table_rows(record, config, "latency")
    if "speedup" in rest and timed:  # of its last row
        of = f"batch {timed[-1]['batch_size']}, length {timed[-1]['length']}"
        words = "; ".join(filter(None, (of, quiet_mark(record, ["speedup"]))))
        shown = [(name, f"{_short(rest['speedup'])} ({words})" if name == "speedup" else text) for name, text in shown]
    return [(name, value) for name, value in [*rows, *shown] if value]


def _refitted(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of records from before version 6, too, what was fitted: a method's own refit was none there, and the sublayers
    whose biases were fitted were not counted."""
    counts = ("sublayers_refitted", "sublayers_not_refitted")
    if not any(metrics[name] for name in counts):
        return {name: value for name, value in metrics.items() if name not in counts}
    return metrics | ({"refit": "by the method"} if metrics["refit"] == "none" else {})


def quiet_mark(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """Of metrics that were measured as times, in the words of the figures, that other work ran beside them, or that it
    is not known whether it did; nothing of a quiet machine and of other metrics.

    Args:
        names: as ``metrics`` and ``sparsity`` have them.
    """
    stages = {stage for name in names for stage in _timed_in(name, record["verb"])}
    if not stages:
        return ""
    return {True: BESIDE, False: "", None: UNKNOWN}[disturbed_in(record.get("quiet") or {}, stages)]


def _timed_in(name: str, verb: str) -> tuple[str, ...]:
    """The stages of a run in one of which a metric was measured; none of what is no time."""
    if name == "achieved_latency_by_table":
        return ("latency table",)
    if name.startswith("seconds_") and verb != "benchmark":
        return (name.removeprefix("seconds_"),)
    return LATENCIES if name.startswith(TIMES) else ()


def curve_points(record: dict[str, Any], config: Any) -> list[tuple[str, str, str]]:
    """Share of the heads that goes, heads that are left, and score, of every point of a whole curve; none of others."""
    if "share_within_baseline_band" not in record["metrics"] or config.share is not None:
        return []
    return [
        (_short(float(row["share"])), f"{row['heads_kept']} of {row['heads_total']}", _short(float(row["value"])))
        for row in table_rows(record, config, "points")
    ]


def table_rows(record: dict[str, Any], config: Any, name: str) -> list[dict[str, str]]:
    """Of a run's own table; none where it has none, or is a record of another machine."""
    path = Path(config.run.folder) / record["verb"] / record["run_id"] / "tables" / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError:
        return []


def _trivial(metrics: Mapping[str, Any], metric: str) -> str:
    """What the trivial answer scores, and whether the whole model is no better."""
    value = metrics.get("trivial", {}).get(metric)
    chance = "" if metrics.get("above_trivial", True) else " (the whole model is not significantly above it)"
    return "" if value is None else f"{_short(value)}{chance}"


def _grouped(values: dict[str, Any], record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row a first word: ``seconds: search 0.003, tune 34.9``, and whether other work ran beside what is a time."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in values:
        groups[name.partition("_")[0]].append(name)
    rows = []
    for first, names in groups.items():
        mark = quiet_mark(record, [name.replace("gone", "achieved") for name in names])
        rests = [name.partition("_")[2].replace("_", " ") for name in names]
        label = f"{first} {rests[0]}".replace("_", " ").strip() if len(names) == 1 else first
        text = _short(values[names[0]]) if len(names) == 1 else ", ".join(
            f"{rest} {_short(values[name])}".strip() for rest, name in zip(rests, names, strict=True)
        )  # fmt: skip
        rows.append((label, f"{text} ({mark})" if mark and text else text))
    return rows


def _at_share(points: list[dict[str, str]], share: float) -> float | None:
    """The score at a share of a curve."""
    return next((float(row["value"]) for row in points if float(row["share"]) == share), None)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

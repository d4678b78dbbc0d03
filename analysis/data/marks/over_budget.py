"""Runs whose model costs more than they were asked for, as records of other programs may."""

from __future__ import annotations

from analysis.data.records import Record
from prunekit.config.choices import ROUNDING

GONE = {
    "parameters": ("achieved_parameters_of_layers", "weights of the layers"),
    "latency": ("achieved_latency_by_table", "latency by table"),
}
"""By kind of budget, MACs apart, which share of it a record says is gone, and of what."""


def over_budget(record: Record) -> str:
    """By how much the model that a run ended with is above its budget, in words; empty where it is within, to rounding,
    where the run has none, and where its record does not say."""
    kind = record.config.get("budget")
    if kind == "mac":
        left, what = float(record.metrics["remaining_macs"]), "MACs"
    elif kind in GONE and GONE[kind][0] in record.sparsity:
        left, what = 1 - float(record.sparsity[GONE[kind][0]]), GONE[kind][1]
    else:
        return ""
    asked = float(record.config["constraint"])
    return f"{left:.6g} of the {what} are left, above constraint={asked:g}" if left > asked * (1 + ROUNDING) else ""

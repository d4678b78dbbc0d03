"""Masks by Fisher information, rearranged and tuned."""

from __future__ import annotations

from prunekit.runs.schema.budgets import under_a_budget
from prunekit.runs.schema.fields import Field

VERB = under_a_budget(
    "prune_fisher",
    stages="dense, search, rearrange or tune",
    report="tuning",
    requested="requested_macs|requested_latency",
    metrics=(
        Field("sublayers_tuned", "int", "of the report"),
        Field("sublayers_not_tuned", "int", "of the report"),
    ),
)

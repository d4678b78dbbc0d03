"""Heads and neurons pruned to a budget by any method."""

from __future__ import annotations

from prunekit.runs.schema.budgets import under_a_budget
from prunekit.runs.schema.fields import Field

VERB = under_a_budget(
    "compress",
    stages="dense, then each stage of the method, as search",
    report="refit",
    requested="requested_macs|requested_latency|requested_parameters",
    settings=(Field("method", "dict", "its name and options"),),
    metrics=(
        Field("method", "str", "that chose the units"),
        Field("refine", "str", "stage that exchanged units: none, rearrange or swap"),
        Field("refit", "str", "what was fitted: none, scales, weights, bias, or what the method itself refits"),
        Field("sublayers_refitted", "int", "of the report"),
        Field("sublayers_not_refitted", "int", "of the report"),
        Field("sublayers_with_more_damping", "int", "than was asked for, as they were singular", optional=True,
              since=6),
        Field("directions_dropped", "int", "singular ones, of all solutions together", optional=True, since=6),
    ),
)

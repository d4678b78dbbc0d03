"""Heads and neurons pruned to a budget by any method."""

from __future__ import annotations

from prunekit.runs.schema.budgets import under_a_budget
from prunekit.runs.schema.fields import Field, TableSchema, fields
from prunekit.runs.schema.shared import LAYER

OF_METHODS = (
    TableSchema(
        "levels",
        "a row a number of units that a sublayer could keep, of methods that know what each would lose",
        fields(
            LAYER,
            Field("sublayer", "str", "attention or ffn"),
            Field("units", "int", "units that are left"),
            Field("damped_error", "float", "half of the damped quadratic, which the search adds up, as a share of "
                  "the mean squared output without bias"),
            Field("measured_error", "float", "mean squared error of the output on the calibration tokens, as the same "
                  "share"),
            Field("damping", "float", "share of the mean of the diagonal that the sublayer needed"),
        ),
        optional=True,
        since=8,
        keys=("layer", "sublayer", "units"),
    ),
    TableSchema(
        "search",
        "a row a model that a local search judged, in this order",
        fields(
            Field("tried", "int", "candidates drawn until then, from 1; those that come to a model judged before have "
                  "no row"),
            Field("step", "int", "of the search, 0 for what it starts from"),
            Field("divergence", "float", "mean divergence of the candidate's predictions from the whole model's",
                  nullable=True),
            Field("accepted", "bool", "whether the search goes on from it"),
            Field("best", "float", "least divergence until then", nullable=True),
        ),
        optional=True,
        since=8,
        keys=("tried",),
    ),
)  # fmt: skip
"""What a method can hand with its stages."""

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
    tables=OF_METHODS,
)

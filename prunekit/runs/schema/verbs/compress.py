"""Heads and neurons pruned to a budget by any method."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, Fields, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import (
    ACHIEVED,
    BASELINE,
    KEPT,
    LATENCY,
    LAYER,
    METRIC,
    METRICS,
    REMAINING,
    TRIVIAL,
    VALUE,
)

STAGE = (
    Field("stage", "str", "dense, then each stage of the method, as search"),
    *VALUE,
    METRICS,
    Field("length", "int", "tokens of the mean input"),
    Field("macs", "int", "multiply-accumulates of one input of that length"),
    Field("achieved_macs", "float", "share of them that is gone"),
    Field("parameters", "int", "of the model"),
    Field("achieved_parameters", "float", "share of them that is gone"),
)

VERB = VerbSchema(
    "compress",
    tables=(
        TableSchema(
            "stages",
            "a row a stage: the model as it left it",
            fields(*STAGE, Field("seconds", "float", "that the stage took", nullable=True)),
            keys=("stage",),
            logged=True,
        ),
        TableSchema(
            "refit",
            "a row a sublayer",
            fields(
                LAYER,
                Field("sublayer", "str", "attention or ffn"),
                Field("status", "str", "tuned, skipped: why, not reached"),
                Field("units", "int", "that are kept"),
                Field("error_before", "float", "relative to the target, at scales of 1", nullable=True),
                Field("error_after", "float", "relative to the target, at the scales that are left", nullable=True),
                Field("largest_scale", "float", "of the solution by magnitude", nullable=True),
            ),
            optional=True,
            keys=("layer", "sublayer"),
            even="sublayer",
        ),
        KEPT,
        LATENCY,
    ),
    answers=(AnswerSchema("evaluation", "the model after each stage", ("stage",)),),
    settings=Fields(
        (
            Field("constraint", "float", "share of the budget that may remain"),
            Field("calibration_examples", "int", "training examples"),
            Field("method", "dict", "its name and options"),
        ),
        open=True,
    ),
    metrics=fields(
        METRIC,
        *BASELINE,
        *TRIVIAL,
        Field("value", "float", "score of the pruned model"),
        METRICS,
        *REMAINING,
        Field("seconds_pruning", "float", "of all stages together"),
        Field("seconds_*", "float", "of a stage"),
        Field("method", "str", "that chose the units"),
        Field("refine", "str", "stage that exchanged units: none, rearrange or swap"),
        Field("refit", "str", "what was fitted by a stage of its own: none, scales, weights or bias"),
        Field("sublayers_refitted", "int", "of the report"),
        Field("sublayers_not_refitted", "int", "of the report"),
    ),
    sparsity=fields(
        Field("requested_macs|requested_latency|requested_parameters", "float", "share of the budget that goes"),
        *ACHIEVED,
        Field("achieved_heads", "float", "share of the heads that is gone"),
        Field("achieved_neurons", "float", "share of the neurons that is gone"),
        Field("achieved_latency_by_table", "float", "of layers, by the table", optional=True),
        Field("achieved_latency", "float", "of the whole model, measured", optional=True),
    ),
    log=fields(*STAGE),
)

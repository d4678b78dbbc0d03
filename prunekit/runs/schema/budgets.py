"""What verbs record that prune heads and neurons to a budget, stage by stage."""

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


def under_a_budget(
    verb: str,
    *,
    stages: str,
    report: str,
    requested: str,
    settings: tuple[Field, ...] = (),
    metrics: tuple[Field, ...] = (),
    tables: tuple[TableSchema, ...] = (),
) -> VerbSchema:
    """The schema of such a verb.

    Args:
        stages: which there are, in words.
        report: the table of what was done to each sublayer.
        requested: the budget's share in ``sparsity``, its alternatives separated by ``|``.
        settings: beside constraint and number of calibration examples.
        metrics: beside scores, what remains, and seconds.
        tables: beside stages, report, units kept and latencies.
    """
    stage = (
        Field("stage", "str", stages),
        *VALUE,
        METRICS,
        Field("length", "int", "tokens of the mean input"),
        Field("macs", "int", "multiply-accumulates of one input of that length"),
        Field("achieved_macs", "float", "share of them that is gone"),
        Field("parameters", "int", "of the model"),
        Field("achieved_parameters", "float", "share of them that is gone"),
    )
    return VerbSchema(
        verb,
        tables=(
            TableSchema(
                "stages",
                "a row a stage: the model as it left it",
                fields(*stage, Field("seconds", "float", "that the stage took", nullable=True)),
                keys=("stage",),
                logged=True,
            ),
            TableSchema(
                report,
                "a row a sublayer",
                fields(
                    LAYER,
                    Field("sublayer", "str", "attention or ffn"),
                    Field("status", "str", "tuned, with more damping if that was needed, skipped: why, not reached"),
                    Field("units", "int", "that are kept"),
                    Field("error_before", "float", "relative to the target, at scales of 1", nullable=True),
                    Field("error_after", "float", "relative to the target, at the scales that are left", nullable=True),
                    Field("largest_scale", "float", "of the solution by magnitude", nullable=True),
                    Field("damping", "float", "that its normal equations were solved with, as a share of the mean of "
                          "their diagonal", nullable=True, optional=True, since=6),
                    Field("dropped", "int", "singular directions that the solution leaves out", optional=True, since=6),
                ),
                optional=True,
                keys=("layer", "sublayer"),
                even="sublayer",
            ),
            KEPT,
            LATENCY,
            *tables,
        ),
        answers=(AnswerSchema("evaluation", "the model after each stage", ("stage",)),),
        settings=Fields(
            (
                Field("constraint", "float", "share of the budget that may remain"),
                Field("calibration_examples", "int", "training examples"),
                *settings,
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
            *metrics,
        ),
        sparsity=fields(
            Field(requested, "float", "share of the budget that goes"),
            *ACHIEVED,
            Field("achieved_heads", "float", "share of the heads that is gone"),
            Field("achieved_neurons", "float", "share of the neurons that is gone"),
            Field("achieved_parameters_of_layers", "float", "of the weights of the layers' matrices, with a budget of "
                  "parameters", optional=True, since=7),
            Field("achieved_latency_by_table", "float", "of layers, by the table", optional=True),
            Field("achieved_latency", "float", "of the whole model, measured", optional=True),
        ),
        log=fields(*stage),
    )

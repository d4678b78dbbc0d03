"""Learned and baseline structures, distilled (CoFi)."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, Fields, VerbSchema, fields
from prunekit.runs.schema.shared import ACHIEVED, BASELINE, KEPT, LATENCY, METRICS, REMAINING, TRIVIAL, VALUE

VERB = VerbSchema(
    "prune_cofi",
    tables=(KEPT, LATENCY),
    answers=(AnswerSchema("evaluation", "the whole model (dense) and what was trained (final)", ("stage",)),),
    settings=Fields((Field("sparsity", "float", "share of the prunable parameters that goes"),), open=True),
    metrics=fields(
        *BASELINE,
        *TRIVIAL,
        *VALUE,
        METRICS,
        *REMAINING,
        Field("reached_target", "bool", "the sparsity was reached"),
        Field("missed", "str", "why not", optional=True),
        Field("steps_*", "int", "of a stage"),
        Field("best_*", "float", "best score of a stage on the rows it was selected on", nullable=True),
    ),
    sparsity=fields(
        Field("requested", "float", "share of the prunable parameters"),
        Field("counted", "float", "share of them that is gone"),
        Field("expected", "float", "by the gates, when training ended", optional=True),
        Field("counted_as_learned", "float", "by the masks before they were fitted to the target", optional=True),
        *ACHIEVED,
    ),
    log=fields(
        Field("loss", "float", "mean since the last line", nullable=True),
        Field("prediction_loss", "float", "on answers", nullable=True),
        Field("layer_loss", "float", "on layers", nullable=True, optional=True),
        Field("expected_sparsity", "float", "by the gates", nullable=True, optional=True),
        Field("constraint", "float", "Lagrangian term", nullable=True, optional=True),
        Field("target_sparsity", "float", "of the step", optional=True),
        Field("linear_multiplier|quadratic_multiplier", "float", "Lagrangian multiplier", nullable=True),
        Field("score", "float", "on the rows that models are selected on", nullable=True, optional=True),
        Field("match_*", "int", "student layer that learns from this layer of the teacher", nullable=True),
        Field("stage", "str", "of training"),
    ),
)

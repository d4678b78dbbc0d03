"""A teacher."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, VerbSchema, fields
from prunekit.runs.schema.shared import METRICS, TRIVIAL

VERB = VerbSchema(
    "finetune",
    answers=(AnswerSchema("evaluation", "the trained model", ("stage",)),),
    metrics=fields(
        METRICS,
        *TRIVIAL,
        Field("steps", "int", "of training"),
        Field("created", "list", "parameters that were initialised at random"),
        Field("held_out", "float", "best score on the rows that were held out", nullable=True, optional=True),
        Field("best_step", "int", "where it was", nullable=True, optional=True),
    ),
    log=fields(
        Field("loss", "float", "mean since the last line", nullable=True),
        Field("learning_rate", "float", "of the step"),
        Field("epoch", "float", "passes over the data so far"),
    ),
)

"""Curves of pruned heads after each of several epochs of training."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, Fields, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import METRIC, POINT, SCORE, SIGNATURES, TRIVIAL

EPOCH = Field("epoch", "int", "of training that was finished, from 1", least=1)
CORRELATION = "rank correlation of the scores with those of the last epoch"

VERB = VerbSchema(
    "head_dynamics",
    tables=(
        TableSchema(
            "points",
            "a row an epoch and share",
            fields(EPOCH, *POINT, Field("relative", "float", "value over that of the whole model", nullable=True)),
            keys=("epoch", "share"),
            logged=True,
        ),
        TableSchema(
            "scores",
            "a row an epoch and head",
            fields(EPOCH, *SCORE),
            keys=("epoch", "kind", "layer", "head"),
            even="epoch",
        ),
        TableSchema(
            "agreement",
            "a row an epoch",
            fields(EPOCH, Field("rank_correlation", "float", CORRELATION, nullable=True)),
            keys=("epoch",),
        ),
    ),
    answers=(AnswerSchema("evaluation", "the model at each epoch and share", ("epoch", "share")),),
    settings=Fields((Field("order", "str", "who goes first"),), open=True),
    metrics=fields(
        Field("order", "str", "who goes first"),
        METRIC,
        Field("kinds", "list", "of attention whose heads may go"),
        Field("epochs", "list", "that were looked at"),
        Field("baseline", "float", "score of the whole model after the last epoch"),
        Field("first_baseline", "float", "score of the whole model after the first"),
        Field("first_rank_correlation", "float", f"of the first epoch: {CORRELATION}", nullable=True),
        SIGNATURES,
        *TRIVIAL,
    ),
    log=fields(EPOCH, *POINT),
)

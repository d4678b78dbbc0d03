"""Effects of heads on two data sets."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import ABLATED, HEAD, KIND, LAYER, METRIC, SIGNATURES, TRIVIAL

VERB = VerbSchema(
    "transfer",
    tables=(
        TableSchema(
            "effects",
            "a row a head",
            fields(
                KIND,
                LAYER,
                HEAD,
                Field("first_delta", "float", "change of the score without it, on the first data"),
                Field("second_delta", "float", "change of the score without it, on the second data"),
            ),
            keys=("kind", "layer", "head"),
        ),
    ),
    answers=(
        AnswerSchema("evaluation", "the whole model (ablation none) and without each head", ABLATED),
        AnswerSchema("second", "the same, on the second data", ABLATED),
    ),
    metrics=fields(
        METRIC,
        Field("pearson_r", "float", "correlation of the changes", nullable=True),
        Field("p_value", "float", "of the correlation", nullable=True),
        Field("heads", "int", "heads that were turned off"),
        Field("first", "str", "task and split"),
        Field("second", "str", "task and split"),
        Field("first_baseline", "float", "score of the whole model on the first data"),
        Field("second_baseline", "float", "score of the whole model on the second data"),
        SIGNATURES,
        *TRIVIAL,
        Field("second_trivial", "dict", "trivial on the second data", since=3),
        Field("second_above_trivial", "bool", "above_trivial on the second data", since=3),
    ),
)

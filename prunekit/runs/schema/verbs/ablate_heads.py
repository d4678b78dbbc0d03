"""Heads off one at a time, and all but one of a layer."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import ABLATED, HEAD, KIND, LAYER, METRIC, SIGNATURES, TEST, TRIVIAL

VERB = VerbSchema(
    "ablate_heads",
    tables=(
        TableSchema(
            "heads",
            "a row a head and ablation",
            fields(KIND, LAYER, HEAD, Field("ablation", "str", "one_off or all_but_one"), METRIC, *TEST),
            keys=("kind", "layer", "head", "ablation"),
            even="ablation",
        ),
        TableSchema(
            "layers",
            "a row a layer: the head that was chosen to stay alone",
            fields(
                KIND,
                LAYER,
                Field("protocol", "str", "what it was chosen on: dev or train"),
                HEAD,
                Field("selection_examples", "int", "rows that it was chosen on"),
                METRIC,
                *TEST,
            ),
            keys=("kind", "layer", "protocol"),
            even="protocol",
        ),
    ),
    answers=(
        AnswerSchema("evaluation", "the whole model (ablation none) and without each head, or all but it", ABLATED),
        AnswerSchema("selection", "the same, on the rows that heads are chosen on", ABLATED, optional=True),
    ),
    metrics=fields(
        METRIC,
        Field("baseline", "float", "score of the whole model"),
        Field("worst_single_head_delta", "float", "lowest change by one head"),
        Field("best_single_head_delta", "float", "highest change by one head"),
        Field("heads", "int", "heads that were turned off"),
        Field("heads_significant", "int", "of them, with a significant change"),
        Field("heads_significant_bh", "int", "of them, at that false discovery rate"),
        Field("layers", "int", "layers that were left with one head"),
        Field("layers_significant", "int", "of them, with a significant change"),
        SIGNATURES,
        *TRIVIAL,
    ),
)

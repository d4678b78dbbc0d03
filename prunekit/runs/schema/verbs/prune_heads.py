"""Curves of pruned heads."""

from __future__ import annotations

from prunekit.runs.schema.fields import AnswerSchema, Field, Fields, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import (
    ACHIEVED,
    BASELINE,
    KIND,
    LAYER,
    METRIC,
    METRICS,
    POINT,
    SCORE,
    SIGNATURES,
    TRIVIAL,
)

VERB = VerbSchema(
    "prune_heads",
    tables=(
        TableSchema("points", "a row a share", fields(*POINT), keys=("share",), logged=True),
        TableSchema(
            "kept",
            "a row a share and layer",
            fields(
                Field("share", "float", "of the heads that may go, requested"),
                KIND,
                LAYER,
                Field("heads_kept", "int", "heads that stay", least=0),
                Field("heads", "int", "heads that the whole model has", least=0),
            ),
            keys=("share", "kind", "layer"),
            even="share",
        ),
        TableSchema("scores", "a row a head", fields(*SCORE), keys=("kind", "layer", "head")),
    ),
    answers=(AnswerSchema("evaluation", "the model at each share", ("share",)),),
    settings=Fields((Field("order", "str", "who goes first"),), open=True),
    metrics=fields(
        Field("order", "str", "who goes first"),
        METRIC,
        METRICS,
        *BASELINE,
        *TRIVIAL,
        Field("share_within_baseline_band", "float", "up to which no point is below the band"),
        Field("kinds", "list", "of attention whose heads may go", since=1),
        SIGNATURES,
    ),
    sparsity=fields(
        Field("requested_heads", "float", "share of the heads that may go"),
        Field("achieved_heads", "float", "share of the heads that is gone"),
        *ACHIEVED,
    ),
    log=fields(*POINT),
)

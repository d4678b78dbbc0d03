"""Words a second of pruned translation models."""

from __future__ import annotations

from prunekit.runs.schema.fields import MEASURED, Field, TableSchema, VerbSchema, fields

DECODING = (
    Field("kinds", "str", "of attention whose heads went, joined by +"),
    Field("share", "float", "of their heads, requested"),
    Field("achieved_heads", "float", "share of their heads that is gone"),
    Field("batch_size", "int", "sentences a batch", least=1),
    Field("length", "int", "tokens a source", least=1),
    Field("words", "int", "tokens of a translation"),
    Field("beams", "int", "of beam search"),
    Field("repeats", "int", "rounds"),
    Field("original_words_per_second", "float", "tokens a second of the whole model", least=MEASURED),
    Field("words_per_second", "float", "tokens a second of the pruned model", least=MEASURED),
    Field("speedup", "float", "median of original over pruned, round by round", least=MEASURED),
    Field("speedup_low", "float", "lower quartile"),
    Field("speedup_high", "float", "upper quartile"),
)

DECODED = ("kinds", "share", "batch_size", "length")

VERB = VerbSchema(
    "time_decoding",
    tables=(
        TableSchema("decoding", "a row a batch size, kinds and share", fields(*DECODING), keys=DECODED, logged=True),
    ),
    metrics=fields(
        Field("words", "int", "tokens of a translation"),
        Field("beams", "int", "of beam search"),
        Field("speedup_*", "float", "pruned over original"),
    ),
    sparsity=fields(
        Field("requested_heads", "float", "share of the heads"),
        Field("achieved_heads", "float", "share of the heads that is gone"),
    ),
    log=fields(*DECODING),
)

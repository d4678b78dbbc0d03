"""Latency of layers by units."""

from __future__ import annotations

from prunekit.runs.schema.fields import Field, TableSchema, VerbSchema, fields

VERB = VerbSchema(
    "latency_table",
    tables=(
        TableSchema(
            "latency",
            "a row a sublayer and number of units",
            fields(
                Field("sublayer", "str", "attention or ffn"),
                Field("units", "int", "heads or neurons that it has"),
                Field("median_ms", "float", "milliseconds"),
                Field("low_ms", "float", "lower quartile"),
                Field("high_ms", "float", "upper quartile"),
                Field("repeats", "int", "rounds", least=1),
            ),
            keys=("sublayer", "units"),
        ),
    ),
    metrics=fields(
        Field("batch_size", "int", "examples a batch"),
        Field("length", "int", "tokens an example"),
        Field("layers_ms", "float", "of all layers of the whole model, by the table"),
        Field("share_without_units", "float", "of that, left without a unit"),
    ),
)

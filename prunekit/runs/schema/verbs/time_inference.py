"""Speed of pruned models and of recorded shapes; of translation, before `time_decoding` was a verb of its own, of
decoding."""

from __future__ import annotations

from dataclasses import replace

from prunekit.runs.schema.fields import MEASURED, Field, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import LATENCY
from prunekit.runs.schema.verbs.time_decoding import DECODED, DECODING

BATCH_SIZE = Field("batch_size", "int", "examples a batch", least=1)
LENGTH = Field("length", "int", "tokens an example", least=1)
RUNTIMES = TableSchema(
    "runtimes",
    "the whole and the pruned model in turn in every runtime, where there is one beside torch",
    fields(
        Field("variant", "str", "original or pruned"),
        Field("runtime", "str", "torch, compile, onnx or onnx-int8"),
        BATCH_SIZE,
        LENGTH,
        Field("median_ms", "float", "milliseconds", least=MEASURED),
        Field("low_ms", "float", "lower quartile"),
        Field("high_ms", "float", "upper quartile"),
        Field("repeats", "int", "rounds"),
        Field("fastest", "bool", "no other runtime has a smaller median for this model, batch and length"),
    ),
    optional=True,
    since=4,
    keys=("variant", "runtime", "batch_size", "length"),
)
VERB = VerbSchema(
    "time_inference",
    tables=(
        TableSchema(
            "timings",
            "a row a variant, length and batch size",
            fields(
                Field("variant", "str", "original, gated or pruned"),
                Field("share", "float", "of the heads that go"),
                BATCH_SIZE,
                LENGTH,
                Field("length_label", "str", "the length, or mean"),
                Field("median_ms", "float", "milliseconds", least=MEASURED),
                Field("low_ms", "float", "lower quartile"),
                Field("high_ms", "float", "upper quartile"),
                Field("examples_per_second", "float", "at the median", least=MEASURED),
                Field("repeats", "int", "rounds"),
                Field("peak_memory_mb", "float", "MiB"),
            ),
            optional=True,
            keys=("variant", "share", "batch_size", "length_label"),
        ),
        TableSchema(
            "decoding", "of translation: a row a size, kinds and share", fields(*DECODING), optional=True, keys=DECODED
        ),
        RUNTIMES,
        replace(LATENCY, meaning="of a recorded shape, dense and pruned in turn", optional=True, since=3),
    ),
    metrics=fields(
        Field("attention_parameter_share", "float", "of all parameters", optional=True),
        Field("attention_share_of_layers", "float", "of the parameters of layers", optional=True),
        Field("words", "int", "tokens of a translation", optional=True),
        Field("beams", "int", "of beam search", optional=True),
        Field("speedup_*", "float", "pruned over original, of a runtime, or as served: each in its fastest"),
        Field("runtime_*", "str", "the fastest of a model"),
    ),
    sparsity=fields(
        Field("requested_heads", "float", "share of the heads; not of a recorded shape", optional=True),
        Field("achieved_heads", "float", "share of the heads that is gone"),
        Field("achieved_parameters", "float", "share of the parameters that is gone", optional=True),
        Field("achieved_macs", "float", "share of the multiply-accumulates that is gone", optional=True),
    ),
    # a line a batch size and length of encoders, a row of the table of translation
    log=fields(
        BATCH_SIZE,
        LENGTH,
        *(replace(item, optional=True) for item in DECODING if item.name not in (BATCH_SIZE.name, LENGTH.name)),
    ),
)

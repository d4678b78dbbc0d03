"""A model in 8 bits, beside itself and the whole one in float32."""

from __future__ import annotations

from dataclasses import replace

from prunekit.runs.schema.fields import MEASURED, AnswerSchema, Field, Fields, TableSchema, VerbSchema, fields
from prunekit.runs.schema.shared import ACHIEVED, BASELINE, METRICS, REMAINING, TRIVIAL, VALUE
from prunekit.runs.schema.verbs.finetune import VERB as FINETUNE
from prunekit.runs.schema.verbs.time_inference import BATCH_SIZE, LENGTH, RUNTIMES

STAGES = "dense; pruned, where it is; simulated and trained, where it was trained for it; quantized"
VERB = VerbSchema(
    "quantize",
    tables=(
        TableSchema(
            "stages",
            "a row a stage: the model as it left it, in ONNX Runtime but for simulated",
            fields(
                Field("stage", "str", STAGES),
                Field("precision", "str", "float32, int8, or simulated: 8 bits in float"),
                *VALUE,
                METRICS,
                Field("length", "int", "tokens of the mean input", least=1),
                Field("macs", "int", "multiply-accumulates of one input of that length", least=0),
                Field("achieved_macs", "float", "share of them that is gone"),
                Field("parameters", "int", "of the model", least=0),
                Field("achieved_parameters", "float", "share of them that is gone"),
                Field("bytes", "float", "of its graph on disk; simulated has none", nullable=True, least=1),
            ),
            keys=("stage",),
        ),
        replace(RUNTIMES, meaning="the whole model and what was quantized, each in float32 and int8, in turn",
                optional=False),
        TableSchema(
            "gains",
            "speed over the whole model in float32, round by round: a row a batch size",
            fields(
                BATCH_SIZE,
                LENGTH,
                Field("pruning", "float", "of the pruned model in float32, median", least=MEASURED),
                Field("int8", "float", "of the whole model in int8, median", least=MEASURED),
                Field("both", "float", "of the pruned model in int8, median", least=MEASURED),
                Field("of_product", "float", "both over the product of the other two, median", least=MEASURED),
                Field("low", "float", "lower quartile of it"),
                Field("high", "float", "upper quartile of it"),
                Field("repeats", "int", "rounds"),
            ),
            keys=("batch_size", "length"),
        ),
    ),
    answers=(AnswerSchema("evaluation", "the model after each stage", ("stage",)),),
    settings=Fields(
        (
            Field("quantization", "str", "dynamic, aware or trained"),
            Field("remaining", "float", "share of the MACs that was asked for, 1 where there is a source"),
            Field("source", "str", "VERB/RUN_ID or folder of the run whose model it is", nullable=True),
        ),
        open=True,
    ),
    metrics=fields(
        *BASELINE,
        *TRIVIAL,
        *VALUE,
        METRICS,
        Field("quantization", "str", "dynamic, aware or trained"),
        *REMAINING,
        Field("speedup_*", "float", "over the whole model in float32: of pruning, of int8, of both, by batch size"),
        Field("bytes", "int", "of the graph in int8", least=1),
        Field("remaining_bytes", "float", "share of the whole model's graph in float32"),
        Field("steps", "int", "of training", optional=True),
    ),
    sparsity=fields(*ACHIEVED),
    log=FINETUNE.log,
)  # fmt: skip

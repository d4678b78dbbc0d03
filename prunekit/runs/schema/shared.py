"""Fields that several verbs have in common."""

from __future__ import annotations

from prunekit.config.task_kinds import TASK_KINDS
from prunekit.runs.schema.fields import MEASURED, Field, TableSchema, fields

METRICS = Field("|".join(metric for kind in TASK_KINDS for metric in kind.metrics), "float", "a score of the task")
"""The scores of a task, by their names; which ones there are depends on the task."""
TRIVIAL = (
    Field("trivial", "dict", "by metric, the best score without a model: one class, no answer, the source", since=3),
    Field("above_trivial", "bool", "the 95 % band of the whole model lies above it, by the first metric", since=3),
)
"""Of the evaluation rows, for verbs that score a model."""
SIGNATURES = Field("bleu_signature|chrf_signature", "str", "how sacrebleu counted")
METRIC = Field("metric", "str", "name of the task's first score")
LAYER = Field("layer", "int", "layer, from 0", least=0)
HEAD = Field("head", "int", "head of the layer, from 0", least=0)
KIND = Field("kind", "str", "of attention: self, or enc-enc, enc-dec, dec-dec")
ABLATED = ("ablation", "kind", "layer", "head")
"""What tells a model with heads off from the others."""

BASELINE = (
    Field("baseline", "float", "score of the model before pruning"),
    Field("baseline_low", "float", "lower end of its 95 % band"),
    Field("baseline_high", "float", "upper end of its 95 % band"),
)
VALUE = (
    METRIC,
    Field("value", "float", "score"),
    Field("low", "float", "lower end of its 95 % band"),
    Field("high", "float", "upper end of its 95 % band"),
)
SIZE = (
    Field("parameters", "int", "of the model", least=0),
    Field("achieved_parameters", "float", "share of them that is gone"),
    Field("macs", "int", "multiply-accumulates of one input of that length", least=0),
    Field("achieved_macs", "float", "share of them that is gone"),
    Field("length", "int", "tokens of the mean input", least=1),
    Field("target_length", "int", "tokens of the mean translation", optional=True),
)
POINT = (
    Field("share", "float", "of the heads that may go, requested"),
    Field("kinds", "str", "of attention whose heads may go, joined by +", since=1),
    Field("heads_kept", "int", "heads that stay", least=0),
    Field("heads_total", "int", "heads that may go, and those that stay", least=1),
    Field("achieved_heads", "float", "share of the heads that is gone"),
    *VALUE,
    METRICS,
    *SIZE,
)
"""A point of a curve of pruned heads."""
SCORE = (
    KIND,
    LAYER,
    HEAD,
    Field("score", "float", "higher is more important", nullable=True),
    Field("rank", "int", "0 goes first"),
)
TEST = (
    Field("examples", "int", "rows that were evaluated", least=1),
    Field("baseline", "float", "score of the whole model"),
    Field("value", "float", "score without"),
    Field("delta", "float", "value less baseline"),
    Field("p_value", "float", "that the two scores differ by chance", nullable=True),
    Field("significant", "bool", "p_value is below the level"),
    Field("significant_bh", "bool", "so it is at that false discovery rate (Benjamini-Hochberg)"),
)
LATENCY = TableSchema(
    "latency",
    "measured latency, dense and pruned in turn",
    fields(
        Field("batch_size", "int", "examples a batch", least=1),
        Field("length", "int", "tokens an example", least=1),
        Field("dense_ms", "float", "median milliseconds of the whole model", least=MEASURED),
        Field("pruned_ms", "float", "median milliseconds of the pruned model", least=MEASURED),
        Field("speedup", "float", "median of dense over pruned, round by round", least=MEASURED),
        Field("speedup_low", "float", "lower quartile of it", since=9, least=MEASURED),
        Field("speedup_high", "float", "upper quartile of it", since=9, least=MEASURED),
        Field("repeats", "int", "rounds", since=9, least=1),
        Field("mac_speedup", "float", "what multiply-accumulates promise", least=MEASURED),
    ),
    keys=("batch_size", "length"),
)
KEPT = TableSchema(
    "kept",
    "units kept in each layer",
    fields(
        Field("unit", "str", "heads, neurons, KIND layers, ffn layers or hidden"),
        LAYER,
        Field("kept", "int", "units that stay", least=0),
        Field("total", "int", "units that the whole model has", least=0),
    ),
    keys=("unit", "layer"),
)
ACHIEVED = (
    Field("achieved_macs", "float", "share of the multiply-accumulates that is gone"),
    Field("achieved_parameters", "float", "share of the parameters that is gone"),
)
REMAINING = (
    Field("remaining_macs", "float", "share of the multiply-accumulates that is left"),
    Field("remaining_parameters", "float", "share of the parameters that is left"),
    Field("speedup", "float", "measured, at the last batch size"),
)

"""What ``result.json`` of every verb holds."""

from __future__ import annotations

from prunekit.runs.schema.fields import Field, Fields, fields

CONFIG = Fields(
    (
        Field("task", "dict", "data and metric"),
        Field("model", "dict", "what was built or loaded", optional=True),
        Field("train", "dict", "the teacher's training", optional=True, nullable=True),
        Field("second", "dict", "another task", optional=True, nullable=True),
        Field("student", "dict", "training of the pruned model", optional=True, nullable=True),
        Field("kinds", "list", "of attention", optional=True, nullable=True),
    ),
    open=True,
)
"""Of every verb's configuration, what figures rely on."""

SECTIONS: dict[str, Fields] = {
    "task": Fields(
        (
            Field("name", "str", "of the task"),
            Field("translation", "bool", "it is one of translation", optional=True, nullable=True),
        ),
        open=True,
    ),
    "model": Fields((Field("shape", "dict", "sizes by name", optional=True, nullable=True),), open=True),
    "train": Fields((Field("examples", "int", "training rows", optional=True, nullable=True),), open=True),
    "second": Fields((Field("name", "str", "of the task", optional=True, nullable=True),), open=True),
    "student": Fields((Field("select_on", "str", "rows", optional=True, nullable=True),), open=True),
}
"""The same of its sections."""

FRAME = fields(
    Field("schema", "int", "version of the schema", since=1),
    Field("verb", "str", "what was done"),
    Field("revision", "int", "of the verb, raised when its numbers change"),
    Field("run_id", "str", "hash of what changes the result"),
    Field("replaces", "str", "its run_id at the revision before; none at the first", nullable=True, since=2),
    Field("status", "str", "finished"),
    Field("config", "dict", "the whole configuration, by section"),
    Field("metrics", "dict", "the numbers of the run"),
    Field("sparsity", "dict", "what was requested and achieved, shares that are gone"),
    Field("model", "dict", "the model"),
    Field("teacher", "dict", "the fine-tuned model that was pruned", nullable=True),
    Field("data", "list", "the rows that were used, by role"),
    Field("seed", "int", "of the run"),
    Field("scale", "str", "name of the sizes", nullable=True),
    Field("seconds", "dict", "time of every stage, in seconds"),
    Field("quiet", "dict", "how quiet the machine was in every timed stage", since=3),
    Field("peak_memory_bytes", "int", "most memory of its GPU in the run; on a CPU of the process, since that started"),
    Field("device", "dict", "what it ran on"),
    Field("versions", "dict", "of Python and libraries"),
    Field("git", "dict", "commit of the source"),
    Field("started", "str", "date and time, ISO 8601, UTC"),
    Field("finished", "str", "date and time, ISO 8601, UTC"),
    Field("input", "dict", "hash of the content of local files and folders, by setting", optional=True, since=2),
    Field("tables", "dict", "rows of every table", optional=True, since=2),
    Field("answers", "dict", "models in answers.npz, by the role of the rows that they answer", optional=True, since=3),
)

PARTS: dict[str, Fields] = {
    "config": CONFIG,
    "model": fields(
        Field("name", "str", "of the configuration"),
        Field("path", "str", "Hub id or folder; none for models built from a shape", nullable=True),
        Field("weights", "str", "pretrained, scratch or random"),
        Field("family", "str", "model type, as transformers name it"),
        Field("parameters", "int", "all of them", least=1),
        Field("layers", "int", "depth", least=1),
        Field("heads", "int", "attention heads of all layers together", least=0),
        Field("fingerprint", "str", "hash of its weights before any pruning", optional=True, since=2),
        Field("shape_of", "str", "VERB/RUN_ID of the run whose pruned model's shape was timed", optional=True, since=3),
        Field("shape_fingerprint", "str", "hash of the units that that run kept", optional=True, since=3),
        Field("pruned_run", "str", "VERB/RUN_ID of the run whose pruned model was quantized", optional=True, since=5),
        Field("pruned_fingerprint", "str", "hash of that model's weights", optional=True, since=5),
    ),
    "teacher": fields(
        Field("run_id", "str", "of the run that fine-tuned it", nullable=True),
        Field("path", "str", "folder of a model that came from outside", optional=True),
        Field("seed", "int", "of its training", optional=True),
        Field("metric", "str", "name of the score", optional=True),
        Field("value", "float", "its score", optional=True),
        Field("device", "str", "product name and type of what it was fine-tuned on", optional=True, since=2),
    ),
    "seconds": fields(Field("total", "float", "the whole run"), Field("*", "float", "a stage")),
    "quiet": fields(Field("*", "dict", "a stage")),
    "device": fields(
        Field("type", "str", "cpu or cuda"),
        Field("name", "str", "product name"),
        Field("threads", "int", "CPU threads of PyTorch", least=1),
        Field("dtype", "str", "precision of the run"),
        Field("processes", "int", "that trained together", optional=True),
    ),
    "versions": fields(Field("python", "str", "version"), Field("*", "str", "version of a library")),
    "git": fields(
        Field("commit", "str", "hash; none outside a checkout", nullable=True),
        Field("dirty", "bool", "there were changes that are in no commit", nullable=True),
    ),
    "tables": fields(Field("*", "int", "rows of the table", least=1)),
    "answers": fields(Field("*", "int", "models", least=1)),
}
"""The objects in the frame whose fields do not depend on the verb."""

DATA = fields(
    Field("role", "str", "train, evaluation, selection, calibration, importance, distillation, quantization or second"),
    Field("name", "str", "of the task"),
    Field("source", "str", "Hub id, files or demo"),
    Field("split", "str", "of the data set"),
    Field("rows", "int", "that were used", least=0),
    Field("rows_available", "int", "that there are", least=0),
    Field("fingerprint", "str", "hash of the rows that were used"),
)
"""One item of ``data``."""


QUIET = fields(
    Field("disturbed", "bool", "other processes took more than 5 % of the CPUs' time; none where nothing counts it",
          nullable=True),
    Field("before", "float", "share of the CPUs' time that they took just before", nullable=True, least=0),
    Field("during", "float", "in the meantime", nullable=True, least=0),
    Field("after", "float", "just after", nullable=True, least=0),
    Field("load", "float", "load average of the last minute", nullable=True, least=0),
    Field("mhz", "float", "frequency of the CPUs", nullable=True, least=0),
    Field("cpus", "int", "that the shares are of", nullable=True, least=1),
    Field("waited", "float", "seconds, for quiet", least=0),
)  # fmt: skip
"""A stage in ``quiet``."""

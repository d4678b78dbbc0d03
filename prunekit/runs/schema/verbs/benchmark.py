"""Fast paths beside plain implementations."""

from __future__ import annotations

from prunekit.runs.schema.fields import MEASURED, Field, Fields, TableSchema, VerbSchema, fields

VERB = VerbSchema(
    "benchmark",
    tables=(
        TableSchema(
            "repeats",
            "a row a comparison and round; none of `benchmark=estimate`",
            fields(
                Field("comparison", "str", "what was compared with the fast path, or its stage"),
                Field("repeat", "int", "round, from 0"),
                Field("plain_seconds", "float", "of the plain implementation", least=MEASURED),
                Field("fast_seconds", "float", "of the fast one", least=MEASURED),
                Field("ratio", "float", "plain over fast", least=MEASURED),
                Field("teachers_seconds", "float", "of training teachers, of sweeps", optional=True),
                Field("cells_seconds", "float", "of the cells, of sweeps", optional=True),
            ),
            optional=True,
            keys=("comparison", "repeat"),
        ),
        TableSchema(
            "steps",
            "a row a measured step and round, of `benchmark=estimate`",
            fields(
                Field("step", "str", "of which verb's work, or a row of it"),
                Field("repeat", "int", "round, from 0"),
                Field("seconds", "float", "of one step or row", least=MEASURED),
                Field("peak_megabytes", "float", "most memory in use meanwhile, of the process or its GPU"),
            ),
            optional=True,
            since=8,
            keys=("step", "repeat"),
        ),
    ),
    settings=Fields((Field("benchmark", "str", "which"),), open=True),
    metrics=fields(
        Field("ratio_*", "float", "median ratio of a comparison"),
        Field("seconds_*", "float", "median seconds of an implementation"),
        Field("max_*", "float", "largest difference between implementations", nullable=True),
        Field("error_*", "float", "of tuning, by implementation", nullable=True),
        Field("saved_megabytes_*|peak_megabytes_*", "float", "memory of a step, by implementation"),
        Field("sparsity_*|expected_sparsity*", "float", "share of the prunable parameters that is gone"),
        Field("share_of_promise_*", "float", "measured speed-up over that of a hand-built model"),
        Field("share_of_plain|same_hypotheses|exchanged", "float", "a share"),
        Field("not_estimated", "str", "verbs of which no seconds are estimated", optional=True, since=8),
        Field("same_masks", "bool", "all units are the same", optional=True),
        Field(
            "hypotheses|other_scores|different_units|different_predictions|teachers_trained|cells|neurons|runs|steps"
            "|length",
            "int",
            "a number of them",
        ),
    ),
)

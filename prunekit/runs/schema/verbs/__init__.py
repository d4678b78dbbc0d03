"""What each verb records, one file a verb."""

from __future__ import annotations

from prunekit.runs.schema.fields import VerbSchema
from prunekit.runs.schema.verbs import (
    ablate_heads,
    benchmark,
    compress,
    finetune,
    head_dynamics,
    latency_table,
    prune_cofi,
    prune_fisher,
    prune_heads,
    quantize,
    time_decoding,
    time_inference,
    transfer,
)

VERBS: dict[str, VerbSchema] = {
    module.VERB.name: module.VERB
    for module in (
        ablate_heads, benchmark, compress, finetune, head_dynamics, latency_table, prune_cofi, prune_fisher,
        prune_heads, quantize, time_decoding, time_inference, transfer,
    )
}  # fmt: skip

"""What each figure shows, in words, by the name of its part. Tables have titles of their own."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "fig1a": "Fig. 1a: the change of BLEU with one head removed, by kind of attention",
    "fig1b": "Fig. 1b: the change of the metric with one head removed, over all heads",
    "fig2a": "Fig. 2a: the effect of removing a head on two test sets",
    "fig2b": "Fig. 2b: the effect of removing a head on two evaluation sets",
    "fig3a": "Fig. 3a: BLEU against the share of heads pruned",
    "fig3b": "Fig. 3b: the metric against the share of heads pruned",
    "fig4": "Fig. 4: BLEU against the share pruned of the heads of one kind of attention",
    "fig5": "Fig. 5: pruning the model as it was after each of several epochs",
    "decoding": "Speed of beam search with heads removed",
    "kept_heads": "Heads kept in each layer at each share",
    "order_agreement": "How far the pruning orders agree",
    "table4": "Table 4 as a figure: speed-up of the pruned model",
    "kwon_macs": "The metric against the MACs that remain",
    "kwon_latency": "The metric against the measured speed-up",
    "kwon_stages": "The metric after mask search, rearrangement and tuning",
    "kwon_calibration": "The metric against the number of calibration examples",
    "kwon_scores": "Scores under the same budgets",
    "kwon_variants": "The paper's and the released procedure under the same budgets",
    "kwon_labels": "Gold and predicted labels under the same budgets",
    "kwon_seconds": "Seconds of each stage of pruning",
    "kwon_kept": "Heads and neurons kept in each layer",
    "kwon_latency_table": "Measured latency of a sublayer against its units",
    "cofi_sparsity": "The metric against the parameters that are gone",
    "cofi_speed": "Points against the teacher, and the measured speed-up",
    "cofi_kept": "Units kept at each sparsity",
    "cofi_training": "Sparsity, multipliers, losses and score while CoFi prunes",
    "quantized": "Pruning and 8 bits together: score, speed and size",
    "ranks": "Each method less one of them at the same budgets",
    "compare": "All methods from one teacher",
}

"""All heads of a translation model off one at a time: what is reused beside one plain ``generate`` per head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from prunekit.data.batches import Batch, evaluation_batches, to_device
from prunekit.data.kinds.translation import Pairs
from prunekit.forward.beam_search import Hypothesis
from prunekit.forward.translate import in_order
from prunekit.forward.translation_ablation import TranslationAblation
from prunekit.models.blocks import describe
from prunekit.models.gates import gated
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BEAMS = 5
SAME_SCORE = 1e-4
"""Two hypotheses whose scores differ by less are equally good."""

Translated = list[list[Hypothesis]]
"""By head, over all kinds and layers; then by sentence."""


def compare(case: BenchmarkCase) -> Results:
    pairs = case.data
    assert isinstance(pairs, Pairs)
    batches = [to_device(batch, case.device) for batch in evaluation_batches(pairs, case.batch_size)]
    functions = {
        "plain": lambda: one_generate_per_head(case.model, pairs, batches),
        "fast": lambda: with_reuse(case.model, pairs, case.batch_size, case.device),
    }
    return paired(case, functions, agreement)


def with_reuse(model: PreTrainedModel, pairs: Pairs, batch_size: int, device: torch.device) -> Translated:
    ablation = TranslationAblation(model, pairs, device=device, beams=BEAMS, batch_size=batch_size)
    return [
        hypotheses
        for shape in describe(model).attention
        for hypotheses in ablation.without(shape.kind, shape.layer, "one_off")
    ]


@torch.inference_mode()
def one_generate_per_head(model: PreTrainedModel, pairs: Pairs, batches: list[Batch]) -> Translated:
    layout = describe(model)
    translations = []
    for shape in layout.attention:
        for head in range(shape.heads):
            masks = Masks.ones(layout, device=model.device)
            masks.heads[shape.kind][shape.layer, head] = False
            with gated(model, masks):
                translations.append(_generate(model, pairs, batches))
    return translations


def _generate(model: PreTrainedModel, pairs: Pairs, batches: list[Batch]) -> list[Hypothesis]:
    config, generate = model.config, cast(Any, model.generate)
    results = []
    for batch in batches:
        made = generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], num_beams=BEAMS, do_sample=False,
            max_length=pairs.rows.task.max_length + 1, bad_words_ids=[[config.pad_token_id]], forced_eos_token_id=None,
            return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        hypotheses = []
        for row, score in zip(made.sequences[:, 1:].tolist(), made.sequences_scores.tolist(), strict=True):
            end = row.index(config.eos_token_id) + 1 if config.eos_token_id in row else len(row)
            hypotheses.append(Hypothesis(row[:end], score))
        results.append((batch, hypotheses))
    return in_order(results)


def agreement(results: dict[str, Translated]) -> dict[str, float]:
    """Share of hypotheses that are the same, and of those that are not, how many are worse or better by more than
    ``SAME_SCORE`` and by how much at most."""
    both = [
        (plain, fast)
        for ours, theirs in zip(results["plain"], results["fast"], strict=True)
        for plain, fast in zip(ours, theirs, strict=True)
    ]
    others = [abs(plain.score - fast.score) for plain, fast in both if plain.tokens != fast.tokens]
    return {
        "hypotheses": len(both),
        "same_hypotheses": 1 - len(others) / len(both),
        "other_scores": sum(difference > SAME_SCORE for difference in others),
        "max_score_difference_of_others": max(others, default=0.0),
    }

"""Tiny random encoder-decoders of every family in the table, and inputs for them.

Encoder and decoder differ in layers, heads, head size and neurons, so that nobody takes one for the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds.translation import Pairs
from prunekit.models.blocks import describe
from prunekit.models.families import table
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from tests.support.families import HIDDEN, PAD, VOCABULARY, tiny

TRANSLATORS = tuple(table.TRANSLATORS)
ENCODER_LAYERS, DECODER_LAYERS = 2, 3
HEADS = {"enc-enc": 4, "enc-dec": 2, "dec-dec": 2}
ROWS = {"enc-enc": ENCODER_LAYERS, "enc-dec": DECODER_LAYERS, "dec-dec": DECODER_LAYERS}
NEURONS = [24] * ENCODER_LAYERS + [20] * DECODER_LAYERS
END = 2
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "encoder_layers": ENCODER_LAYERS,
    "decoder_layers": DECODER_LAYERS,
    "encoder_attention_heads": HEADS["enc-enc"],
    "decoder_attention_heads": HEADS["dec-dec"],
    "encoder_ffn_dim": NEURONS[0],
    "decoder_ffn_dim": NEURONS[-1],
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "eos_token_id": END,
    "decoder_start_token_id": END,
    "forced_eos_token_id": END,
}


def translator(
    family: str, attention: str = "sdpa", dtype: torch.dtype = torch.float64, head: Any = None, **changes: Any
) -> Any:
    """A random model in eval mode, as :func:`tests.support.families.tiny` makes them."""
    shape = {"num_labels": 3, **SHAPE, **changes}
    return tiny(family, attention, dtype, head or AutoModelForSeq2SeqLM, exactly=shape)


def pairs_for(rows: int = 4, source: int = 9, target: int = 7, seed: int = 0) -> dict[str, Tensor]:
    """A batch of sources and targets, padded on the right."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(length: int, padding: int) -> Tensor:
        ids = torch.randint(END + 1, VOCABULARY, (rows, length), generator=generator)
        lengths = torch.randint(3, length + 1, (rows, 1), generator=generator)
        lengths[0] = length
        return ids.where(torch.arange(length) < lengths, padding)

    ids = tokens(source, PAD)
    return {"input_ids": ids, "attention_mask": (ids != PAD).long(), "labels": tokens(target, -100)}


def word_logits(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """(row, token, word) under teacher forcing, without autograd."""
    with torch.no_grad():
        return model(**batch).logits


def gated_words(model: PreTrainedModel, batch: dict[str, Tensor], masks: Masks) -> Tensor:
    with gated(model, masks):
        return word_logits(model, batch)


def uneven(model: PreTrainedModel) -> Masks:
    """Of every kind: the first layer without heads but with its bias, the last removed, single heads between; of the
    FFNs: single neurons, none, and removed ones, in both stacks."""
    masks = Masks.ones(describe(model))
    for kind, heads in masks.heads.items():
        heads[0] = False
        heads[1, 0] = False
        if len(heads) > 2:
            masks.layers[kind][-1] = False
    masks.neurons[0, 3:20] = False
    masks.neurons[2, ::3] = False
    masks.neurons[3] = False
    masks.layers["ffn"][[1, 4]] = False
    return masks


LONGEST = 12


def talkative(family: str, attention: str = "sdpa") -> Any:
    """A model whose translations differ and end at different lengths: its output has a matrix of its own, as a shared
    one makes random models repeat themselves."""
    model = translator(family, attention)
    words = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    model.lm_head = torch.nn.Linear(words.shape[1], words.shape[0], bias=False)
    model.lm_head.weight = torch.nn.Parameter(words)
    model.final_logits_bias[0, END] = {"marian": 1.7, "bart": 9.5}[family]
    return model


def some_pairs(sentences: int = 12) -> Pairs:
    """Sentences to translate, of rows that nobody reads."""
    generator = torch.Generator().manual_seed(1)
    task = TaskConfig(
        name="t", translation=True, columns=["a", "b"], metrics=["bleu"], max_length=LONGEST, files={"test": "t"}
    )
    ids = [
        [*torch.randint(END + 1, VOCABULARY, (3 + number % 5,), generator=generator).tolist(), END]
        for number in range(sentences)
    ]
    rows = Rows(task, "test", [("x",)] * sentences, np.asarray(["y"] * sentences, dtype=object), sentences)
    return Pairs(rows, ids, None, PAD, ids, None)

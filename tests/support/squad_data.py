"""Questions about generated contexts, and a tokenizer for them: words and punctuation, one token each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prunekit.config.task import TaskConfig

WORDS = [f"w{number}" for number in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def squad_task(**settings: Any) -> TaskConfig:
    return TaskConfig(**{
        "name": "own", "questions": True, "columns": ["question", "context"], "label": "answers",
        "metrics": ["answer_f1", "exact_match"], "max_length": 24, "stride": 5, "question_length": 6,
        "answer_length": 4, **settings,
    })  # fmt: skip


def tokenizer() -> Any:
    words = {word: number for number, word in enumerate([*SPECIAL, ".", *WORDS])}
    own = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    own.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def generated(rows: int, *, longest: int = 60, seed: int = 0, words: Sequence[str] = WORDS) -> list[dict[str, Any]]:
    """Rows as a file has them: contexts of 1 to ``longest`` words, answers of 1 to 3 words in them."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        drawn = [str(word) for word in generator.choice(words, generator.integers(1, longest + 1))]
        first = int(generator.integers(len(drawn)))
        answer = " ".join(drawn[first : first + int(generator.integers(1, 4))])
        start = len(" ".join(drawn[:first])) + (first > 0)
        question = " ".join(str(word) for word in generator.choice(words, generator.integers(1, 10)))
        context = " ".join(drawn) + "."
        made.append({"question": question, "context": context, "answers": {"text": [answer], "answer_start": [start]}})
    return made


def written(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path

"""Real data and a real pretrained model, from the Hugging Face cache that HF_HOME names. The Hub is never asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prunekit.config.task import TaskConfig
from prunekit.data.answers import answers, best_spans, question_scores
from prunekit.data.kinds import encode
from prunekit.data.kinds.questions import Answer, Windows
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import load_tokenizer
from prunekit.models.checkpoints import attach_head, load
from prunekit.models.input_tables import positions
from prunekit.support.errors import UserError
from tests.support.commands import composed

CACHE = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (CACHE / "datasets" / "nyu-mll___glue").is_dir() or os.environ.get("HF_HUB_OFFLINE") != "1",
        reason="needs HF_HOME=FOLDER with GLUE in its datasets cache, and HF_HUB_OFFLINE=1",
    ),
]

ROWS = {
    ("sst2", "train"): {67_349},
    ("sst2", "validation"): {872},
    ("cola", "train"): {8_551},
    ("cola", "validation"): {1_043},
    ("mrpc", "train"): {3_668},
    ("mrpc", "validation"): {408},
    ("rte", "train"): {2_490},
    ("rte", "validation"): {277},
    ("stsb", "train"): {5_749},
    ("stsb", "validation"): {1_500},
    ("qnli", "train"): {104_743},
    ("qnli", "validation"): {5_463},
    ("mnli", "train"): {392_702, 24_511},
    ("mnli", "validation_matched"): {9_815},
    ("snli", "train"): {549_367, 18_000},
    ("snli", "validation"): {9_842},
    ("squad", "train"): {87_599},
    ("squad", "validation"): {10_570},
}
"""Labelled rows on the Hub, or also of the part of a training set that a cache may hold."""


def task(name: str) -> TaskConfig:
    config: TaskConfig = composed("finetune", f"task={name}").task
    return config


def rows_or_skip(name: str, split: str) -> Any:
    try:
        return load_rows(task(name), split)
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "split"), ROWS)
def test_rows_and_labels(name: str, split: str) -> None:
    rows = rows_or_skip(name, split)
    assert len(rows) in ROWS[name, split]
    assert rows.available == len(rows)
    assert {len(text) for text in rows.texts} == {len(rows.task.columns)}
    if rows.task.questions:
        assert {type(gold) for own in rows.labels for gold in own} == {Answer}  # reading checks their places
        assert all(len(own) >= 1 for own in rows.labels)
    elif rows.task.regression:
        assert (rows.labels.min(), rows.labels.max()) == (0.0, 5.0)
    else:
        assert np.unique(rows.labels).tolist() == list(range(len(rows.task.labels)))


@pytest.mark.parametrize(
    ("name", "split", "texts", "label"),
    [
        ("mnli", "validation_matched",
         ("The new rights are nice enough", "Everyone really likes the newest benefits "), "neutral"),
        ("snli", "validation",
         ("Two women are embracing while holding to go packages.", "Two woman are holding packages."), "entailment"),
        ("snli", "validation",
         ("Two women are embracing while holding to go packages.", "The men are fighting outside a deli."),
         "contradiction"),
    ],
)  # fmt: skip
def test_labels_mean_the_same_on_both_sides_of_a_transfer(
    name: str, split: str, texts: tuple[str, str], label: str
) -> None:
    rows = rows_or_skip(name, split)
    assert rows.task.labels[rows.labels[rows.texts.index(texts)]] == label


def test_a_missing_split_names_those_that_are_there() -> None:
    try:
        rows = load_rows(task("mnli_mismatched"), "validation_mismatched")
    except UserError as error:
        assert str(error) == (
            "split 'validation_mismatched' is not in nyu-mll/glue mnli here, it has 'train', 'validation_matched'"
        )
    else:
        assert len(rows) == 9_832
    with pytest.raises(UserError, match="split 'dev' is not in nyu-mll/glue mnli here, it has 'train'"):
        load_rows(task("mnli"), "dev")


def test_inputs_are_as_long_as_published() -> None:
    """Kwon et al. 2022 count MACs at 39.05 tokens, the mean of MNLI-m's development set."""
    model = composed("finetune", "model=minilm-l6").model
    encoded = encode(rows_or_skip("mnli", "validation_matched"), load_tokenizer(model))
    assert encoded.lengths.mean() == pytest.approx(39.05, abs=0.1)
    assert encoded.token_type_ids is not None
    assert {kind for types in encoded.token_type_ids for kind in types} == {0, 1}


def test_gold_positions_answer_the_questions_of_squad() -> None:
    """All windows have the context that the answer is in; only answers of more than 30 tokens are not found."""
    model = composed("finetune", "model=minilm-l6").model
    rows = rows_or_skip("squad", "validation").sample(2000)
    windows = encode(rows, load_tokenizer(model))
    assert isinstance(windows, Windows)
    assert set(windows.question[windows.start > 0]) == set(range(2000))
    assert windows.lengths.mean() == pytest.approx(176, abs=5)
    start, end = torch.zeros(2, len(windows), 384)
    start[torch.arange(len(windows)), torch.from_numpy(windows.start)] = 1
    end[torch.arange(len(windows)), torch.from_numpy(windows.end)] = 1
    context = torch.zeros(start.shape, dtype=torch.bool)
    for window, (first, places) in enumerate(zip(windows.first, windows.offsets, strict=True)):
        context[window, first : first + len(places)] = True
    scores = question_scores(rows, answers(windows, best_spans(start, end, context, 30)))
    assert scores["exact_match"].mean() > 0.99


def test_a_pretrained_encoder_gets_a_new_task_head_and_nothing_else() -> None:
    model, created = attach_head(MINILM, 3)
    assert created == ["classifier.bias", "classifier.weight"]
    assert positions(model) == 512
    encoder = load(MINILM).state_dict()
    assert sum(tensor.numel() for tensor in encoder.values()) == pytest.approx(22.7e6, rel=0.01)
    found = model.base_model.state_dict()
    assert found.keys() == encoder.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in encoder.items())


@pytest.mark.parametrize(("name", "shared"), [("cola", 16), ("stsb", 6)])
def test_evaluation_rows_that_are_in_the_training_file(name: str, shared: int) -> None:
    """As docs/deviations.md and docs/results/kwon.md say of these two."""
    known = {tuple(text) for text in rows_or_skip(name, "train").texts}
    assert sum(tuple(text) in known for text in rows_or_skip(name, "validation").texts) == shared

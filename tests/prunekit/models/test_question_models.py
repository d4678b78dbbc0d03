"""Models for question answering: created, trained, evaluated, pruned, saved and loaded like classifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.config.sections import TrainConfig
from prunekit.data.kinds import encode
from prunekit.data.kinds.questions import Windows
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import evaluate
from prunekit.models.blocks import describe
from prunekit.models.checkpoints import attach_head, build, has_head, load, save
from prunekit.models.families.table import ENCODERS
from prunekit.models.gates import gated
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from prunekit.support.statistics import bootstrap_counts
from prunekit.training.finetuning import train
from prunekit.training.loop import Context
from tests.support.families import FAMILY_NAMES, HIDDEN, LAYERS, base_of, batch_for, shape_of, tiny
from tests.support.masks import uneven_masks
from tests.support.squad_data import generated, squad_task, tokenizer, written

CPU = torch.device("cpu")


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    task = squad_task(files={"train": str(written(tmp_path, generated(40)))})
    found = encode(load_rows(task, "train"), tokenizer())
    assert isinstance(found, Windows)
    return found


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_pruned_models_round_trip(family: str, tmp_path: Path) -> None:
    model = tiny(family, head=AutoModelForQuestionAnswering, num_labels=2)
    masks, batch = uneven_masks(model), batch_for(model)
    small = prune(model, masks)
    save(small, tmp_path / "model")
    loaded = load(tmp_path / "model", dtype=torch.float64)
    assert type(loaded) is type(model) and has_head(loaded, head="QuestionAnswering") and not has_head(loaded)
    assert attach_head(tmp_path / "model", 2, head="QuestionAnswering")[1] == []
    with torch.no_grad():
        with gated(model, masks):
            expected = model(**batch)
        for found in (small(**batch), loaded(**batch)):
            torch.testing.assert_close(found.start_logits, expected.start_logits, rtol=0, atol=1e-10)
            torch.testing.assert_close(found.end_logits, expected.end_logits, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_only_the_head_is_created(family: str, tmp_path: Path) -> None:
    base = base_of(tiny(family))
    save(base, tmp_path)
    model, created = attach_head(tmp_path, 2, head="QuestionAnswering", seed=1)
    assert created == ["qa_outputs.bias", "qa_outputs.weight"]
    assert all(name.startswith(ENCODERS[family].head_parameters) for name in created)
    expected, found = base.float().state_dict(), base_of(model).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_built_without_a_download(family: str) -> None:
    shape = shape_of(family)
    del shape["num_labels"]
    model = build(family, shape, 2, head="QuestionAnswering")
    assert has_head(model, head="QuestionAnswering") and describe(model).hidden == HIDDEN


def test_a_pruned_classifier_is_no_start(tmp_path: Path) -> None:
    dense = tiny("bert")
    save(prune(dense, uneven_masks(dense)), tmp_path)
    with pytest.raises(UserError, match="a pruned BertForSequenceClassification without a task head for this task"):
        attach_head(tmp_path, 2, head="QuestionAnswering")


def test_evaluation_does_not_depend_on_batches(windows: Windows) -> None:
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    task = windows.rows.task
    one, many = (evaluate(task, model, windows, device=CPU, batch_size=size) for size in (1, 64))
    assert one.metrics == many.metrics and set(one.metrics) == {"answer_f1", "exact_match"}
    assert one.per_row is not None and many.per_row is not None
    assert np.array_equal(one.per_row, many.per_row)
    assert one.per_row.mean() == one.metrics["answer_f1"]
    counts = bootstrap_counts(40)
    expected = np.quantile(counts @ one.per_row / 40, [0.025, 0.975])
    assert (one.low, one.high) == pytest.approx(tuple(expected))


def test_training_learns_to_answer(windows: Windows, tmp_path: Path) -> None:
    """The same few questions again and again: a model that reads positions rightly knows them by heart."""
    shape = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64,
             "vocab_size": 50, "max_position_embeddings": 32, "hidden_dropout_prob": 0.0,
             "attention_probs_dropout_prob": 0.0}  # fmt: skip
    model = build("bert", shape, 2, head="QuestionAnswering")
    few = windows.take(np.flatnonzero(windows.question < 12))
    before = evaluate(few.rows.task, model, few, device=CPU).metrics["answer_f1"]
    config = TrainConfig(epochs=25, batch_size=8, learning_rate=5e-3, warmup=0.1)
    train(model, config, Context(examples=few, device=CPU, folder=tmp_path))
    after = evaluate(few.rows.task, model, few, device=CPU).metrics
    assert before < 0.5 < 0.9 < after["answer_f1"]

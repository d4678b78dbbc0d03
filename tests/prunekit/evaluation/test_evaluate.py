"""What a model answers to every row: in the order of the data, and as one row alone is answered."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from prunekit.data.batches import Examples, evaluation_batches, model_inputs
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.evaluation.evaluate import evaluate, predict
from prunekit.models.checkpoints import build
from tests.support.trainings import SHAPE, TASK

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(40))


def alone(model: Any, examples: Examples) -> np.ndarray:
    """Logits of every row in a batch of its own, (row, label)."""
    model = copy.deepcopy(model).eval()
    found = []
    for row in range(len(examples)):
        with torch.no_grad():
            found.append(model(**model_inputs(examples.batch([row]))).logits[0])
    return torch.stack(found).float().numpy()


def test_rows_are_answered_in_their_order_whatever_the_batches_and_the_mode(examples: Examples) -> None:
    model: Any = build("bert", SHAPE, 3)
    assert model.config.hidden_dropout_prob > 0
    expected = alone(model, examples)
    batches = evaluation_batches(examples, 7)
    done: list[int] = []
    found = predict(model.train(), batches, device=CPU, on_rows=done.append)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert not model.training and sum(done) == 40 and found.dtype == np.float32
    one, many = (evaluate(TASK, model.train(), examples, device=CPU, batch_size=size) for size in (1, 40))
    accuracy = float((expected.argmax(1) == examples.labels).mean())
    assert one.metrics == many.metrics == {"accuracy": pytest.approx(accuracy)}
    assert one.per_row is not None and one.per_row.tolist() == (expected.argmax(1) == examples.labels).tolist()
    assert one.answers.given["class"][:, 0].tolist() == expected.argmax(1).tolist()
    assert one.low < accuracy < one.high


def test_half_precision_is_that_of_autocast(examples: Examples) -> None:
    model: Any = build("bert", SHAPE, 3)
    batches = evaluation_batches(examples, 40)
    full, half = (predict(model, batches, device=CPU, precision=precision) for precision in ("float32", "bfloat16"))
    error = np.abs(half - full).max()
    assert 1e-6 < error < 0.5 * np.abs(full).max()

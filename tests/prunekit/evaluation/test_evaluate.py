"""What a model answers to every row: in the order of the data, and as one row alone is answered."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.data.answers import answer_places, best_spans
from prunekit.data.batches import Examples, evaluation_batches, model_inputs
from prunekit.data.kinds import encode
from prunekit.data.kinds.questions import Windows
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.evaluation.evaluate import evaluate
from prunekit.models.checkpoints import build
from tests.support.answers import predict
from tests.support.families import tiny
from tests.support.squad_data import generated, squad_task, tokenizer, written
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
    found = predict(model.train(), batches, on_rows=done.append)
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
    full, half = (predict(model, batches, precision=precision) for precision in ("float32", "bfloat16"))
    error = np.abs(half - full).max()
    assert 1e-6 < error < 0.5 * np.abs(full).max()


def test_a_question_is_answered_from_all_of_its_context_and_nothing_else(tmp_path: Path) -> None:
    """From the first word of every window to the last one: the best span of these tokens."""
    task = squad_task(files={"train": str(written(tmp_path, generated(60)))})
    model: Any = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    windows = encode(load_rows(task, "train"), tokenizer())
    assert isinstance(windows, Windows)
    with torch.no_grad():
        output = model(**model_inputs(windows.batch(range(len(windows)))))
    context = torch.zeros(output.start_logits.shape, dtype=torch.bool)
    for window, (first, places) in enumerate(zip(windows.first, windows.offsets, strict=True)):
        context[window, first : first + len(places)] = True
    spans = best_spans(output.start_logits, output.end_logits, context, task.answer_length)
    assert {int(at) for at in spans.start - torch.from_numpy(windows.first)} >= {0, 1}
    found = evaluate(task, model, windows, device=CPU, batch_size=7)
    assert found.answers.given["span"][..., 0].tolist() == answer_places(windows, spans).tolist()

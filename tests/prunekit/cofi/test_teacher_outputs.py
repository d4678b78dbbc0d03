"""What is stored of a teacher is what it gives when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.cofi.teacher_outputs import ComputedOutputs, StoredOutputs, teacher_outputs
from prunekit.data.batches import Examples, training_order
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.checkpoints import build
from tests.support.families import tiny
from tests.support.squad_data import generated, squad_task, tokenizer, written
from tests.support.trainings import SHAPE, TASK

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(100))


def test_every_batch_gets_what_the_teacher_says(examples: Examples) -> None:
    """Batches of other examples and other padding than those that were asked about."""
    teacher: Any = build("bert", SHAPE, 3).double()
    computed = ComputedOutputs(teacher, [0, 1], "float32")
    stored = StoredOutputs(computed, examples, CPU, batch_size=7)
    for indices in training_order(examples, 16, 0, 0):
        batch = examples.batch(indices)
        one, other, mask = computed(batch), stored(batch), batch["attention_mask"].bool()
        torch.testing.assert_close(other.output.logits, one.output.logits, rtol=0, atol=1e-12)
        assert list(other.states) == [0, 1]
        for layer in (0, 1):
            assert other.states[layer].shape == one.states[layer].shape
            torch.testing.assert_close(other.states[layer][mask], one.states[layer][mask], rtol=0, atol=1e-12)


def test_questions_have_logits_at_every_token(tmp_path: Path) -> None:
    task = squad_task(files={"train": str(written(tmp_path, generated(20)))})
    examples = encode(load_rows(task, "train"), tokenizer())
    teacher: Any = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    computed = ComputedOutputs(teacher, [2], "float32")
    stored = StoredOutputs(computed, examples, CPU, batch_size=3)
    batch = examples.batch(range(len(examples) - 9, len(examples)))
    mask = batch["attention_mask"].bool()
    for name in ("start_logits", "end_logits"):
        one, other = (getattr(outputs.output, name) for outputs in (computed(batch), stored(batch)))
        torch.testing.assert_close(other[mask], one[mask], rtol=0, atol=1e-12)


def test_states_are_stored_only_where_they_fit(examples: Examples) -> None:
    teacher = build("bert", SHAPE, 3)
    tokens = int(examples.lengths.sum())
    needed = tokens * 2 * 16 * 4 / 1e9
    assert isinstance(teacher_outputs(teacher, [0, 1], examples, CPU, "float32", needed * 1.01), StoredOutputs)
    assert isinstance(teacher_outputs(teacher, [0, 1], examples, CPU, "float32", needed * 0.99), ComputedOutputs)
    assert isinstance(teacher_outputs(teacher, [0, 1], examples, CPU, "bfloat16", needed * 0.51), StoredOutputs)
    assert isinstance(teacher_outputs(teacher, [], examples, CPU, "float32", 0.0), ComputedOutputs)


def test_bfloat16_keeps_half_of_the_bytes(examples: Examples) -> None:
    stored = StoredOutputs(ComputedOutputs(build("bert", SHAPE, 3), [1], "bfloat16"), examples, CPU)
    assert stored.states.dtype == torch.bfloat16
    assert stored.predictions["logits"].dtype == torch.float32

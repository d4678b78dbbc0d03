import numpy as np
import pytest
import torch

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples, evaluation_batches, training_order
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.support.errors import UserError

TASK = TaskConfig(name="demo", source="demo", columns=["premise", "hypothesis"], labels=list("enc"), train_rows=300,
                  evaluation_rows=150, max_length=64)  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer())


def test_every_row_is_in_one_batch_with_its_own_tokens(examples: Examples) -> None:
    batches = evaluation_batches(examples, 16)
    assert sorted(torch.cat([b["index"] for b in batches]).tolist()) == list(range(300))
    for batch in batches:
        assert batch["input_ids"].shape[1] % 16 == 0
        for row, place in enumerate(batch["index"].tolist()):
            ids = batch["input_ids"][row][batch["attention_mask"][row].bool()].tolist()
            assert ids == examples.input_ids[place]
            assert batch["labels"][row] == examples.labels[place]


def test_token_types_tell_the_two_texts_apart(examples: Examples) -> None:
    assert examples.token_type_ids is not None
    separator = demo_tokenizer().sep_token_id
    ids, types = examples.input_ids[0], examples.token_type_ids[0]
    first = ids.index(separator) + 1
    assert types == [0] * first + [1] * (len(ids) - first)
    batch = examples.batch([0])
    assert batch["token_type_ids"].sum() == len(ids) - first


def test_no_word_is_unknown(examples: Examples) -> None:
    unknown = demo_tokenizer().unk_token_id
    assert not any(unknown in ids for ids in examples.input_ids)


def test_training_order_is_a_seeded_permutation(examples: Examples) -> None:
    first, again = training_order(examples, 32, 1, 0), training_order(examples, 32, 1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert sorted(np.concatenate(first).tolist()) == list(range(300))
    assert not np.array_equal(np.concatenate(first), np.concatenate(training_order(examples, 32, 1, 1)))
    assert len(first) == 10


def test_inputs_longer_than_the_model_are_refused() -> None:
    line = "task.max_length: 64 is more than the 32 positions of this model, give task.max_length=32 or less"
    with pytest.raises(UserError, match=line):
        encode(load_rows(TASK, "train"), demo_tokenizer(), positions=32)

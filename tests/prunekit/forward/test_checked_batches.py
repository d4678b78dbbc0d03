"""Batches of the library's users: whatever is missing or of another meaning is named before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import prunekit
from prunekit.forward.ablation import ablate_heads
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.errors import UserError
from tests.support.answers import predict
from tests.support.families import VOCABULARY, batch_for, tiny
from tests.support.translators import pairs_for, translator

Batches = list[dict[str, Any]]


@pytest.fixture(scope="module")
def classifier() -> PreTrainedModel:
    return tiny("bert", num_hidden_layers=2)


def labelled(model: PreTrainedModel, labels: Any = None) -> dict[str, Any]:
    return {**batch_for(model), "labels": torch.tensor([0, 1, 2, 0]) if labels is None else labels}


def refused(entry: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        entry(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def tuned(model: PreTrainedModel, batches: Batches) -> Any:
    return tune(model, prunekit.Masks.ones(prunekit.describe(model)), batches)


def predicted(model: PreTrainedModel, batches: Batches) -> np.ndarray:
    return predict(model, batches)


LOSSES = (prunekit.head_importance, mask_gradients)
ENTRIES = (*LOSSES, tuned, ablate_heads, predicted)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
class TestInputs:
    def test_what_is_missing_is_named(self, entry: Callable[..., Any], classifier: PreTrainedModel) -> None:
        good = labelled(classifier)
        bare = {name: value for name, value in good.items() if name != "attention_mask"}
        assert refused(entry, classifier, [good, bare]) == (
            "batch 1 (from 0): no attention_mask, it has input_ids, token_type_ids, labels; where no row is padded it "
            "is torch.ones_like(input_ids)"
        )
        bare = {name: value for name, value in good.items() if name != "input_ids"}
        assert refused(entry, classifier, [bare]).startswith("batch 0 (from 0): no input_ids, it has attention_mask, ")

    def test_what_is_no_batch(self, entry: Callable[..., Any], classifier: PreTrainedModel) -> None:
        good = labelled(classifier)
        assert refused(entry, classifier, good).startswith("batches: one batch was given, write [batch]")
        assert refused(entry, classifier, [tuple(good.values())]).startswith("batch 0 (from 0) is a tuple, it should")
        lists = {**good, "input_ids": good["input_ids"].tolist()}
        assert refused(entry, classifier, [lists]) == "batch 0 (from 0): input_ids is a list, it should be a tensor"
        one = {**good, "attention_mask": good["attention_mask"][:, :5]}
        line = "batch 0 (from 0): attention_mask are int64 (4, 5), inputs should all be of one shape (row, token)"
        assert refused(entry, classifier, [one]) == line
        empty = {**good, "attention_mask": good["attention_mask"] * torch.tensor([[1], [1], [0], [1]])}
        assert "attention_mask leaves a row without a token" in refused(entry, classifier, [empty])


    @pytest.mark.parametrize(
        ("name", "value", "line"),
        [
            ("input_ids", VOCABULARY, f"input_ids has {VOCABULARY}, the model's table goes from 0 to {VOCABULARY - 1}"),
            ("input_ids", -3, f"input_ids has -3, the model's table goes from 0 to {VOCABULARY - 1}"),
            ("token_type_ids", 2, "token_type_ids has 2, the model's table goes from 0 to 1"),
        ],
    )
    def test_what_no_table_has_a_row_for(
        self, entry: Callable[..., Any], name: str, value: int, line: str, classifier: PreTrainedModel
    ) -> None:
        good = labelled(classifier)
        odd = {**good, name: good[name].clone()}
        odd[name][0, 1] = value
        assert refused(entry, classifier, [good, odd]) == f"batch 1 (from 0): {line}"

    def test_ids_that_are_no_whole_numbers(self, entry: Callable[..., Any], classifier: PreTrainedModel) -> None:
        good = labelled(classifier)
        line = refused(entry, classifier, [{**good, "input_ids": good["input_ids"].double()}])
        assert line == "batch 0 (from 0): input_ids are float64 (4, 9), they should be int64"

    def test_more_tokens_than_positions(self, entry: Callable[..., Any], classifier: PreTrainedModel) -> None:
        most = {**batch_for(classifier, length=40), "labels": torch.tensor([0, 1, 2, 0])}
        assert entry(classifier, [most]) is not None
        wide = {name: torch.cat([each, each[:, :1]], 1) if each.dim() == 2 else each for name, each in most.items()}
        line = "batch 0 (from 0): rows of 41 tokens, the model has 40 positions"
        assert refused(entry, classifier, [wide]) == line


def test_padding_needs_no_position_where_it_has_one_of_its_own() -> None:
    roberta = tiny("roberta", num_hidden_layers=2)
    batch = {**batch_for(roberta, length=38), "labels": torch.tensor([0, 1, 2, 0])}
    padding = {name: torch.full((4, 2), int(name == "input_ids")) for name in batch if name != "labels"}
    padded = {**batch, **{name: torch.cat([batch[name], more], 1) for name, more in padding.items()}}
    wanted = prunekit.head_importance(roberta, [batch])["self"]
    torch.testing.assert_close(prunekit.head_importance(roberta, [padded])["self"], wanted)
    full = {**padded, "attention_mask": torch.ones_like(padded["input_ids"])}
    line = refused(prunekit.head_importance, roberta, [full])
    assert line == "batch 0 (from 0): rows of 40 tokens, the model has 38 positions"


def test_token_types_of_a_model_without() -> None:
    model = tiny("distilbert", num_hidden_layers=2)
    batch = {**labelled(model), "token_type_ids": torch.zeros(4, 9, dtype=torch.long)}
    line = refused(prunekit.head_importance, model, [batch])
    assert line == "batch 0 (from 0): the model has no table for token_type_ids, leave them out"


@pytest.mark.parametrize("entry", LOSSES, ids=lambda entry: entry.__name__)
class TestTargets:
    @pytest.mark.parametrize(
        ("labels", "line"),
        [
            (torch.tensor([0, 1, -100, 0]), "labels of row 2 is -100, right would be a class, 0 to 2"),
            (torch.tensor([-1, 1, 2, 0]), "labels of row 0 is -1, right would be a class, 0 to 2"),
            (torch.tensor([0, 3, 2, 0]), "labels of row 1 is 3, right would be a class, 0 to 2"),
            (torch.eye(3)[[0, 1, 2, 0]],
             "labels are float32 (4, 3), they should be a class of the model's 3 a row, int64 (4,)"),
            (torch.tensor([0.0, 1, 2, 0]),
             "labels are float32 (4,), they should be a class of the model's 3 a row, int64 (4,)"),
            (torch.tensor([[0], [1], [2], [0]]),
             "labels are int64 (4, 1), they should be a class of the model's 3 a row, int64 (4,)"),
            (torch.tensor([0, 1, 2]),
             "labels are int64 (3,), they should be a class of the model's 3 a row, int64 (4,)"),
            (torch.tensor([0, 1, 2, 0], dtype=torch.int32),
             "labels are int32 (4,), they should be a class of the model's 3 a row, int64 (4,)"),
        ],
    )  # fmt: skip
    def test_of_a_classifier(
        self, entry: Callable[..., Any], classifier: PreTrainedModel, labels: Tensor, line: str
    ) -> None:
        assert refused(entry, classifier, [labelled(classifier, labels)]) == f"batch 0 (from 0): {line}"

    def test_that_are_missing(self, entry: Callable[..., Any], classifier: PreTrainedModel) -> None:
        line = "batch 0 (from 0): no labels, it has input_ids, attention_mask, token_type_ids; a loss needs them"
        assert refused(entry, classifier, [batch_for(classifier)]) == line

    @pytest.mark.parametrize("labels", [torch.zeros(4, dtype=torch.long), torch.zeros(4, 1), None])
    def test_of_regression(self, entry: Callable[..., Any], labels: Tensor | None) -> None:
        model = tiny("bert", num_hidden_layers=2, num_labels=1)
        batch = batch_for(model) if labels is None else labelled(model, labels)
        line = refused(entry, model, [batch])
        if labels is None:
            assert line.startswith("batch 0 (from 0): no labels, it has ")
        else:
            assert line.endswith(", a model with one output takes real numbers (regression), float (4,)")


def test_rows_without_an_index_are_counted_through(classifier: PreTrainedModel) -> None:
    first, second = batch_for(classifier), batch_for(classifier, seed=1)
    with torch.no_grad():
        expected = torch.cat([classifier(**first).logits, classifier(**second).logits])
    np.testing.assert_allclose(predicted(classifier, [first, second]), expected.float().numpy(), atol=1e-6)
    turned = [{**first, "index": torch.arange(4, 8)}, {**second, "index": torch.arange(4)}]
    np.testing.assert_allclose(predicted(classifier, turned), expected[[4, 5, 6, 7, 0, 1, 2, 3]].float(), atol=1e-6)
    baseline = ablate_heads(classifier, [first, second], modes=["one_off"]).baseline
    torch.testing.assert_close(baseline, expected, rtol=0, atol=1e-10)


def test_the_model_s_own_answers_need_no_labels_that_count(classifier: PreTrainedModel) -> None:
    plain, unlabelled = labelled(classifier), labelled(classifier, torch.full((4,), -100))
    expected = mask_gradients(classifier, [plain], labels="predicted")
    found = mask_gradients(classifier, [unlabelled], labels="predicted")
    torch.testing.assert_close(found.heads, expected.heads, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        ("start_positions", None, "no start_positions, it has "),
        ("end_positions", None, "no end_positions, it has "),
        ("end_positions", [0, 0, 0, 9], "end_positions of row 3 is 9, right would be a token, 0 to 8"),
        ("start_positions", [0, -1, 0, 0], "start_positions of row 1 is -1, right would be a token, 0 to 8"),
        ("start_positions", [0, 8, 8, 8], "start_positions points at padding, it should be a token of its row"),
        ("end_positions", [0.0, 0, 0, 0], "end_positions are float32 (4,), they should be a token a row, int64 (4,)"),
    ],
)
def test_positions_of_answers(name: str, values: list[Any] | None, line: str) -> None:
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2, num_hidden_layers=1)
    batch: dict[str, Any] = {
        **batch_for(model), "start_positions": torch.zeros(4, dtype=torch.long),
        "end_positions": torch.zeros(4, dtype=torch.long),
    }  # fmt: skip
    assert mask_gradients(model, [batch]).heads.shape[0] == 4
    batch = {**batch, name: torch.tensor(values)} if values else {k: v for k, v in batch.items() if k != name}
    assert refused(mask_gradients, model, [batch]).startswith(f"batch 0 (from 0): {line}")


def test_targets_of_translation() -> None:
    model = translator("marian")
    batch = pairs_for()
    assert set(prunekit.head_importance(model, [batch])) == {"enc-enc", "enc-dec", "dec-dec"}

    def line(labels: Tensor | None) -> str:
        changed = {name: value for name, value in batch.items() if name != "labels"}
        return refused(prunekit.head_importance, model, [changed if labels is None else changed | {"labels": labels}])

    labels = batch["labels"]
    assert line(None).startswith("batch 0 (from 0): no labels, it has input_ids, attention_mask")
    assert line(labels[:, 0]).startswith("batch 0 (from 0): labels are int64 (4,), they should be a token of")
    assert line(labels.double()).startswith("batch 0 (from 0): labels are float64 (4, 7), they should be a token")
    assert line(labels.where(torch.arange(4)[:, None] != 1, -100)) == (
        "batch 0 (from 0): labels leave a row without a target, all of its tokens are -100"
    )
    high = f"batch 0 (from 0): labels should be words, 0 to {VOCABULARY - 1}, or -100 behind the last"
    assert line(labels.where(labels != labels[0, 0], VOCABULARY)) == high
    assert line(labels.where(labels != labels[0, 0], -1)) == high

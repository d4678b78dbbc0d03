"""What ``prunekit.compress`` refuses before it computes anything, whatever the method."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMultipleChoice, AutoModelForPreTraining

import prunekit
from prunekit.data.batches import Batch
from prunekit.methods.common import compression
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.registry import names
from prunekit.support.errors import UserError
from tests.support.families import batch_for, logits, tiny


def example(rows: int = 4) -> tuple[Any, Batch]:
    model = tiny("bert")
    return model, {**batch_for(model, rows, 6), "labels": torch.arange(rows) % 3}


def refusal(model: Any, batches: Any, **how: Any) -> str:
    with pytest.raises(UserError) as error:
        prunekit.compress(model, batches, **how)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("method", names())
def test_every_method_reads_the_same_batches(method: str) -> None:
    model, batch = example()
    ids, words = batch["input_ids"], model.config.vocab_size
    odd: dict[str, tuple[dict[str, Any], str]] = {
        "words": ({"input_ids": ids + words}, "input_ids has"),
        "types": ({"token_type_ids": torch.full_like(ids, 5)}, "token_type_ids has 5, the model's table"),
        "reals": ({"input_ids": ids.double()}, "input_ids are float64 (4, 6), they should be int64"),
        "empty row": ({"attention_mask": torch.zeros_like(ids)}, "attention_mask leaves a row without a token"),
    }
    for name, (changed, told) in odd.items():
        assert f"batch 0 (from 0): {told}" in refusal(model, [{**batch, **changed}], method=method), name
    assert "it should have tensors by name" in refusal(model, ["no"], method=method)
    assert "at least one example" in refusal(model, [{key: value[:0] for key, value in batch.items()}], method=method)
    assert "at least one example" in refusal(model, [], method=method)
    assert "write [batch]" in refusal(model, batch, method=method)


def test_an_argument_that_there_is_not_is_named() -> None:
    model, batch = example()
    told = refusal(model, [batch], constrain=0.5)
    assert told == "constrain: compress has no such argument, did you mean 'constraint'?"
    assert "choose from all_heads, batches, budget" in refusal(model, [batch], zzz=1)


def test_the_help_of_compress_names_every_argument() -> None:
    told = {name.strip() for line in str(prunekit.compress.__doc__).splitlines()
            if line.startswith(" " * 8) and ": " in line for name in line.partition(": ")[0].split(",")}  # fmt: skip
    assert set(inspect.signature(compressions).parameters) - {"method"} <= told


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("method", names())
def test_weights_that_are_no_numbers_are_named(method: str, value: float) -> None:
    for name in ("classifier.bias", "bert.encoder.layer.1.output.dense.weight"):
        model, batch = example()
        model.get_parameter(name).data.flatten()[0] = value
        assert refusal(model, [batch], method=method).startswith(f"model: {name} has values that are not finite")


def test_wrapped_models_are_refused_as_everywhere() -> None:
    model, batch = example()
    assert "give the model inside, model.module" in refusal(nn.DataParallel(model), [batch])
    assert "no model of transformers" in refusal(nn.Linear(2, 2), [batch])
    assert "no model of transformers" in refusal(None, [batch])


def test_labels_are_asked_for_where_a_method_takes_a_loss() -> None:
    model, batch = example()
    unlabelled = {name: value for name, value in batch.items() if name != "labels"}
    assert "no labels" in refusal(model, [unlabelled], method="fisher")
    assert "labels of row 2 is 7" in refusal(model, [{**batch, "labels": torch.tensor([0, 1, 7, 0])}])
    for method in ("random", "magnitude", "flap"):
        prunekit.compress(model, [unlabelled], method=method)


def headed(head: str) -> Any:
    """A tiny model with another task head, as transformers names it."""
    outputs: dict[str, Any] = {"num_labels": 2} if head == "QuestionAnswering" else {}
    return tiny("bert", head=getattr(transformers, f"AutoModelFor{head}"), **outputs)


FOREIGN: list[tuple[str, dict[str, Tensor], str]] = [
    ("SequenceClassification", {"labels": torch.tensor([0, 1, 3, 0])}, "labels go up to 3, the model's to 2"),
    ("SequenceClassification", {"labels": torch.rand(4)}, "labels are float32 (4,), the model has 3 outputs"),
    ("SequenceClassification", {"labels": torch.zeros(4, 6).long()}, "labels are int64 (4, 6), the model's are (4,)"),
    ("SequenceClassification", {"start_positions": torch.zeros(4).long()}, "start_positions are of questions"),
    ("TokenClassification", {"labels": torch.zeros(4).long()}, "labels are int64 (4,), the model's are (4, 6)"),
    ("TokenClassification", {"end_positions": torch.zeros(4).long()}, "end_positions are of questions"),
    ("QuestionAnswering", {"labels": torch.zeros(4).long()}, "labels are of no question"),
]


@pytest.mark.parametrize(("head", "targets", "told"), FOREIGN)
def test_calibration_of_another_task_is_refused_by_methods_that_need_no_labels(
    head: str, targets: dict[str, Tensor], told: str
) -> None:
    model = headed(head)
    batch = {**batch_for(model, 4, 6), **targets}
    for method in ("flap", "random"):
        line = refusal(model, [batch_for(model, 4, 6), batch], method=method)
        assert line.startswith(f"batch 1 (from 0): {told}; calibrate a BertFor{head} on the task that it was")


def test_labels_that_say_nothing_are_of_any_task() -> None:
    for head, labels in (("SequenceClassification", torch.full((4,), -1)), ("TokenClassification",
                         torch.full((4, 6), -100)), ("SequenceClassification", torch.arange(4) % 3)):  # fmt: skip
        model = headed(head)
        prunekit.compress(model, [{**batch_for(model, 4, 6), "labels": labels}], method="random")


@pytest.mark.parametrize("method", ["kprune", "ziplm"])
def test_several_labels_at_once_are_no_distribution(method: str) -> None:
    model = tiny("bert", num_labels=3, problem_type="multi_label_classification")
    with pytest.raises(UserError, match="several labels at once; this method compares one distribution an example"):
        prunekit.compress(model, [batch_for(model, 4, 6)], method=method)


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, torch.rand(4, 3)),
        ({"num_labels": 1}, torch.arange(4)),
        ({"num_labels": 1}, torch.rand(4, 1)),
    ],
)
def test_labels_of_several_classes_and_of_numbers_are_taken(settings: dict[str, Any], labels: Tensor) -> None:
    model = tiny("bert", **settings)
    prunekit.compress(model, [{**batch_for(model, 4, 6), "labels": labels}], method="flap")


@pytest.mark.parametrize("head", ["AutoModel", "AutoModelForMaskedLM"])
def test_labels_of_heads_without_classes_are_taken_as_they_are(head: str) -> None:
    model = tiny("bert", head=getattr(transformers, head))
    batch = batch_for(model, 4, 6)
    prunekit.compress(model, [{**batch, "labels": batch["input_ids"]}], method="flap")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", names())
def test_models_in_half_precision(method: str, dtype: torch.dtype) -> None:
    model = tiny("bert", dtype=dtype)
    batch = {**batch_for(model, 6, 9), "labels": torch.arange(6) % 3}
    small = prunekit.compress(model, [batch], method=method, length=9)
    assert {parameter.dtype for parameter in small.parameters()} == {dtype}
    assert prunekit.cost(small, 9).macs <= prunekit.cost(model, 9).macs / 2
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    assert logits(small, inputs).isfinite().all()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (AutoModel, "BertModel has no task head, and so no predictions about its inputs, which this method compares; "
                    "it takes ForSequenceClassification"),
        (AutoModelForMultipleChoice, "BertForMultipleChoice gives no predictions about its inputs, which this method"),
        (AutoModelForPreTraining, "BertForPreTraining gives no predictions about its inputs, which this method"),
    ],
)  # fmt: skip
def test_what_compares_predictions_asks_for_them(head: Any, told: str) -> None:
    """And of choices, which lie in an axis of their own, does not take the tokens of a batch for them."""
    model = tiny("bert", head=head)
    batch = batch_for(model, 6, 6)
    for method in ("kprune", "ziplm"):
        assert refusal(model, [batch], method=method).startswith(told)
    prunekit.compress(model, [batch], method="ziplm", options={"search_steps": 0})
    prunekit.compress(model, [batch], method="flap")


@pytest.mark.parametrize("method", ["kprune", "ziplm"])
def test_whether_a_sentence_follows_is_a_prediction(method: str) -> None:
    model = tiny("bert", head=transformers.AutoModelForNextSentencePrediction)
    batch = batch_for(model, 6, 6)
    small = prunekit.compress(model, [batch], method=method, length=6)
    assert prunekit.cost(small, 6).macs <= prunekit.cost(model, 6).macs / 2


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"constraint": "x"}, "constraint: 'x' is no float, as its default 0.5 is"),
        ({"constraint": None}, "constraint: None is no float, as its default 0.5 is"),
        ({"constraint": True}, "constraint: True is no float, as its default 0.5 is"),
        ({"constraint": math.nan}, "constraint: nan is no finite number"),
        ({"constraint": 1}, "constraint: 1.0 is outside (0, 1)"),
        ({"seed": 1.5}, "seed: 1.5 is no int, as its default 0 is"),
        ({"seed": -1}, "seed: -1 must be at least 0"),
        ({"seed": 2**70}, "seed: 1180591620717411303424 is too large, the most is 4,294,967,295"),
        ({"uniform": "yes"}, "uniform: 'yes' is no bool, as its default False is"),
        ({"labels": "silver"}, "labels: 'silver' is unknown, choose from gold, predicted"),
        ({"length": 0}, "length: 0 must be at least 1"),
        ({"length": 2.5}, "length: 2.5 is no int, as its default 1 is"),
        ({"length": 10**9}, "length: 1000000000 is too large, the most is 1,000,000"),
        ({"length": 500}, "length: 500 tokens are too many, this model has"),
        ({"options": 3}, "method.options: 3 is a int, give options by name"),
        ({"table": 3, "budget": "latency"}, "budget: table is a int, it should be what latency_table returns"),
        ({"folder": "/proc/runs"}, "folder: '/proc/runs' lies in proc of the system"),
    ],
)
def test_arguments_of_another_kind_are_named(how: dict[str, Any], told: str) -> None:
    model, batch = example()
    assert refusal(model, [batch], **how).startswith(told)


def test_numbers_of_numpy_are_numbers() -> None:
    model, batch = example()
    sizes: list[list[Tensor]] = []
    every: list[tuple[Any, Any]] = [(float, int), (np.float64, np.int64), (np.float32, np.int32)]
    for of_reals, of_integers in every:
        small = prunekit.compress(model, [batch], method="random", constraint=of_reals(0.5), seed=of_integers(3))
        sizes.append([*small.parameters()])
    for other in sizes[1:]:
        assert all(torch.equal(*pair) for pair in zip(sizes[0], other, strict=True))


def test_a_method_is_given_the_seed_and_the_mean_length_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows count alike, however many are in their batch; a length that is asked for comes before theirs."""
    given: list[Problem] = []

    def stages(_name: str, _own: object, problem: Problem) -> list[object]:
        given.append(problem)
        return []

    monkeypatch.setattr(compression, "checked_stages", stages)
    model = tiny("bert")
    many, single = batch_for(model, 5, 9), batch_for(model, 1, 9)
    many["attention_mask"][:] = 1
    single["attention_mask"][:, 3:] = 0
    for length in (None, 4):
        compression.compressions(model, [many, single], "random", 0.3, "parameters", seed=7, length=length)
    assert [problem.budget.length for problem in given] == [8, 4]  # of 5 rows of 9 tokens and one of 3
    assert {(problem.seed, problem.rows, problem.budget.constraint) for problem in given} == {(7, 6, 0.3)}

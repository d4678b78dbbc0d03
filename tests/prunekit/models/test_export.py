"""Exported models give the outputs of the pruned ones, in stock transformers and in ONNX Runtime."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

import prunekit
from prunekit.models.export import exporting
from prunekit.models.export.card import Facts
from prunekit.models.export.same_outputs import answers_of, difference
from prunekit.models.export.sessions import Session
from prunekit.models.export.stock_model import stock_model
from prunekit.models.export.stock_shape import stock_shape, stock_shapes
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, batch_for, logits, tiny
from tests.support.masks import uneven_masks
from tests.support.translators import TRANSLATORS, pairs_for, translator, uneven, word_logits


def pruned(family: str = "bert", hidden: bool = True, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """Unevenly, with dimensions of the stream or without."""
    model = tiny(family, dtype=dtype, **options)
    masks = uneven_masks(model)
    if not hidden:
        masks.hidden = None
    return prunekit.prune(model, masks)


def even(model: PreTrainedModel) -> PreTrainedModel:
    """Half of the neurons of every layer, and a whole layer with its LayerNorms."""
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[:, ::2] = False
    masks.layers["self"][1] = masks.layers["ffn"][1] = False
    masks.skip_norms = True
    return prunekit.prune(model, masks)


@pytest.mark.parametrize("hidden", [False, True], ids=["stream whole", "stream cut"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_padded_models_load_in_stock_transformers_with_equal_outputs(family: str, hidden: bool, tmp_path: Path) -> None:
    small = pruned(family, hidden)
    written = prunekit.export(small, tmp_path / "out", "padded")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert loaded.config.model_type == family and not hasattr(loaded.config, "prunekit")
    assert type(loaded) is type(small) and loaded.dtype == torch.float64
    batch = batch_for(small, rows=5, length=11, seed=3)
    torch.testing.assert_close(logits(loaded, batch), logits(small, batch), rtol=0, atol=1e-12)
    assert written.parameters == loaded.num_parameters() > small.num_parameters()
    assert written.difference < 1e-12
    times = HEADS if family == "mpnet" else 2  # whose bias table wants room for every head
    copies = f"hidden size 13: every dimension is there {times} times, {13 * times}"
    assert any(copies in phrase for phrase in written.lost) == hidden
    card = (tmp_path / "out" / "README.md").read_text()
    assert "No smaller where it is padded" in card and all(phrase in card for phrase in written.lost)


def test_copies_beyond_all_measure_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("bert")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    assert masks.hidden is not None
    masks.hidden[13:] = False
    small = prunekit.prune(model, masks)
    written = prunekit.export(small, tmp_path / "out", "padded").parameters
    monkeypatch.setattr("prunekit.models.export.stock_shape.MOST_WEIGHTS", written - 1)
    with pytest.raises(UserError, match=r"^format: padded it would have \d copies of each of its 13 hidden dimensions"):
        prunekit.export(small, tmp_path / "more", "padded")
    monkeypatch.setattr("prunekit.models.export.stock_shape.MOST_WEIGHTS", 2 * written)  # buffers are none of them
    prunekit.export(small, tmp_path / "more", "padded")


@pytest.mark.parametrize(
    ("family", "copies", "heads"),
    [("bert", 6, 3), ("roberta", 6, 3), ("mpnet", 4, 4), ("distilbert", 6, 3), ("electra", 6, 3), ("albert", 6, 3)],
)
def test_a_stream_of_a_prime_size_is_there_as_often_as_it_takes(
    family: str, copies: int, heads: int, tmp_path: Path
) -> None:
    """7 dimensions, and 3 heads of size 8: of 42 they have 14 each. MPNet's 4 heads of size 4 have 7 of 28."""
    model = tiny(family, hidden_size=16 if family == "mpnet" else 32)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][:, 0] = False
    assert masks.hidden is not None
    masks.hidden[7:] = False
    small = prunekit.prune(model, masks)
    written = prunekit.export(small, tmp_path / "out", "padded")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert (loaded.config.hidden_size, loaded.config.num_attention_heads) == (7 * copies, heads)
    assert f"hidden size 7: every dimension is there {copies} times, {7 * copies} in all" in written.lost
    batch = batch_for(small, rows=5, length=11, seed=3)
    torch.testing.assert_close(logits(loaded, batch), logits(small, batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dimensions", "heads", "copies"), [(1, 1, 32), (2, 1, 16), (3, 3, 11), (5, 1, 7), (16, 1, 2)])
def test_copies_for_the_pooler_are_reckoned(
    dimensions: int, heads: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 outputs of the pooler, as often as they need; no number of copies before the right one is built."""
    model = tiny("bert", hidden_size=32)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][:, heads:] = False
    assert masks.hidden is not None
    masks.hidden[dimensions:] = False
    built: list[int] = []

    def shapes(own: PreTrainedModel, config: Any) -> Any:
        built.append(config.hidden_size // dimensions)
        return stock_shapes(own, config)

    monkeypatch.setattr("prunekit.models.export.stock_shape.stock_shapes", shapes)
    shape = stock_shape(prunekit.prune(model, masks))
    assert shape.copies == copies and len(built) <= 3 and built[-1] == copies
    assert shape.config.hidden_size == copies * dimensions


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize(
    "head", [AutoModelForTokenClassification, AutoModelForQuestionAnswering, AutoModelForMultipleChoice]
)
def test_every_task_head_reads_one_copy_of_the_stream(head: Any, family: str, tmp_path: Path) -> None:
    small = pruned(family, head=head, num_labels=2)
    written = prunekit.export(small, tmp_path / "out", "padded")
    loaded = head.from_pretrained(tmp_path / "out").eval()
    batch = batch_for(small, rows=5, length=11, seed=3)
    if head is AutoModelForMultipleChoice:
        batch = {name: tensor.unsqueeze(1) for name, tensor in batch.items()}
    with torch.no_grad():
        ours, theirs = ([*one(**batch).values()] for one in (small, loaded))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-12)
    assert any("every dimension is there" in phrase for phrase in written.lost)


def test_a_bare_model_gives_its_stream_which_has_one_copy_alone(tmp_path: Path) -> None:
    bare = pruned().base_model
    with pytest.raises(UserError, match=r"^format: a BertModel gives its stream, 13 numbers a token, of which a stock"):
        prunekit.export(bare, tmp_path / "out", "padded")
    assert list(tmp_path.iterdir()) == []
    whole = pruned(hidden=False).base_model
    prunekit.export(whole, tmp_path / "out", "padded")
    loaded = AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        ours, theirs = (one(**batch_for(whole)).last_hidden_state for one in (whole, loaded))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-12)


def test_a_head_that_is_larger_than_its_configuration_is_named(tmp_path: Path) -> None:
    small = pruned()
    small.classifier = torch.nn.Linear(16, 5).double()
    message = r"^format: a stock bert of this configuration has no room for classifier.weight, classifier.bias; use fo"
    with pytest.raises(UserError, match=message):
        prunekit.export(small, tmp_path / "out", "padded")


@pytest.mark.parametrize("family", TRANSLATORS)
def test_padded_translators(family: str, tmp_path: Path) -> None:
    small = prunekit.prune(model := translator(family), uneven(model))
    prunekit.export(small, tmp_path / "out", "padded")
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(word_logits(loaded, pairs_for()), word_logits(small, pairs_for()), rtol=0, atol=1e-12)
    both: list[Any] = [loaded, small]
    ours, theirs = (one.generate(pairs_for()["input_ids"], num_beams=2, max_new_tokens=6) for one in both)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_plain_models_have_their_true_sizes(family: str, tmp_path: Path) -> None:
    small = even(tiny(family))
    written = prunekit.export(small, tmp_path / "out", "plain")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))
    assert loaded.num_parameters() == small.num_parameters() == written.parameters and written.lost == ()
    layout = prunekit.describe(loaded)
    assert (layout.calls, [shape.neurons for shape in layout.ffn]) == (2, [12, 12])


def test_shared_layers_are_plain_where_they_are_alike(tmp_path: Path) -> None:
    model = tiny("albert")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[:, :7] = False
    small = prunekit.prune(model, masks)
    prunekit.export(small, tmp_path / "out", "plain")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert loaded.config.intermediate_size == 17 and loaded.config.num_hidden_layers == 4
    assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))


def test_a_stream_and_its_heads_that_fit_are_plain(tmp_path: Path) -> None:
    """No pooler reads the stream here: three of four heads of size 4, and 12 of 16 dimensions."""
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][:, 1] = False
    assert masks.hidden is not None
    masks.hidden[::4] = False
    small = prunekit.prune(model, masks)
    prunekit.export(small, tmp_path / "out", "plain")
    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out").eval()
    assert (loaded.config.hidden_size, loaded.config.num_attention_heads) == (12, 3)
    with torch.no_grad():
        ours, theirs = (one(**batch_for(small)).start_logits for one in (small, loaded))
    assert torch.equal(ours, theirs)


def test_wider_heads_are_scaled() -> None:
    """One head of size 4 in each layer, and 8 of 16 dimensions: two heads of size 4 hold it, or one of size 8."""
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][:, 1:] = False
    assert masks.hidden is not None
    masks.hidden[8:] = False
    small = prunekit.prune(model, masks)
    shape = stock_shape(small)
    assert (shape.config.hidden_size, shape.config.num_attention_heads, shape.copies) == (8, 1, 1)
    assert shape.lost == ("self heads by layer 1, 1, 1: each layer has 1 of size 8 instead of 4",)
    loaded = stock_model(small, shape)
    with torch.no_grad():
        ours, theirs = (one(**batch_for(small)).start_logits for one in (small, loaded))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "sublayers", [[("self", 1)], [("ffn", 0)], [("self", 0)], [("ffn", 1), ("self", 2), ("ffn", 2)]]
)
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_norms_that_are_gone_are_filled_in(family: str, sublayers: list[tuple[str, int]]) -> None:
    model = tiny(family)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    for kind, layer in sublayers:
        masks.layers[kind][layer] = False
    masks.skip_norms = True
    small = prunekit.prune(model, masks)
    batch = batch_for(small)
    written = logits(stock_model(small, stock_shape(small)), batch)
    torch.testing.assert_close(written, logits(small, batch), rtol=0, atol=1e-9)
    with_norms = prunekit.prune(model, prunekit.Masks(masks.heads, masks.neurons, masks.layers, masks.hidden))
    assert (written - logits(with_norms, batch)).abs().max() > 1e-3


def test_a_norm_that_is_filled_in_is_not_exact_where_eps_is_large(tmp_path: Path) -> None:
    model = tiny("bert", layer_norm_eps=1e-5)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.layers["ffn"][1] = False
    masks.skip_norms = True
    small = prunekit.prune(model, masks)
    because = r"\(LayerNorms that are gone are filled in, which with their eps of 1e-05 is not exact\)"
    with pytest.raises(UserError, match=rf"^format: outputs of padded differ .* of the largest {because}; nothing was"):
        prunekit.export(small, tmp_path / "out", "padded")
    assert list(tmp_path.iterdir()) == []
    written = prunekit.export(small.float(), tmp_path / "out", "padded")  # whose tolerance is that of its rounding
    assert 1e-8 < written.difference < 1e-5


@pytest.mark.parametrize("family", ["electra", "albert", "marian"])
def test_norms_that_cannot_be_filled_in_are_refused(family: str) -> None:
    model = translator(family) if family in TRANSLATORS else tiny(family)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    next(iter(masks.layers.values()))[0] = False
    masks.skip_norms = True
    small = prunekit.prune(model, masks)
    with pytest.raises(UserError, match=r"^format: .*LayerNorm.*; use format=native or format=onnx$"):
        stock_model(small, stock_shape(small))


def test_what_is_in_the_way_of_plain_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^format: stock bert has no such shape: self heads by layer 0, 2, 2: each"):
        prunekit.export(pruned(hidden=False), tmp_path / "out", "plain")
    with pytest.raises(UserError, match=r"hidden size 13: every dimension is there 2 times, 26 in all; self heads"):
        prunekit.export(pruned(), tmp_path / "out", "plain")
    small = prunekit.prune(model := translator("marian"), uneven(model))
    for model, end in (
        (pruned("albert"), "all_heads=true refit=none` searches for one that plain takes"),
        (pruned("roberta"), "all_heads=true` searches for one that plain takes"),
        (small, "native and onnx take any shape"),  # `compress` prunes encoders
    ):
        with pytest.raises(UserError, match=f"{end}$"):
            prunekit.export(model, tmp_path / "out", "plain")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "tflite"}, "format: 'tflite' is unknown, choose from native, onnx, padded, plain"),
        ({"format": "onxn"}, r"format: 'onxn' is unknown, did you mean 'onnx'\?"),
        ({"precision": "int4"}, r"precision: 'int4' is unknown, did you mean 'int8'\?"),
        ({"precision": "int8"}, "precision: int8 is of format=onnx, format=native has the model's own"),
        ({"format": "onnx"}, "format: graphs are of float32, the model is of float64"),
    ],
)
def test_bad_choices(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        prunekit.export(pruned(), tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.png", "config.json", "card.PNG", ""])
def test_what_lies_beside_a_model_has_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^pictures: .* is no name of a PNG file, give one such as shape.png$"):
        prunekit.export(pruned(), tmp_path / "out", pictures={name: b"drawn"})
    with pytest.raises(UserError, match=r"^tokenizer: a str, give one of transformers$"):
        prunekit.export(pruned(), tmp_path / "out", tokenizer="bert")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "precision"), [("native", "float32"), ("padded", "float32"), ("onnx", "float32"), ("onnx", "int8")]
)
def test_answers_that_are_no_numbers_are_not_exported(format: str, precision: str, tmp_path: Path) -> None:
    small = pruned(dtype=torch.float32)
    small.classifier.bias.data[0] = float("nan")
    with pytest.raises(UserError, match=r"^model: its outputs are not finite; check its weights$"):
        prunekit.export(small, tmp_path / "out", format, precision=precision)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [True, False])
def test_an_export_replaces_no_saved_model(cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what it was loaded from, under whatever name and pruned since, nor another one."""
    monkeypatch.chdir(tmp_path)
    prunekit.save(pruned() if cut else tiny("bert"), "model")
    before = sorted(path.name for path in Path("model").iterdir())
    model = prunekit.load("model")
    again = prunekit.prune(model, prunekit.Masks.ones(prunekit.describe(model)))
    for folder, format in (("model", "padded"), (tmp_path / "model", "native")):
        with pytest.raises(UserError, match=r"model: is the model itself; give a new folder$"):
            prunekit.export(again, folder, format)
    for format in ("native", "onnx"):
        with pytest.raises(UserError, match=r"^model: holds a saved model that was not exported, which would be lost"):
            prunekit.export(pruned(), "model", format)
    assert sorted(path.name for path in Path("model").iterdir()) == before
    prunekit.export(model, "out", "padded")
    with pytest.raises(UserError, match=r"^out: holds an export in format=padded, which would be lost; give a new f"):
        prunekit.export(model, "out", "native")


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    small = pruned()
    for _ in range(2):
        prunekit.export(small, tmp_path / "out", "native")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md", "config.json", "prunekit.safetensors",
    ]  # fmt: skip
    for _ in range(2):  # its own picture does not stop it
        prunekit.export(small, tmp_path / "out", "native", pictures={"kept.png": b"drawn"})
    for name in ("thesis.tex", "photo.png", "notes.md", "diary.txt", "rows.json"):
        (tmp_path / "out" / name).write_text("mine")
        with pytest.raises(UserError, match="holds something else than a saved model; give a new folder"):
            prunekit.export(small, tmp_path / "out", "native")
        assert (tmp_path / "out" / name).read_text() == "mine" and (tmp_path / "out" / "kept.png").exists()
        (tmp_path / "out" / name).unlink()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="holds something else"):
        prunekit.export(small, tmp_path / "file")
    with pytest.raises(UserError, match=r"/file/in/it: /\S+/file is a file, no folder; give a new folder$"):
        prunekit.export(small, tmp_path / "file" / "in" / "it")
    assert len(list(tmp_path.iterdir())) == 2


def test_an_export_that_answers_otherwise_is_not_written(tmp_path: Path) -> None:
    """Here gates that hooks put on the model, and no file can hold."""
    small = pruned(hidden=False).train()
    masks = prunekit.Masks.ones(prunekit.describe(small), torch.float64)
    masks.hidden = None
    masks.neurons[0] *= 0.5
    with prunekit.gated(small, masks), pytest.raises(UserError, match=r"of the largest; nothing was wr"):
        prunekit.export(small, tmp_path / "out", "padded")
    assert list(tmp_path.iterdir()) == [] and all(module.training for module in small.modules())


def test_a_bare_model_and_its_card(tmp_path: Path) -> None:
    small = pruned().base_model
    written = prunekit.export(small, tmp_path / "out", "native", facts=Facts("Cut", {"license": "mit"}))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: mit" in card and "# Cut\n" in card and "self heads of size 4, by layer: 0, 2, 2" in card
    assert f"{small.num_parameters():,} parameters" in card and written.difference == 0


def test_a_graph_that_cannot_run_is_one_line(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 999)], ir_version=9)
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(UserError, match=r"new.onnx: ONNX Runtime [\d.]+ cannot run .*[oO]pset.*; export it") as raised:
        Session(tmp_path / "new.onnx")
    assert "\n" not in str(raised.value)
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])  # as one that this processor does not have
    graph = helper.make_graph([node], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "op.onnx")
    with pytest.raises(UserError, match=r"op.onnx: ONNX Runtime .* cannot run .*NoSuchOperator"):
        Session(tmp_path / "op.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(UserError, match="cannot run this graph on this machine"):
        Session(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="there is no such file"):
        Session(tmp_path / "absent.onnx")
    ids = helper.make_tensor_value_info("x", TensorProto.INT64, [1])
    words = helper.make_tensor("words", TensorProto.FLOAT, [2], [3.0, 4.0])
    graph = helper.make_graph([helper.make_node("Gather", ["words", "x"], ["y"])], "g", [ids], [y], [words])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "ids.onnx")
    session = Session(tmp_path / "ids.onnx")
    assert session({"x": np.array([1])})["y"].tolist() == [4.0]
    with pytest.raises(UserError, match=r"ids.onnx: ONNX Runtime stopped in this graph \(.*indices.*\); g") as raised:
        session({"x": np.array([9])})
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_pruned_encoders_in_onnx_runtime(family: str, tmp_path: Path) -> None:
    model = tiny(family, dtype=torch.float32)
    masks = uneven_masks(model)
    masks.layers["self"][-1] = False
    small = prunekit.prune(model, masks)
    written = prunekit.export(small, tmp_path / "out", "onnx")
    assert written.difference < 1e-5
    session = Session(tmp_path / "out" / "model.onnx")
    for rows, length in ((1, 3), (4, 9), (7, 20)):
        batch = batch_for(small, rows, length, seed=rows)
        [found] = session(batch).values()
        np.testing.assert_allclose(found, logits(small, batch).numpy(), rtol=0, atol=1e-5)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == family and config["architectures"] == [type(small).__name__]
    with pytest.raises(OSError, match="no file named"):  # and nothing is invented in place of weights
        AutoModel.from_pretrained(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("units", [False, True])
@pytest.mark.parametrize("family", ["bert", "distilbert"])  # whose attention adds the residual, and whose does not
def test_of_a_sublayer_that_is_gone_a_graph_has_an_addition_at_most(family: str, units: bool, tmp_path: Path) -> None:
    """Without units it adds its bias, removed nothing: what a whole sublayer has, the graph has for every other."""
    import onnx

    model = tiny(family, dtype=torch.float32)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    layers, found = len(masks.neurons), {}
    for name, gone in (("whole", 0), ("one", 1), ("two", 2)):
        if units:
            masks.heads["self"][:gone] = masks.neurons[:gone] = 0
        else:
            masks.layers["self"][:gone] = masks.layers["ffn"][:gone] = False
        prunekit.export(prunekit.prune(model, masks), tmp_path / name, "onnx")
        graph = onnx.load(tmp_path / name / "model.onnx").graph
        found[name] = Counter(node.op_type for node in graph.node)
    assert layers > 2
    for name, gone in (("one", 1), ("two", 2)):
        less = {kind: found["whole"][kind] - found[name][kind] for kind in ("Gelu", "MatMul", "Softmax", "Expand")}
        assert less == {"Gelu": gone, "MatMul": 8 * gone, "Softmax": gone, "Expand": 0}
        more = found[name] - found["whole"]
        assert more == Counter({} if units else {"ConstantOfShape": 1}), "one zero for all, and no other operation"


@pytest.mark.slow
def test_int8_is_smaller_and_near(tmp_path: Path) -> None:
    model = tiny("bert", dtype=torch.float32, hidden_size=64, intermediate_size=256)
    small = prunekit.prune(model, uneven_masks(model))
    whole, small8 = (
        prunekit.export(small, tmp_path / name, "onnx", precision=name) for name in ("float32", "int8")
    )
    assert small8.bytes < 0.8 * whole.bytes
    assert 0 < small8.difference < 0.5
    assert "weights in int8" in (tmp_path / "int8" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("family", TRANSLATORS)
def test_translators_in_onnx_runtime_decode_alike(family: str, tmp_path: Path) -> None:
    small = prunekit.prune(model := translator(family, dtype=torch.float32), uneven(model))
    prunekit.export(small, tmp_path / "out", "onnx")
    encoder, decoder = (Session(tmp_path / "out" / f"{part}.onnx") for part in ("encoder", "decoder"))
    batch = {name: pairs_for()[name][:1] for name in ("input_ids", "attention_mask")}
    hidden = encoder(batch)["last_hidden_state"]
    words = np.full((1, 1), small.config.decoder_start_token_id)
    for _ in range(6):
        given = {"encoder_hidden_states": hidden, "encoder_attention_mask": batch["attention_mask"]}
        scores = decoder({"decoder_input_ids": words, **given})["logits"]
        with torch.no_grad():
            expected = small(**batch, decoder_input_ids=torch.from_numpy(words)).logits
        np.testing.assert_allclose(scores, expected.numpy(), rtol=0, atol=1e-5 * float(expected.abs().max()))
        words = np.concatenate([words, scores[:, -1:].argmax(-1)], 1)
    assert words.shape == (1, 7)


@pytest.mark.slow
def test_a_translator_in_int8_is_made_of_both_its_graphs(tmp_path: Path) -> None:
    """And of no other that lies beside them."""
    small = prunekit.prune(model := translator("marian", dtype=torch.float32), uneven(model))
    whole = prunekit.export(small, tmp_path / "exact", "onnx")
    (tmp_path / "exact" / "notes.onnx").write_text("no graph")
    written = prunekit.export(small, tmp_path / "out", "onnx", precision="int8", exact=tmp_path / "exact")
    graphs = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.onnx")}
    assert set(graphs) == {"encoder.onnx", "decoder.onnx"}
    assert all(b"MatMulInteger" in content for content in graphs.values())
    assert whole.difference < 1e-5 < written.difference < 0.3
    assert (tmp_path / "out" / "generation_config.json").is_file()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_of_what_was_written_are_finite(value: float) -> None:
    """Graphs in 8 bits are held to no tolerance, but to this."""
    small = pruned()
    answers = answers_of(small)
    assert difference(small, answers) == 0
    shifted = difference(small, lambda inputs: [answer + 0.5 for answer in answers(inputs)])
    assert 0 < shifted < np.inf
    with pytest.raises(UserError, match=r"^format: outputs of what was written are not finite, the model's are; no"):
        difference(small, lambda inputs: [answer * value for answer in answers(inputs)])
    with pytest.raises(UserError, match=r"^format: outputs are of shape \[\(3, 2\)\], the model's are of \[\(3, 3"):
        difference(small, lambda inputs: [answer[:, :2] for answer in answers(inputs)])


def test_graphs_that_are_given_are_named_where_they_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the format, which whoever gives another model's graphs has chosen well."""
    small = pruned(dtype=torch.float32)
    answers = answers_of(small)

    def refused(graph: Any) -> str:
        (tmp_path / "graphs").mkdir(exist_ok=True)
        (tmp_path / "graphs" / "model.onnx").touch()
        monkeypatch.setattr(exporting, "Session", lambda path: lambda inputs: {"logits": graph(inputs)})
        with pytest.raises(UserError) as raised:
            prunekit.export(small, tmp_path / "out", "onnx", precision="int8", exact=tmp_path / "graphs")
        assert not (tmp_path / "out").exists()
        return str(raised.value)

    others = "they are another model's; give a folder that this one was exported to in float32"
    assert refused(lambda inputs: answers(inputs)[0][:, :2]) == (
        f"exact: outputs are of shape [(3, 2)], the model's are of [(3, 3)]; {others}"
    )
    assert refused(lambda inputs: answers(inputs)[0] * np.nan) == (
        f"exact: outputs of what was written are not finite, the model's are; {others}"
    )
    assert refused(lambda inputs: inputs["pixels"]).startswith(
        f"exact: the graphs in {tmp_path / 'graphs'} cannot be asked what this model is asked ('pixels')"
    )


def test_graphs_that_int8_is_made_of_are_those_of_the_model(tmp_path: Path) -> None:
    small = pruned(dtype=torch.float32)
    for format in ("native", "onnx"):
        with pytest.raises(UserError, match=r"^exact: graphs in float32 are for precision=int8; leave it out$"):
            prunekit.export(small, tmp_path / "out", format, exact=tmp_path)
    with pytest.raises(UserError, match=r"^exact: .*absent has no model.onnx; give a folder that the model was"):
        prunekit.export(small, tmp_path / "out", "onnx", precision="int8", exact=tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_graphs_of_another_model_are_not_taken(tmp_path: Path) -> None:
    small, other = pruned(dtype=torch.float32), pruned(dtype=torch.float32)
    other.classifier.bias.data[0] += 0.1
    prunekit.export(other, tmp_path / "other", "onnx")
    with pytest.raises(UserError, match=r"^exact: outputs of the graphs in .*other differ .*: they are another model"):
        prunekit.export(small, tmp_path / "out", "onnx", precision="int8", exact=tmp_path / "other")
    assert not (tmp_path / "out").exists()
    written = prunekit.export(other, tmp_path / "out", "onnx", precision="int8", exact=tmp_path / "other")
    assert written.precision == "int8" and written.difference > 1e-4


def test_a_graph_takes_tensors_of_a_gpu(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    class There:
        """As a tensor of a GPU: numpy has to be given its copy here."""

        def __array__(self, *args: Any, **options: Any) -> Any:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

        def cpu(self) -> torch.Tensor:
            return torch.tensor([2.0])

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "x.onnx")
    session = Session(tmp_path / "x.onnx")
    for given in (There(), torch.tensor([2.0]), np.array([2.0], np.float32)):
        assert session({"x": given, "other": None})["y"].tolist() == [2.0]

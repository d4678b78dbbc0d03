"""Loading is strict: a model comes back the same or not at all."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Config, PreTrainedModel

from prunekit.models.blocks import describe
from prunekit.models.checkpoints import attach_head, load, save
from prunekit.models.masks import Masks
from prunekit.models.pretrained import from_shape
from prunekit.models.pruned_format import PRUNED_WEIGHTS, WEIGHTS
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.damage import QUERY, Change, change_weights, drop
from tests.support.families import base_of, batch_for, logits, shape_of, tiny
from tests.support.masks import random_masks, uneven_masks


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def pruned_folder(tmp_path: Path) -> Path:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)), tmp_path / "pruned")
    return tmp_path / "pruned"


def change_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("pruned", [False, True])
def test_round_trip(model: PreTrainedModel, pruned: bool, tmp_path: Path) -> None:
    if pruned:
        model = prune(model, uneven_masks(model))
    save(model, tmp_path / "deep" / "model")
    attention = model.config._attn_implementation
    loaded = load(tmp_path / "deep" / "model", attention=attention, dtype=torch.float64)
    batch = batch_for(model)
    assert type(loaded) is type(model) and not loaded.training
    assert loaded.config._attn_implementation == attention
    torch.testing.assert_close(logits(loaded, batch), logits(model, batch), rtol=0, atol=1e-10)
    assert getattr(loaded.config, "prunekit", None) == getattr(model.config, "prunekit", None)


@pytest.mark.parametrize("pruned", [False, True])
def test_base_models_round_trip(model: PreTrainedModel, pruned: bool, tmp_path: Path) -> None:
    make: Any = type(base_of(model))._from_config
    base = from_shape(make, model.config, model.config._attn_implementation).double().eval()
    if pruned:
        base = prune(base, uneven_masks(base))
    save(base, tmp_path)
    loaded = load(tmp_path, dtype=torch.float64)
    batch = batch_for(base)
    with torch.no_grad():
        expected, found = base(**batch).last_hidden_state, loaded(**batch).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("hidden", [{}, {"hidden": "0-15"}])
def test_records_of_the_first_version(hidden: dict[str, str], tmp_path: Path) -> None:
    """As they are on disks: written when there were encoders only, or before hidden dimensions could go."""
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1] = False
    masks.layers["self"][2] = False
    masks.neurons[1] = False
    small = prune(model, masks)
    save(small, tmp_path)
    record = {
        "version": 1, "heads": {"self": ["0,2-3", "0-3", ""]}, "neurons": ["0-23", "", "0-23"],
        "removed": {"self": [2], "ffn": []}, **hidden,
    }  # fmt: skip
    change_config(tmp_path, lambda content: content.update(prunekit=record))
    loaded = load(tmp_path, dtype=torch.float64)
    torch.testing.assert_close(logits(loaded, batch_for(model)), logits(small, batch_for(model)), rtol=0, atol=1e-10)
    again = prune(loaded, Masks.ones(describe(loaded)))
    assert again.config.prunekit == small.config.prunekit == {**record, "hidden": "0-15"}


def test_a_loaded_model_can_be_pruned_further(model: PreTrainedModel, tmp_path: Path) -> None:
    small = prune(model, random_masks(model, 0, kept=0.8))
    save(small, tmp_path)
    loaded = load(tmp_path, dtype=torch.float64)
    masks = random_masks(small, 1, kept=0.8)
    again, expected = prune(loaded, masks), prune(small, masks)
    assert again.config.prunekit == expected.config.prunekit
    batch = batch_for(model)
    torch.testing.assert_close(logits(again, batch), logits(expected, batch), rtol=0, atol=1e-9)


def test_dtype_is_as_asked_whatever_was_saved(tmp_path: Path) -> None:
    model = tiny("bert")
    for number, saved in enumerate((model.half(), prune(model, uneven_masks(model)))):
        save(saved, tmp_path / str(number))
        assert {p.dtype for p in load(tmp_path / str(number)).parameters()} == {torch.float32}


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    shape = shape_of("bert")
    del shape["num_labels"]
    model = BertForMaskedLM(BertConfig(**shape)).double().eval()
    masks = uneven_masks(model)
    with pytest.raises(UserError, match=r"masks.hidden: BertForMaskedLM reads its embeddings again at its output"):
        prune(model, masks)
    masks.hidden = None
    small = prune(model, masks)
    save(small, tmp_path)
    loaded = load(tmp_path, dtype=torch.float64)
    batch = batch_for(model)
    torch.testing.assert_close(logits(loaded, batch), logits(small, batch), rtol=0, atol=1e-10)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


def rename(name: str) -> Change:
    return lambda tensors: tensors.update({name + "x": tensors.pop(name)})


def add(name: str) -> Change:
    return lambda tensors: tensors.update({name: torch.zeros(2)})


def reshape(name: str) -> Change:
    return lambda tensors: tensors.update({name: tensors[name][:-1].clone()})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop(QUERY), f"{QUERY} missing; the record in config.json needs it"),
        (rename(QUERY), f"{QUERY} missing"),
        (add("bert.extra"), "bert.extra is not part of the model that config.json describes"),
        (reshape(QUERY), rf"{QUERY} has shape \(\d+, 13\), the record in config.json needs"),
        (drop("classifier.bias"), "classifier.bias missing"),
    ],
)
def test_pruned_weights_are_loaded_strictly(pruned_folder: Path, change: Change, told: str) -> None:
    change_weights(pruned_folder, change)
    with pytest.raises(UserError, match=told):
        load(pruned_folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop(QUERY), f"BertForSequenceClassification needs {QUERY}, which the checkpoint does not have"),
        (rename(QUERY), f"needs {QUERY}"),
        (reshape(QUERY), rf"{QUERY} has shape \(15, 16\), the model needs \(16, 16\)"),
        (drop("classifier.bias"), "task heads are created by `finetune`"),
    ],
)
def test_plain_weights_are_loaded_strictly(tmp_path: Path, change: Change, told: str) -> None:
    save(tiny("bert"), tmp_path)
    change_weights(tmp_path, change)
    with pytest.raises(UserError, match=told):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 7}, "its version is 7, this program reads version 1"),
        ({"heads": {"self": ["0-4", "0", ""]}}, "heads.self of layer 0 must be increasing indices below 4"),
        ({"heads": {"self": ["0-3"]}}, "heads.self has 1 layers, the model has 3"),
        ({"heads": {}}, "it has no entry for 'self'"),
        ({"neurons": ["5,2", "", ""]}, "neurons of layer 0 must be increasing"),
        ({"neurons": 3}, "it is damaged"),
        ({"neurons": ["a-b", "", ""]}, "it is damaged"),
        ({"neurons": ["0-999999999999", "", ""]},
         r"it is damaged \(ValueError: '0-999999999999' is no range of units below 1,000,000"),
        ({"neurons": ["5-3", "", ""]}, r"it is damaged \(ValueError: '5-3' is no range of units"),
        ({"hidden": "0-999999999"}, r"it is damaged \(ValueError: '0-999999999' is no range of units"),
        ({"removed": {"self": [3], "ffn": []}}, r"removed.self is \[3\], the model has 3 layers"),
    ],
)  # fmt: skip
def test_damaged_records_are_named(pruned_folder: Path, change: dict[str, Any], told: str) -> None:
    change_config(pruned_folder, lambda content: content["prunekit"].update(change))
    with pytest.raises(UserError, match=f"config.json: prunekit record: {told}"):
        load(pruned_folder)


def test_a_record_that_is_no_record(pruned_folder: Path) -> None:
    change_config(pruned_folder, lambda content: content.update(prunekit="yes"))
    with pytest.raises(UserError, match="its version is 'yes'"):
        load(pruned_folder)


def test_pruned_weights_without_their_record(pruned_folder: Path) -> None:
    change_config(pruned_folder, lambda content: content.pop("prunekit"))
    with pytest.raises(UserError, match=r"model_type is 'prunekit-bert', but the prunekit record is missing"):
        load(pruned_folder)
    change_config(pruned_folder, lambda content: content.update(model_type="bert"))
    (pruned_folder / PRUNED_WEIGHTS).rename(pruned_folder / WEIGHTS)
    with pytest.raises(UserError, match=r"has shape .* the model needs|needs .* the checkpoint does not have"):
        load(pruned_folder)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("content", [b"", b"not safetensors at all, but long enough to have a header"])
def test_corrupt_weights(tmp_path: Path, pruned: bool, content: bytes) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    (tmp_path / (PRUNED_WEIGHTS if pruned else WEIGHTS)).write_bytes(content)
    with pytest.raises(UserError, match="unreadable weights"):
        load(tmp_path)


@pytest.mark.parametrize("pruned", [False, True])
def test_truncated_weights(tmp_path: Path, pruned: bool) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    file = tmp_path / (PRUNED_WEIGHTS if pruned else WEIGHTS)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="unreadable weights"):
        load(tmp_path)


@pytest.mark.parametrize("pruned", [False, True])
def test_pickled_weights_are_never_read(tmp_path: Path, pruned: bool) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    (tmp_path / (PRUNED_WEIGHTS if pruned else WEIGHTS)).unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"no weights here \(prunekit.safetensors or model.safetensors\), and no oth"):
        load(tmp_path)


@pytest.mark.parametrize("pruned", [False, True])
def test_graphs_are_no_weights(tmp_path: Path, pruned: bool) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    (tmp_path / (PRUNED_WEIGHTS if pruned else WEIGHTS)).rename(tmp_path / "model.onnx")
    with pytest.raises(UserError, match=r": an export for ONNX Runtime, which runs model.onnx; there are no weights"):
        load(tmp_path)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a checkpoint was unpickled",)


def test_code_of_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    save(tiny("bert"), tmp_path)
    (tmp_path / "custom.py").write_text("raise SystemExit('code of a checkpoint was run')")
    auto_map = {"AutoConfig": "custom.Config", "AutoModelForSequenceClassification": "custom.Model"}
    change_config(tmp_path, lambda content: content.update(auto_map=auto_map))
    assert load(tmp_path).config.num_labels == 3
    assert attach_head(tmp_path, 3)[1] == []


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^nobody/nothing: not a folder, and the Hugging Face Hub .*; give the folder"):
        load("nobody/nothing")
    with pytest.raises(UserError, match="not a folder"):
        load(tmp_path / "a" / "b" / "c")
    with pytest.raises(UserError, match=r"no readable config.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"no readable config.json"):
        load(tmp_path)


def test_foreign_families_and_classes(tmp_path: Path) -> None:
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="family 'gpt2' is not supported; supported are bert"):
        load(tmp_path)
    for architectures in (["Path"], ["RobertaModel"], ["BertTokenizer"], None):
        save(tiny("bert"), tmp_path)
        change_config(tmp_path, lambda content, names=architectures: content.update(architectures=names))  # type: ignore[misc]
        with pytest.raises(UserError, match=r"architectures names .* which is no bert model"):
            load(tmp_path)


def test_impossible_sizes_in_a_configuration(pruned_folder: Path) -> None:
    change_config(pruned_folder, lambda content: content.update(hidden_size="wide"))
    with pytest.raises(UserError, match=r"config.json \(.*hidden_size"):
        load(pruned_folder)


def test_unknown_attention() -> None:
    with pytest.raises(UserError, match="attention: 'flash' is unknown, use sdpa or eager"):
        load("anything", attention="flash")


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("bert", "position_embedding_type", "relative_key_query"),
        ("roberta", "position_embedding_type", "relative_key"),
        ("electra", "relative_attention", True),
        ("albert", "num_memory_blocks", 4),
    ],
)
def test_variants_of_a_family(family: str, field: str, value: Any, tmp_path: Path) -> None:
    save(tiny(family), tmp_path)
    change_config(tmp_path, lambda content: content.update({field: value}))
    for read in (load, lambda path: attach_head(path, 3)):
        with pytest.raises(UserError, match=rf"config\.json: {family}: {field} is {value!r}; only .* is supported"):
            read(tmp_path)


DISTANCES = "bert.encoder.layer.1.attention.self.distance_embedding.weight"


@pytest.mark.parametrize("name", [DISTANCES, "bert.encoder.layer.0.attention.self.query.lora_A.weight"])
def test_weights_without_a_place(name: str, tmp_path: Path) -> None:
    save(tiny("bert"), tmp_path)
    change_weights(tmp_path, lambda tensors: tensors.update({name: torch.ones(2, 2)}))
    for read in (load, lambda path: attach_head(path, 3)):
        with pytest.raises(UserError, match=rf"{name} of the checkpoint has no place in a BertForSequenceClass"):
            read(tmp_path)


@pytest.mark.parametrize("name", ["bert.embeddings.position_ids", "cls.predictions.bias", "qa_outputs.bias"])
def test_weights_of_other_heads_and_constants(name: str, tmp_path: Path) -> None:
    save(tiny("bert"), tmp_path)
    change_weights(tmp_path, lambda tensors: tensors.update({name: torch.ones(2)}))
    assert load(tmp_path).config.num_labels == 3


def test_an_adapter_that_is_not_merged(tmp_path: Path) -> None:
    save(tiny("bert"), tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"an adapter that is not merged; .* merge_and_unload\(\)"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"bert"', "[1, 2]", '{"model_type": ["bert"]}', "[" * 5000])
def test_configurations_that_are_no_object(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"no readable config.json|model family .* is not supported") as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads is 0, right would be a whole number from 1"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, right would be"),
        ({"intermediate_size": -8}, "intermediate_size is -8, right would be"),
        ({"hidden_size": 0}, "hidden_size is 0, right would be"),
        ({"vocab_size": 0}, "vocab_size is 0, right would be"),
        ({"architectures": [3]}, "architectures names 3"),
        ({"architectures": "Bert"}, "architectures names nothing"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config is set; quantised models are not"),
    ],
)
@pytest.mark.parametrize("pruned", [False, True])
def test_odd_configurations(pruned: bool, change: dict[str, Any], told: str, tmp_path: Path) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    change_config(tmp_path, lambda content: content.update(change))
    with pytest.raises(UserError, match=f"config.json.*{told}") as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int64])
@pytest.mark.parametrize("pruned", [False, True])
def test_quantised_weights(pruned: bool, kind: torch.dtype, tmp_path: Path) -> None:
    model = tiny("bert")
    save(prune(model, uneven_masks(model)) if pruned else model, tmp_path)
    change_weights(tmp_path, lambda tensors: tensors.update({QUERY: tensors[QUERY].to(kind)}))
    with pytest.raises(UserError, match=rf"{QUERY} holds [IU]\d+ numbers; quantised weights are not supported"):
        load(tmp_path)


def test_constants_of_older_versions_are_no_quantised_weights(tmp_path: Path) -> None:
    save(tiny("bert"), tmp_path)
    name = "bert.embeddings.position_ids"
    change_weights(tmp_path, lambda tensors: tensors.update({name: torch.arange(8)[None]}))
    assert load(tmp_path).config.model_type == "bert"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", "names 'pytorch_model.bin'; only safetensors beside it are read"),
        ("../model.safetensors", "names '../model.safetensors'; only"),
        ("/etc/x.safetensors", "names '/etc/x.safetensors'; only"),
        ("gone.safetensors", "unreadable weights .gone.safetensors is missing"),
        (3, "names 3; only"),
        (["a"], "damaged, it must map names to files"),
    ],
)
def test_an_index_leads_to_safetensors_beside_it_only(name: Any, told: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(tiny("bert"), folder)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {QUERY: name}}))
    for attempt in (load, lambda path: attach_head(path, 3)):
        with pytest.raises(UserError, match=told):
            attempt(folder)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    """transformers would take a file for a configuration, and then for weights."""
    save(tiny("bert"), tmp_path / "model")
    for name in ("config.json", "model.safetensors"):
        with pytest.raises(UserError, match=rf"{name}: a file; give the folder of a saved model$"):
            load(tmp_path / "model" / name)


def test_a_model_with_a_part_of_another_shape_is_not_saved(tmp_path: Path) -> None:
    whole, other = tiny("bert"), tiny("bert")
    masks = Masks.ones(describe(whole))
    masks.neurons[0, 0] = False
    other.bert = prune(whole, masks).bert
    with pytest.raises(UserError, match=r"ForSequenceClassification: bert\.encoder\.layer\.0\.\S+ has shape .*, its "
                                        r"configuration says .*; prune the whole model$"):  # fmt: skip
        save(other, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    whole.resize_token_embeddings(whole.config.vocab_size + 3)  # which goes into the configuration
    save(whole, tmp_path / "model")
    assert load(tmp_path / "model").config.vocab_size == whole.config.vocab_size


def test_weights_in_several_files_are_loaded(tmp_path: Path) -> None:
    model = tiny("bert")
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    batch = batch_for(model)
    loaded = load(tmp_path, dtype=torch.float64)
    torch.testing.assert_close(logits(loaded, batch), logits(model, batch), rtol=0, atol=1e-10)

"""Odd checkpoints of translation models and of question answering are refused in one line, whole or pruned, as those of
classifiers are (``test_checkpoints.py``)."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.models.checkpoints import load, save
from prunekit.models.pruned_format import PRUNED_WEIGHTS, WEIGHTS
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.damage import change_weights, drop
from tests.support.families import tiny
from tests.support.masks import uneven_masks
from tests.support.translators import translator, uneven

NAMES = ("marian", "bart", "questions")
PRUNED = [pytest.param(False, id="whole"), pytest.param(True, id="pruned")]
TENSORS = {
    "marian": "model.decoder.layers.1.self_attn.q_proj.weight",
    "bart": "model.decoder.layers.1.self_attn.q_proj.weight",
    "questions": "bert.encoder.layer.1.attention.self.query.weight",
}
"""One that pruning leaves."""


def saved(name: str, pruned: bool, folder: Path) -> Path:
    if name == "questions":
        model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
        masks = uneven_masks(model)
    else:
        model = translator(name)
        masks = uneven(model)
    save(prune(model, masks) if pruned else model, folder)
    return folder


def refused(folder: Path, line: str) -> None:
    with pytest.raises(UserError, match=line) as raised:
        load(folder)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


OF_TRANSLATION: list[tuple[dict[str, Any], str]] = [
    ({name: value}, f"config.json: {name} is {value}, right would be a whole number from 1")
    for name, value in (
        ("d_model", 0), ("encoder_layers", 0), ("decoder_layers", -1), ("encoder_attention_heads", 0),
        ("decoder_attention_heads", 0), ("encoder_ffn_dim", -8), ("decoder_ffn_dim", 0), ("vocab_size", 0),
    )
]  # fmt: skip
OF_QUESTIONS: list[tuple[dict[str, Any], str]] = [
    ({name: 0}, f"config.json: {name} is 0, right would be a whole number from 1")
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
]
OF_ALL: list[tuple[dict[str, Any], str]] = [
    ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config is set; quantised models are not"),
    ({"architectures": [3]}, "architectures names 3"),
    ({"architectures": ["Path"]}, "architectures names Path, which is no"),
    ({"model_type": ["bert"]}, "model family .'bert'. is not supported"),
]


@pytest.mark.parametrize("pruned", PRUNED)
@pytest.mark.parametrize("name", NAMES)
def test_odd_configurations(name: str, pruned: bool, tmp_path: Path) -> None:
    config = saved(name, pruned, tmp_path) / "config.json"
    right = config.read_text()
    for change, line in OF_ALL + (OF_QUESTIONS if name == "questions" else OF_TRANSLATION):
        config.write_text(json.dumps({**json.loads(right), **change}))
        refused(tmp_path, line)
    for text in ("[]", "null", "3", "{", ""):
        config.write_text(text)
        refused(tmp_path, "no readable config.json")
    config.write_text(right)
    assert load(tmp_path).config.architectures


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"heads": {}}, "it has no entry for '"),
        ({"neurons": ["0-999999999999"]}, "is no range of units below 1,000,000"),
        ({"neurons": []}, "neurons has 0 layers, the model has"),
        ({"version": 7}, "its version is 7"),
    ],
)
def test_odd_records(name: str, change: dict[str, Any], line: str, tmp_path: Path) -> None:
    config = saved(name, True, tmp_path) / "config.json"
    content = json.loads(config.read_text())
    content["prunekit"] |= change
    config.write_text(json.dumps(content))
    refused(tmp_path, f"config.json: prunekit record: .*{line}")


@pytest.mark.parametrize("pruned", PRUNED)
@pytest.mark.parametrize("name", NAMES)
def test_odd_weights(name: str, pruned: bool, tmp_path: Path) -> None:
    file = saved(name, pruned, tmp_path) / (PRUNED_WEIGHTS if pruned else WEIGHTS)
    right, tensor = file.read_bytes(), TENSORS[name]
    for change, line in (
        (drop(tensor), tensor),
        (lambda tensors: tensors.update({tensor: tensors[tensor][:-1].clone()}), rf"{tensor} has shape .* need"),
        (lambda tensors: tensors.update({tensor: tensors[tensor].to(torch.int8)}), f"{tensor} holds I8 numbers; quant"),
        (lambda tensors: tensors.update({f"{tensor}.lora_A": torch.ones(2)}), r"lora_A .*(no place|not part)"),
    ):
        file.write_bytes(right)
        change_weights(tmp_path, change)
        refused(tmp_path, line)
    for content in (b"", b"not safetensors at all, but long enough for a header", right[: len(right) // 2]):
        file.write_bytes(content)
        refused(tmp_path, "unreadable weights")
    file.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path, "no weights here")
    for names, line in (("pytorch_model.bin", "only safetensors beside it"), ("../x.safetensors", "only safetensors")):
        index = {"metadata": {}, "weight_map": {tensor: names}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        refused(tmp_path, line)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a checkpoint was unpickled",)

"""Saving is all or nothing, and never at the cost of somebody else's files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from prunekit.models import weight_files
from prunekit.models.checkpoints import load, save
from prunekit.support.errors import UserError
from tests.support.families import batch_for, logits, tiny


def test_a_saved_model_is_replaced(tmp_path: Path) -> None:
    first, second = tiny("bert"), tiny("bert", num_hidden_layers=2)
    save(first, tmp_path / "model")
    save(second, tmp_path / "model")
    assert load(tmp_path / "model").config.num_hidden_layers == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_who_may_read_a_folder_may_read_its_weights(mask: int, tmp_path: Path) -> None:
    """A server may run under another user than the one who saved."""
    before = os.umask(mask)
    try:
        save(tiny("bert"), tmp_path / "model")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == dict.fromkeys(("config.json", "model.safetensors"), 0o666 & ~mask)


@pytest.mark.parametrize("name", ["notes.md", "config.json/inner"])
def test_other_folders_are_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="holds something else than a saved model"):
        save(tiny("bert"), tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_the_tokenizer_is_saved_beside_it(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "dog": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    for _ in range(2):
        save(tiny("bert"), tmp_path / "model", tokenizer)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert loaded("dog")["input_ids"] == tokenizer("dog")["input_ids"]
    assert load(tmp_path / "model").config.num_labels == 3


def test_a_full_disk_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("bert")
    save(model, tmp_path / "model")

    def full(_weights: object, path: Path, **_options: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weight_files, "save_file", full)
    with pytest.raises(UserError, match=r"cannot save the model there \(.*No space left on device\)"):
        save(tiny("bert", num_hidden_layers=2), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    batch = batch_for(model)
    loaded = load(tmp_path / "model", dtype=torch.float64)
    torch.testing.assert_close(logits(loaded, batch), logits(model, batch), rtol=0, atol=1e-10)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(UserError, match="cannot save the model there"):
            save(tiny("bert"), folder)


def test_the_models_own_configuration_stays(tmp_path: Path) -> None:
    model = tiny("bert")
    before = model.config.to_dict()
    save(model, tmp_path)
    assert model.config.to_dict() == before

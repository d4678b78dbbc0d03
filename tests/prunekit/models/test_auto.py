"""`import prunekit.auto` teaches transformers pruned models: Auto classes, pipelines, Trainer; on the Hub, too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    pipeline,
)

import prunekit
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, batch_for, logits, tiny
from tests.support.masks import uneven_masks
from tests.support.registration import registered
from tests.support.translators import TRANSLATORS, pairs_for, translator, uneven, word_logits


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def small() -> PreTrainedModel:
    model = tiny("bert", dtype=torch.float32)
    return prunekit.prune(model, uneven_masks(model))


@pytest.fixture(scope="module")
def folder(small: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "small"
    prunekit.save(small, path, demo_tokenizer())
    return path


@pytest.mark.slow
def test_the_library_alone_leaves_transformers_as_it_is() -> None:
    code = (
        "import sys, prunekit; prunekit.load; from transformers.models.auto.configuration_auto import CONFIG_MAPPING;"
        "assert 'prunekit-bert' not in CONFIG_MAPPING; import prunekit.auto;"
        "assert CONFIG_MAPPING['prunekit-bert'].model_type == 'prunekit-bert';"
        "sys.exit(any(name.startswith('transformers.models.bert.modeling') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_encoders_load_by_the_auto_classes(family: str, tmp_path: Path) -> None:
    model = tiny(family)
    small = prunekit.prune(model, uneven_masks(model))
    prunekit.save(small, tmp_path / "saved")
    small.save_pretrained(tmp_path / "written")  # as a Trainer does
    for name in ("saved", "written"):
        config = AutoConfig.from_pretrained(tmp_path / name)
        assert config.model_type == f"prunekit-{family}" and config.vocab_size == small.config.vocab_size
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / name)
        assert type(loaded) is type(small) and loaded.dtype == torch.float64 and not loaded.training
        assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))
    bare: Any = AutoModel.from_pretrained(tmp_path / "saved", dtype=torch.float32, attn_implementation="eager")
    assert bare.config._attn_implementation == "eager"
    assert type(bare) is type(small.base_model) and bare.dtype == torch.float32


@pytest.mark.parametrize("family", TRANSLATORS)
def test_translators_load_by_the_auto_classes(family: str, tmp_path: Path) -> None:
    small = prunekit.prune(model := translator(family), uneven(model))
    prunekit.save(small, tmp_path / "saved")
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(word_logits(loaded, pairs_for()), word_logits(small, pairs_for()))


def test_pipelines(small: PreTrainedModel, folder: Path) -> None:
    tokenizer = demo_tokenizer()
    texts = [" ".join(list(tokenizer.get_vocab())[5:11]), " ".join(list(tokenizer.get_vocab())[9:12])]
    answers: Any = pipeline("text-classification", model=str(folder), top_k=None)(texts)
    for text, answer in zip(texts, answers, strict=True):
        with torch.no_grad():
            expected = small(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
        scores = {item["label"]: item["score"] for item in answer}
        assert [scores[f"LABEL_{label}"] for label in range(3)] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_trainer_goes_on_from_its_checkpoint(small: PreTrainedModel, folder: Path, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    model = AutoModelForSequenceClassification.from_pretrained(folder)
    batch = batch_for(small) | {"labels": torch.tensor([0, 1, 2, 0])}
    rows = [{name: tensor[row] for name, tensor in batch.items()} for row in range(4)]
    options: dict[str, Any] = {
        "output_dir": str(tmp_path / "out"), "per_device_train_batch_size": 2, "use_cpu": True, "save_steps": 1,
        "disable_tqdm": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    Trainer(model, TrainingArguments(max_steps=1, **options), train_dataset=rows).train()
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "checkpoint-1")
    assert torch.equal(logits(trained, batch_for(small)), logits(model.eval(), batch_for(small)))
    assert not torch.equal(logits(trained, batch_for(small)), logits(small, batch_for(small)))
    trainer = Trainer(trained, TrainingArguments(max_steps=2, **options), train_dataset=rows)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-1"))
    assert trainer.state.global_step == 2


def test_a_new_model_of_a_recorded_shape(small: PreTrainedModel, folder: Path) -> None:
    new = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (new, small)]
    assert shapes[0] == shapes[1]
    name = "classifier.weight"
    assert not torch.equal(new.get_parameter(name), small.get_parameter(name))


def test_a_proxy_that_would_not_be_asked_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^from_pretrained: proxies is not known for pruned models; "):
        AutoModelForSequenceClassification.from_pretrained(folder, proxies={"https": "http://127.0.0.1:9"})


def test_labels_may_be_named_otherwise(small: PreTrainedModel, folder: Path) -> None:
    names = {0: "no", 1: "perhaps", 2: "yes"}
    loaded = AutoModelForSequenceClassification.from_pretrained(folder, id2label=names)
    assert loaded.config.id2label == names
    assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))


@pytest.mark.parametrize(
    ("loader", "options", "message"),
    [
        (AutoModelForQuestionAnswering, {}, "a pruned BertForSequenceClassification, which is no BertForQuestionAnsw"),
        (AutoModelForSequenceClassification, {"quantization_config": {}}, "quantization_config is not known for pru"),
        (AutoModelForSequenceClassification, {"device_map": "auto"}, "device_map is not known for pruned models"),
        (AutoModelForSequenceClassification, {"attn_implementation": "flash"}, "attention: 'flash' is unknown, use"),
        (AutoModelForSequenceClassification, {"num_labels": 7}, "labels"),
        (AutoModelForSequenceClassification, {"hidden_size": 32}, "config: hidden_size is 32, the folder has 16"),
    ],
)
def test_what_cannot_be_is_refused(loader: Any, options: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        loader.from_pretrained(folder, **options)
    assert "\n" not in str(raised.value)


def test_a_record_that_is_gone(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    del content["prunekit"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="the prunekit record is missing"):
        AutoModel.from_pretrained(tmp_path)

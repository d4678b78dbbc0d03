"""Fine-tuned models of the user's: what a run takes from them, and what it says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunekit.config.sections import Experiment, model_of_teacher
from prunekit.data.checked_rows import notice
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.forward.ablation import Ablation, ablate_heads
from prunekit.models import checkpoints
from prunekit.models.blocks import describe
from prunekit.models.families.table import FAMILIES
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.runs.own_teacher import with_the_teachers_model
from prunekit.support.devices import autocast
from prunekit.support.errors import UserError
from tests.support.commands import composed, perform, refused
from tests.support.families import tiny

LABELS = ["entailment", "neutral", "contradiction"]
SMALL = ["run.wandb=disabled", "task.train_rows=32", "task.evaluation_rows=32", "task.max_length=32"]
OTHERS = {
    "transfer": ["second.evaluation_rows=32"],
    "prune_heads": ["order=magnitude", "share=0.5"],
    "prune_fisher": ["tune=false", "calibration_examples=8", "repeats=1", "batch_sizes=[1]"],
    "compress": ["method=flap", "calibration_examples=8", "repeats=1", "batch_sizes=[1]"],
}


def saved(folder: Path, names: list[str] | None = None) -> str:
    """A small classifier that answers its first label to everything."""
    model = tiny("bert", dtype=torch.float32, vocab_size=len(demo_tokenizer()), pad_token_id=0, num_hidden_layers=2)
    bias = model.get_parameter("classifier.bias")
    bias.data[0] += 1000
    if names is not None:
        model.config.id2label = dict(enumerate(names))
    checkpoints.save(model, folder, tokenizer=demo_tokenizer())
    return str(folder)


@pytest.mark.parametrize("verb", ["ablate_heads", *(pytest.param(verb, marks=pytest.mark.slow) for verb in OTHERS)])
def test_outputs_without_names_that_are_no_better_than_one_answer(
    verb: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notice.cache_clear()
    arguments = [*SMALL, *OTHERS.get(verb, ["selection_examples=null"]), f"run.folder={tmp_path}/runs"]
    perform(verb, *arguments, f"teacher={saved(tmp_path / 'named', LABELS)}")
    assert "set id2label" not in caplog.text
    caplog.clear()
    perform(verb, *arguments, f"teacher={saved(tmp_path / 'numbered')}")
    lines = [record.message for record in caplog.records if "one answer to all" in record.message]
    assert len(lines) == (2 if verb == "transfer" else 1)  # of two evaluation sets
    assert lines[0] == (
        "the whole model's accuracy on 32 rows of task demo is 0.344, one answer to all gives 0.344: not "
        "significantly above that (95 % band from 0.204), so it judges no claim; its outputs have no names: "
        "if they are not in the order entailment, neutral, contradiction, set id2label in its config.json"
    )


def test_a_teacher_that_is_pruned_has_rows_of_its_own_heads(tmp_path: Path) -> None:
    """Of four heads a layer, three are left in the first and none in the second."""
    whole = checkpoints.load(saved(tmp_path / "whole", LABELS))
    masks = Masks.ones(describe(whole))
    masks.heads["self"][0, 1] = False
    masks.heads["self"][1] = False
    checkpoints.save(prune(whole, masks), tmp_path / "small", tokenizer=demo_tokenizer())
    arguments = [*SMALL, f"run.folder={tmp_path}/runs", f"teacher={tmp_path}/small"]
    record = perform("ablate_heads", *arguments, "selection_examples=20")
    tables = tmp_path / "runs" / "ablate_heads" / record["run_id"] / "tables"
    heads, layers = pd.read_csv(tables / "heads.csv"), pd.read_csv(tables / "layers.csv")
    assert list(zip(heads.layer, heads["head"], strict=True)) == [(0, 0), (0, 1), (0, 2)] * 2
    assert layers.layer.tolist() == [0, 0] and layers.protocol.tolist() == ["dev", "train"]
    assert (record["metrics"]["heads"], record["metrics"]["layers"]) == (3, 1)


@pytest.mark.parametrize("verb", ["prune_heads", "prune_fisher"])
def test_the_precision_that_was_asked_for_is_that_of_every_score_and_speed(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def watched(place: str) -> Any:
        def entered(device: Any, precision: str) -> Any:
            seen.append((place, precision))
            return autocast(device, precision)

        return entered

    places = ["evaluate", "speed"] if verb == "prune_fisher" else ["evaluate"]
    for place in places:
        monkeypatch.setattr(f"prunekit.evaluation.{place}.autocast", watched(place))
    teacher = f"teacher={saved(tmp_path / 'mine', LABELS)}"
    perform(verb, *SMALL, *OTHERS[verb], "dtype=bfloat16", f"run.folder={tmp_path}/runs", teacher)
    assert set(seen) == {(place, "bfloat16") for place in places}


SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
NAMED_BY = {
    "bert": "hidden_size num_hidden_layers num_attention_heads intermediate_size",
    "electra": "hidden_size num_hidden_layers num_attention_heads intermediate_size embedding_size",
    "albert": "hidden_size num_hidden_layers num_attention_heads intermediate_size embedding_size",
    "distilbert": "dim n_layers n_heads hidden_dim",
    "marian": "d_model encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads encoder_ffn_dim "
              "decoder_ffn_dim",
}  # fmt: skip
NAMED_BY |= {"bart": NAMED_BY["marian"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sizes_that_a_run_on_a_teacher_is_named_by(family: str, tmp_path: Path) -> None:
    """They are in its identity: others would be another run."""
    CONFIG_MAPPING[family]().save_pretrained(tmp_path)
    chosen = Experiment(teacher=str(tmp_path), model=model_of_teacher(str(tmp_path), "sdpa"))
    assert list(with_the_teachers_model(chosen).model.shape) == NAMED_BY.get(family, NAMED_BY["bert"]).split()


CURVE = [*SMALL, "order=magnitude", "share=0.5"]


def test_the_model_of_a_run_is_the_teachers(tmp_path: Path) -> None:
    teacher = saved(tmp_path / "mine", LABELS)
    arguments = [*CURVE, f"run.folder={tmp_path}/runs", f"teacher={teacher}"]
    record = perform("prune_heads", *arguments, "scale=small", "task=demo")
    own = {"name": "mine", "path": teacher, "family": "bert", "weights": "pretrained", "attention": "sdpa"}
    assert record["config"]["model"] == {**own, "shape": SHAPE}
    assert record["model"].items() >= {"name": "mine", "path": teacher, "family": "bert", "heads": 8}.items()
    assert set(record["input"]) == {"teacher"}
    folder = tmp_path / "runs" / "prune_heads" / record["run_id"]
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"] == record["config"]["model"]
    chosen = "model.shape={hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 24}"
    first = perform("prune_heads", *arguments)
    assert perform("prune_heads", *arguments, chosen)["run_id"] == first["run_id"]  # a model that is the teacher's


@pytest.mark.parametrize(
    ("verb", "choice", "line"),
    [
        (
            "prune_heads",
            "model=bert-base",
            "bert-base has hidden_size 768, teacher {} 16; leave it out, a teacher's",
        ),
        ("prune_heads", "model=roberta-base", "roberta-base is a roberta, teacher {} a bert; leave it out, a teacher"),
        ("latency_table", "model.shape.num_hidden_layers=3", "demo has hidden_size 64, teacher {} 16; leave it out"),
    ],
)
def test_a_model_that_contradicts_the_teacher(verb: str, choice: str, line: str, tmp_path: Path) -> None:
    teacher = saved(tmp_path / "mine", LABELS)
    told = refused(verb, *SMALL, choice, f"run.folder={tmp_path}/runs", f"teacher={teacher}")
    assert told.startswith(f"model: {line.format(teacher)}")
    assert not (tmp_path / "runs").exists()


def test_a_student_starts_from_the_model_that_was_chosen() -> None:
    given = ["teacher=nowhere/mine", "task=sst2", "scale=small", "student.start=pretrained"]
    assert composed("prune_cofi", *given).model.path == "sentence-transformers/all-MiniLM-L6-v2"
    assert composed("prune_cofi", *given[:3]).model == model_of_teacher("nowhere/mine", "sdpa")
    assert composed("prune_cofi", *given[:3], "model.attention=eager").model.attention == "eager"
    assert model_of_teacher("runs/finetune/0123/model", "sdpa").name == "0123"
    assert model_of_teacher("x" * 5000, "sdpa").path == "x" * 5000


def test_outputs_that_are_no_numbers_are_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = saved(tmp_path / "mine", LABELS)
    arguments = [*SMALL, "selection_examples=null", f"run.folder={tmp_path}/runs", f"teacher={teacher}"]

    def without_numbers(*given: Any, **how: Any) -> Ablation:
        found = ablate_heads(*given, **how)
        logits = {mode: values.clone() for mode, values in found.logits.items()}
        logits["one_off"][1, 2, 3, 0] = torch.nan
        return Ablation(found.baseline, logits)

    with monkeypatch.context() as patched:
        patched.setattr("prunekit.heads.effects.ablate_heads", without_numbers)
        with pytest.raises(UserError, match=r"^layer 1, head 2: the model's output is not finite in one_off"):
            perform("ablate_heads", *arguments)
    weights = load_file(f"{teacher}/model.safetensors")
    weights["classifier.bias"][1] = torch.nan
    save_file(weights, f"{teacher}/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"^row 0: the model's output is nan, as of 32 of 32 examples"):
        perform("ablate_heads", *arguments)
    assert not list((tmp_path / "runs" / "cache").rglob("*.safetensors"))

"""Verbs on tags: from a CoNLL file or generated sentences to a pruned model that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, pipeline

import prunekit
from experiments import export
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tags.generated import generate
from prunekit.evaluation.evaluate import evaluate
from prunekit.models.export.sessions import Session
from prunekit.runs.schema.answer_file import read_answers
from tests.support.commands import TINY, composed, perform
from tests.support.registration import registered

TAGS = [*TINY, "task=demo_tags", "task.vocabulary=300", "train.evaluation_examples=96"]
"""Small enough that a verb takes seconds."""
FEW = ["evaluation.examples=48"]


def conll(folder: Path, split: str, rows: int) -> Path:
    """A file as users have them, with a column between words and tags."""
    path = folder / f"{split}.conll"
    sentences = generate(split, rows)
    lines = ["-DOCSTART- -X- O", ""]
    for number, row in enumerate(sentences):
        lines += [f"# sentence {number}", *(f"{w} X {t}" for w, t in zip(row["tokens"], row["tags"], strict=True)), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def in_files(folder: Path) -> list[str]:
    files = [f"task.files.{name}={conll(folder, name, rows)}" for name, rows in (("train", 192), ("validation", 48))]
    labels = "task.labels=[O,B-PER,I-PER,B-ORG,I-ORG,B-LOC,I-LOC]"
    sizes = ["task.max_length=32", "task.vocabulary=300"]
    return [*TINY, "task=tags", *files, labels, *sizes, f"run.folder={folder}/runs"]


def test_from_a_conll_file_to_a_pruned_model_in_a_pipeline(tmp_path: Path) -> None:
    settings = in_files(tmp_path)
    record = perform("prune_fisher", *settings, *FEW, "constraint=0.5", "calibration_examples=48")
    metrics = record["metrics"]
    assert set(metrics["trivial"]) == {"entity_f1", "token_accuracy"}
    assert metrics["trivial"]["entity_f1"] == 0 and metrics["trivial"]["token_accuracy"] > 0.5
    assert metrics["remaining_macs"] <= 0.5
    home = tmp_path / "runs" / "prune_fisher" / record["run_id"]
    sheet = read_answers(home / "answers.npz")["evaluation"]
    assert sheet.answers.kind == "tags" and len(sheet.answers) == 48
    words = sum(len(row["tokens"]) for row in generate("validation", 48))
    assert sheet.answers.given["token_accuracy"][:, 1, 0].sum() == words

    export.perform(export.Export(source=str(home), out=str(tmp_path / "out")))
    model: Any = prunekit.load(tmp_path / "out")
    assert type(model).__name__ == "BertForTokenClassification"
    assert list(model.config.id2label.values())[:3] == ["O", "B-PER", "I-PER"]
    text = " ".join(generate("validation", 48)[0]["tokens"])
    with registered():
        answer: Any = pipeline("token-classification", model=str(tmp_path / "out"), ignore_labels=[])(text)
    inputs = AutoTokenizer.from_pretrained(tmp_path / "out")(text, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits[0, 1:-1].softmax(-1)
    assert [one["entity"] for one in answer] == [model.config.id2label[int(i)] for i in expected.argmax(-1)]
    np.testing.assert_allclose([one["score"] for one in answer], expected.amax(-1).numpy(), atol=1e-5)
    assert "token-classification" in (tmp_path / "out" / "README.md").read_text()


def of_itself(config: Any, record: dict[str, Any], heads: pd.DataFrame) -> None:
    """Every row of ``heads.csv`` is of the model with that gate shut, evaluated whole, sentence resamples in a loop."""
    home = Path(config.run.folder) / "finetune" / record["teacher"]["run_id"] / "model"
    model = prunekit.load(home)
    rows = load_rows(config.task, "validation").sample(config.evaluation.examples)
    examples = encode(rows, AutoTokenizer.from_pretrained(home))

    def evaluated() -> tuple[float, np.ndarray]:
        own = evaluate(config.task, model, examples, device=torch.device("cpu"))
        return own.metrics["entity_f1"], own.answers.given["entity_f1"][..., 0].astype(int)

    whole, before = evaluated()
    assert whole == heads.baseline.unique() == record["metrics"]["baseline"]
    assert heads.value.nunique() >= 3  # heads differ, so that no row passes for another
    generator = np.random.default_rng(config.seed)
    resamples = generator.integers(len(rows), size=(1000, len(rows)))
    row: Any
    for row in heads.itertuples():
        masks = prunekit.Masks.ones(prunekit.describe(model))
        own = masks.heads["self"][row.layer]
        own[:] = row.ablation == "one_off"
        own[row.head] = row.ablation == "all_but_one"
        with prunekit.gated(model, masks):
            value, after = evaluated()
        assert row.value == pytest.approx(value, abs=1e-12)
        assert row.delta == pytest.approx(value - whole, abs=1e-12)
        less = more = 0
        for drawn in resamples:
            (right, given, gold), (right0, given0, gold0) = after[drawn].sum(0), before[drawn].sum(0)
            change = right * (given0 + gold0) - right0 * (given + gold)  # of F1, 2 right / (given + gold)
            less, more = less + (change <= 0), more + (change >= 0)
        expected = min(1, 2 * (1 + min(less, more)) / 1001)
        assert row.p_value == pytest.approx(expected, abs=2.1 / 1001)  # a tie may round to either side


def test_heads_one_at_a_time_and_a_curve(tmp_path: Path) -> None:
    settings = [*TAGS, *FEW, f"run.folder={tmp_path}"]
    record = perform("ablate_heads", *settings)
    heads = pd.read_csv(tmp_path / "ablate_heads" / record["run_id"] / "tables" / "heads.csv")
    assert len(heads) == 8 and heads.p_value.between(0, 1).all() and set(heads.metric) == {"entity_f1"}
    of_itself(composed("ablate_heads", *settings), record, heads)
    curve = perform("prune_heads", *settings, "order=oracle", "grid=0.5")
    home = tmp_path / "prune_heads" / curve["run_id"]
    points = pd.read_csv(home / "tables" / "points.csv")
    assert points.value.iloc[0] == record["metrics"]["baseline"] == points.entity_f1.iloc[0]
    scores = pd.read_csv(home / "tables" / "scores.csv").sort_values(["layer", "head"])
    one_off = heads[heads.ablation == "one_off"].sort_values(["layer", "head"])
    np.testing.assert_allclose(scores.score, -one_off.delta, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "settings"),
    [
        ("prune_heads", ["grid=0.5", "order=importance", "importance_examples=48", "save=true"]),
        ("head_dynamics", ["grid=0.5", "train.epochs=2", "train.snapshots=[1,2]", "importance_examples=48"]),
        ("transfer", ["second=demo_tags", "task.evaluation=validation"]),
        ("time_inference", ["lengths=[16]", "batch_sizes=[1]", "repeats=1", "warmup=0", "importance_examples=48"]),
        ("compress", ["method=kprune", "constraint=0.6", "calibration_examples=48"]),
        ("compress", ["method=fisher", "constraint=0.6", "calibration_examples=48"]),
        ("prune_fisher", ["constraint=0.6", "calibration_examples=48", "labels=predicted"]),
        ("prune_fisher", ["constraint=0.6", "calibration_examples=48", "variant=released"]),
        ("prune_cofi", ["sparsity=0.6"]),
        ("prune_cofi", ["sparsity=0.6", "learn_from=labels", "matching=none"]),
        ("latency_table", ["repeats=1", "warmup=0", "stride=8"]),
        ("quantize", ["batch_sizes=[1]", "repeats=1", "warmup=0"]),
    ],
)
def test_every_verb_of_encoders_takes_tags(tmp_path: Path, verb: str, settings: list[str]) -> None:
    if verb == "prune_cofi":
        epochs = ("distil_epochs", "prune_epochs", "sparsity_epochs", "finetune_epochs")
        settings = [*settings, *(f"student.{name}=1" for name in epochs), "student.held_out=24"]
    evaluated = FEW if verb != "latency_table" else []
    record = perform(verb, *TAGS, *evaluated, *settings, f"run.folder={tmp_path}")
    assert record["status"] == "finished"
    if "metric" in record["metrics"]:
        assert record["metrics"]["metric"] == "entity_f1"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "padded", "onnx"])
def test_the_other_forms_of_export(tmp_path: Path, form: str) -> None:
    record = perform("finetune", *TAGS, f"run.folder={tmp_path}")
    home = tmp_path / "finetune" / record["run_id"]
    model = prunekit.load(home / "model")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[:, :8] = False
    if form == "padded":
        masks.neurons[0, 8] = False
    small = prunekit.prune(model, masks)
    tokenizer = AutoTokenizer.from_pretrained(home / "model")
    prunekit.export(small, tmp_path / "out", form, tokenizer=tokenizer)
    inputs = dict(tokenizer("they say Tomas works for Kelo .", return_tensors="pt"))
    with torch.no_grad():
        expected = small(**inputs).logits
    if form == "onnx":
        given = torch.from_numpy(next(iter(Session(tmp_path / "out" / "model.onnx")(inputs).values())))
    else:
        from transformers import AutoModelForTokenClassification

        loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
        with torch.no_grad():
            given = loaded(**inputs).logits
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=0)

"""Models that runs of the three methods left, taken away to an environment that has no prunekit."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

import prunekit
from tests.support.commands import TINY, TINY_STUDENT, called, perform
from tests.support.families import batch_for, logits, tiny
from tests.support.translators import pairs_for, translator, uneven

LOAD = """
import importlib.util, json, sys
from pathlib import Path
assert importlib.util.find_spec("prunekit") is None
import onnxruntime, torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification
folder, batch = Path(sys.argv[1]), json.loads(sys.argv[2])
answers = {}
for path in sorted(folder.iterdir()):
    if (path / "model.onnx").exists():
        session = onnxruntime.InferenceSession(path / "model.onnx")
        inputs = {item.name: torch.tensor(batch[item.name]).numpy() for item in session.get_inputs()}
        answers[path.name] = session.run(None, inputs)[0].tolist()
    else:
        translates = AutoConfig.from_pretrained(path).is_encoder_decoder
        auto = AutoModelForSeq2SeqLM if translates else AutoModelForSequenceClassification
        model = auto.from_pretrained(path).eval()
        with torch.no_grad():
            answers[path.name] = model(**{name: torch.tensor(value) for name, value in batch.items()}).logits.tolist()
print(json.dumps(answers))
"""

DECODE = """
import importlib.util, json, sys
from pathlib import Path
assert importlib.util.find_spec("prunekit") is None
import numpy, onnxruntime
folder, batch = Path(sys.argv[1]), {name: numpy.array(rows) for name, rows in json.loads(sys.argv[2]).items()}
encoder, decoder = (onnxruntime.InferenceSession(folder / f"{part}.onnx") for part in ("encoder", "decoder"))
hidden, words = encoder.run(None, batch)[0], numpy.array([[int(sys.argv[3])]])
for _ in range(5):
    given = {"encoder_hidden_states": hidden, "encoder_attention_mask": batch["attention_mask"]}
    scores = decoder.run(None, {"decoder_input_ids": words, **given})[0]
    words = numpy.concatenate([words, scores[:, -1:].argmax(-1)], 1)
print(json.dumps({"words": words.tolist(), "scores": scores.tolist()}))
"""
PIPE = """
import json, sys
import prunekit.auto
from transformers import pipeline
print(json.dumps(pipeline("text-classification", model=sys.argv[1], top_k=None)([sys.argv[2]])[0]))
"""

PRUNED = {
    "prune_heads": [*TINY, "order=importance", "share=0.5", "save=true"],
    "prune_fisher": [*TINY, "constraint=0.5"],
    "prune_cofi": TINY_STUDENT,
}
"""What each of the three methods is run with."""


def alike(model: PreTrainedModel) -> PreTrainedModel:
    """Equally many neurons of every layer, and one layer less: what plain is for."""
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[:, 1::3] = False
    masks.layers["self"][0] = masks.layers["ffn"][0] = False
    masks.skip_norms = True
    return prunekit.prune(model, masks)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a virtual environment with the packages of this one, but not the library."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages" / "others.pth"
    packages.write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def answers_elsewhere(python: Path, exported: Path, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of every exported folder, by its name, loaded by stock transformers or ONNX Runtime."""
    inputs = json.dumps({name: tensor.tolist() for name, tensor in batch.items()})
    done = subprocess.run(
        [python, "-c", LOAD, exported, inputs], capture_output=True, text=True, check=False, cwd=exported
    )
    assert done.returncode == 0, done.stderr
    return {name: torch.tensor(found) for name, found in json.loads(done.stdout.splitlines()[-1]).items()}


def assert_same(found: dict[str, Tensor], model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    expected = logits(model, batch)
    for answers in found.values():
        torch.testing.assert_close(answers, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def assert_near(answers: Tensor, model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    """As weights in 8 bits are, and no nearer."""
    expected = logits(model, batch)
    assert 1e-6 < float((answers - expected).abs().max() / expected.abs().max()) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("verb", PRUNED)
def test_models_of_the_three_methods_load_without_prunekit(
    verb: str, folder: Path, elsewhere: Path, tmp_path: Path
) -> None:
    record = perform(verb, *PRUNED[verb], f"run.folder={folder}")
    source = folder / verb / record["run_id"]
    formats = {"padded": ["format=padded"], "onnx": ["format=onnx"], "int8": ["format=onnx", "precision=int8"]}
    for name, words in formats.items():
        done = called("export", f"source={source}", *words, f"out={tmp_path / 'out' / name}")
        assert done.returncode == 0, done.stderr
    refused = called("export", f"source={source}", "format=plain", f"out={tmp_path / 'plain'}")
    assert refused.returncode == 2 and "stock bert has no such shape: " in refused.stderr
    small = prunekit.load(source / "model")
    batch = batch_for(small, rows=3, length=7, seed=5)
    batch["input_ids"] %= small.config.vocab_size
    found = answers_elsewhere(elsewhere, tmp_path / "out", batch)
    assert set(found) == set(formats)
    assert_near(found.pop("int8"), small, batch)
    assert_same(found, small, batch)


@pytest.mark.slow
@pytest.mark.parametrize("verb", PRUNED)
def test_models_of_the_three_methods_are_native_in_pipelines(verb: str, folder: Path, tmp_path: Path) -> None:
    """Where prunekit is, but nothing of it is called but an import."""
    record = perform(verb, *PRUNED[verb], f"run.folder={folder}")
    source = folder / verb / record["run_id"]
    done = called("export", f"source={source}", "format=native", f"out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    text = "a good film"
    piped = subprocess.run([sys.executable, "-c", PIPE, tmp_path / "out", text], capture_output=True, text=True,
                           check=False)  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    found = {row["label"]: row["score"] for row in json.loads(piped.stdout.splitlines()[-1])}
    small, tokenizer = prunekit.load(source / "model"), AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        expected = small(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
    labels: Any = small.config.id2label
    assert [found[labels[label]] for label in range(len(expected))] == pytest.approx(expected.tolist())


@pytest.mark.slow
def test_a_uniform_model_is_plain_without_prunekit(elsewhere: Path, tmp_path: Path) -> None:
    small = alike(tiny("bert", dtype=torch.float32))
    for name in ("plain", "padded"):
        prunekit.export(small, tmp_path / "out" / name, name)
    batch = batch_for(small, rows=3, length=7, seed=5)
    found = answers_elsewhere(elsewhere, tmp_path / "out", batch)
    assert set(found) == {"plain", "padded"}
    assert_same(found, small, batch)


@pytest.mark.slow
def test_a_uniform_search_is_plain_and_in_8_bits_without_prunekit(
    folder: Path, elsewhere: Path, tmp_path: Path
) -> None:
    own = [*TINY, "method=fisher", "constraint=0.9", "uniform=true", "all_heads=true", "calibration_examples=64",
           "batch_sizes=[1]", "repeats=1", f"run.folder={folder}"]  # fmt: skip
    source = folder / "compress" / perform("compress", *own)["run_id"]
    for name, words in (("plain", ["format=plain"]), ("int8", ["format=onnx", "precision=int8"])):
        done = called("export", f"source={source}", *words, f"out={tmp_path / 'out' / name}")
        assert done.returncode == 0, done.stderr
    small = prunekit.load(source / "model")
    assert small.num_parameters() == prunekit.load(tmp_path / "out" / "plain").num_parameters()
    batch = batch_for(small, rows=3, length=7, seed=5)
    batch["input_ids"] %= small.config.vocab_size
    found = answers_elsewhere(elsewhere, tmp_path / "out", batch)
    assert_same({"plain": found["plain"]}, small, batch)
    assert_near(found["int8"], small, batch)


@pytest.mark.slow
def test_a_translator_is_padded_without_prunekit(elsewhere: Path, tmp_path: Path) -> None:
    small = prunekit.prune(model := translator("marian", dtype=torch.float32), uneven(model))
    prunekit.export(small, tmp_path / "out" / "padded", "padded")
    batch = {**pairs_for(), "labels": pairs_for()["labels"].clamp(min=0)}
    assert_same(answers_elsewhere(elsewhere, tmp_path / "out", batch), small, batch)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "share"), [("float32", 1e-5), ("int8", 0.3)])
def test_a_translator_decodes_in_onnx_runtime_without_prunekit(
    precision: str, share: float, elsewhere: Path, tmp_path: Path
) -> None:
    """Word by word, as its card shows: the scores of every step are the pruned model's, given the same words."""
    small = prunekit.prune(model := translator("marian", dtype=torch.float32), uneven(model))
    prunekit.export(small, tmp_path / "out", "onnx", precision=precision)
    batch = {name: pairs_for()[name][:1] for name in ("input_ids", "attention_mask")}
    given = json.dumps({name: tensor.tolist() for name, tensor in batch.items()})
    first = str(small.config.decoder_start_token_id)
    done = subprocess.run(
        [elsewhere, "-c", DECODE, tmp_path / "out", given, first],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    words, scores = torch.tensor(found["words"]), torch.tensor(found["scores"])
    assert words.shape == (1, 6)
    with torch.no_grad():
        expected = small(**batch, decoder_input_ids=words[:, :-1]).logits
    apart = float((scores - expected).abs().max() / expected.abs().max())
    assert (0 if precision == "float32" else 1e-6) <= apart < share
    assert words[:, 1:].equal(scores.argmax(-1))

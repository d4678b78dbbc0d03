"""The verb `export`, and the Hub: folders that others load, uploaded to a server of this machine and loaded from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import prunekit
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.evaluation.row_answers import of_labels
from prunekit.models.export.hub import push
from prunekit.support.errors import UserError
from tests.support.commands import called
from tests.support.families import batch_for, logits, tiny
from tests.support.hub_server import TOKEN, Hub, hub
from tests.support.masks import uneven_masks
from tests.support.records import quantization
from tests.support.records.frame import DEMO, add_answers

ROOT = Path(__file__).parents[2]
LOGGED = ROOT / "analysis" / "logged_runs"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub() as running:
        running.large.part = 2**12
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned model's folder, with a tokenizer."""
    model = tiny("bert", dtype=torch.float32)
    folder = tmp_path_factory.mktemp("source") / "small"
    prunekit.save(prunekit.prune(model, uneven_masks(model)), folder, demo_tokenizer())
    return folder


def on_hub(server: Hub | None, home: Path, **more: str) -> dict[str, str]:
    """An environment in which that server is the Hub."""
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    own |= {"HF_ENDPOINT": server.url if server else "http://127.0.0.1:9", **more}
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_CACHE")}
    return kept | own | {"PYTHONPATH": str(ROOT)}


def exported(*words: str, environment: dict[str, str] | None = None) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "experiments.export", *words], capture_output=True, text=True, check=False, cwd=ROOT,
        env=environment,
    )  # fmt: skip


LOAD = """
import sys, json, torch, prunekit
name = sys.argv[1]
batch = {key: torch.tensor(value) for key, value in json.loads(sys.argv[2]).items()}
by_prunekit = prunekit.load(name)
import prunekit.auto
from transformers import AutoModelForSequenceClassification, AutoTokenizer
by_transformers = AutoModelForSequenceClassification.from_pretrained(name)
assert 30 < len(AutoTokenizer.from_pretrained(name)) <= by_transformers.config.vocab_size
by_transformers.push_to_hub("me/again")
again = AutoModelForSequenceClassification.from_pretrained("me/again")
with torch.no_grad():
    print(json.dumps([model(**batch).logits.tolist() for model in (by_prunekit, by_transformers, again)]))
    by_transformers.classifier.bias[0] += 1
by_transformers.push_to_hub("me/small")
by_transformers.save_pretrained("small", push_to_hub=True, repo_id="me/saved", private=True)
later = [AutoModelForSequenceClassification.from_pretrained(one) for one in ("me/small", "me/saved")]
with torch.no_grad():
    print(json.dumps([model(**batch).logits.tolist() for model in later]))
"""


@pytest.mark.slow
def test_a_model_goes_to_the_hub_and_comes_back(server: Hub, source: Path, tmp_path: Path) -> None:
    environment = on_hub(server, tmp_path / "home", HF_TOKEN=TOKEN)
    done = exported(f"source={source}", f"out={tmp_path / 'out'}", "push_to=me/small", environment=environment)
    assert done.returncode == 0, done.stderr
    assert f"{server.url}/me/small" in done.stdout
    files = server.repositories["me/small"]
    assert set(files) >= {"README.md", "config.json", "prunekit.safetensors", "tokenizer.json"}
    written = tmp_path / "out"
    assert all((written / name).read_bytes() == content for name, content in files.items() if "git" not in name)
    weights = hashlib.sha256((written / "prunekit.safetensors").read_bytes()).hexdigest()
    assert server.pointers["me/small"] == {"prunekit.safetensors": weights}
    sent = [request.partition("?")[0] for request in server.large.requests]
    assert len(sent) == len({*sent}) > 3, "several parts, and what joins them"
    assert sent[-1] == f"POST /joined/{weights}" and sent[0] == f"PUT /part/{weights}/1"
    small = prunekit.load(source)
    batch = batch_for(small)
    words = [sys.executable, "-c", LOAD, "me/small", json.dumps({key: value.tolist() for key, value in batch.items()})]
    back = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    first, second = (json.loads(line) for line in back.stdout.splitlines()[-2:])
    for answers in first:
        assert torch.equal(torch.tensor(answers), logits(small, batch))
    got = [request.partition("?")[0] for request in server.large.requests][len(sent) :]
    assert f"GET /whole/{weights}" in got and len(server.pointers["me/again"]) == 1
    other = torch.tensor(second)
    expected = logits(small, batch) + torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(other, torch.stack([expected, expected]))  # not the weights that were there before
    assert set(server.pointers["me/small"]) == {"model.safetensors"}
    for name in ("me/again", "me/saved"):
        card = server.repositories[name]["README.md"].decode()
        assert "# A pruned BertForSequenceClassification" in card and "More Information Needed" not in card
    assert b"# A pruned model" in server.repositories["me/small"]["README.md"], "its own card stays"
    done = exported(
        f"source={source}", f"out={tmp_path / 'padded'}", "push_to=me/small", "format=padded", environment=environment
    )
    assert done.returncode == 0, done.stderr
    padded = hashlib.sha256((tmp_path / "padded" / "model.safetensors").read_bytes()).hexdigest()
    assert server.pointers["me/small"] == {"model.safetensors": padded}
    done = exported(f"source={source}", f"out={tmp_path / 'out'}", "push_to=me/small", environment=environment)
    assert done.returncode == 0, done.stderr
    assert set(server.pointers["me/small"]) == {"prunekit.safetensors"}


@pytest.mark.parametrize(
    ("reachable", "token", "message"),
    [
        (True, "", "the token is missing, or may not write there|there is no token"),
        (True, "hf_wrong", "the token is missing, or may not write there"),
        (False, TOKEN, "the Hub cannot be reached"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_uploaded_is_on_disk(
    reachable: bool, token: str, message: str, server: Hub, source: Path, tmp_path: Path
) -> None:
    environment = on_hub(server if reachable else None, tmp_path / "home", HF_TOKEN=token)
    done = exported(f"source={source}", f"out={tmp_path / 'out'}", "push_to=me/none", environment=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    pattern = rf"^export: push_to: .*({message}).*; .*out has everything, try again with: hf upload me/none "
    assert re.search(pattern, done.stderr), done.stderr
    assert logits(prunekit.load(tmp_path / "out"), batch_for(prunekit.load(source))).shape == (4, 3)


def test_offline_is_one_line(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^push_to: the Hub cannot be reached .*hf upload me/small") as raised:
        push(source, "me/small")
    assert "--private" not in str(raised.value)
    again = r"try again with: hf upload me/small 'my folder' \. --private --delete model\.safetensors --delete .*onnx$"
    with pytest.raises(UserError, match=again):
        push("my folder", "me/small", private=True)


def test_the_card_of_a_logged_run(tmp_path: Path) -> None:
    """Everything but the weights, which no logged run has, is that of the record."""
    from experiments.cli.again import command_of
    from prunekit.models.export.card import Facts
    from prunekit.runs.model_facts import run_model

    run = next(iter(sorted((LOGGED / "prune_fisher").iterdir())))
    with pytest.raises(UserError, match=r"has no weights; they come back with: python -m experiments.prune_fisher sca"):
        run_model(str(run), command_of)
    with pytest.raises(UserError, match=r"has no weights; run it again, with run\.force=true$"):
        run_model(str(run))
    curve = next(iter(sorted((LOGGED / "prune_heads").iterdir())))
    own = r" save=true run\.force=true, which is another run and leaves the last point of its grid$"
    with pytest.raises(UserError, match=own):
        run_model(str(curve), command_of)
    copy = tmp_path / run.name
    (copy / "tables").mkdir(parents=True)
    for path in run.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(run)).write_bytes(path.read_bytes())
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    prunekit.save(small, copy / "model")
    facts: Facts = run_model(str(copy), command_of).facts
    assert "constraint=0.7" not in "".join(run_model(str(copy)).facts.sections.values())
    assert facts.pairs and facts.int8 is not None and not facts.int8.results
    assert "In 8 bits it was not measured" in facts.int8.sections["Score"]
    assert f"| it in float32 | {facts.results[0].metric_value:.4f} |" in facts.int8.sections["Score"]
    written = prunekit.export(small, tmp_path / "out", "padded", facts=facts)
    head, text = (written.folder / "README.md").read_text().split("\n---\n", 1)
    data = yaml.safe_load(head.removeprefix("---\n"))
    record = json.loads((run / "result.json").read_text())
    assert data["license"] == "apache-2.0" and data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert data["datasets"] == ["nyu-mll/glue"] and data["pipeline_tag"] == "text-classification"
    [result] = data["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == record["metrics"]["value"]
    assert (result["metrics"][0]["type"], result["metrics"][0]["name"]) == ("pearsonr", "pearson")
    assert record["metrics"]["metric"] == "pearson"
    assert (result["dataset"]["type"], result["dataset"]["config"]) == ("nyu-mll/glue", "stsb")
    assert text.index("## How to load") < text.index("## What it is") < text.index("## Files")
    for phrase in (
        f"| this model | {record['metrics']['value']:.4f} |", f"| its teacher | {record['metrics']['baseline']:.4f} |",
        "| calibration | nyu-mll/glue stsb | train | 2,048 | 5,749 |", "constraint=0.7", "Kwon et al. 2022",
        "Multiply-accumulates that are gone: 30.0%", "Measured in PyTorch on AMD EPYC, 1 thread, float32",
        record["git"]["commit"],
    ):  # fmt: skip
        assert phrase in text, phrase


def test_of_a_model_in_8_bits_the_one_that_was_trained_for_it_is_taken(tmp_path: Path) -> None:
    from prunekit.runs.model_facts import run_model

    answers = of_labels("classification", "ab", np.array([0, 1]), np.array([1, 1]))
    runs, scores = {}, {}
    for how in ("aware", "dynamic"):
        runs[how] = folder = quantization.run(tmp_path, DEMO, remaining=0.5, quantization=how)
        scores[how] = pd.read_csv(folder / "tables" / "stages.csv").set_index("stage").value
        add_answers(folder, *(({"stage": stage}, answers) for stage in scores[how].index))
        record = json.loads((folder / "result.json").read_text())
        record["config"]["task"]["source"] = "nyu-mll/glue"
        record["versions"] |= {"torch": "2", "transformers": "5"}
        (folder / "result.json").write_text(json.dumps(record))
    prunekit.save(tiny("bert", dtype=torch.float32), runs["aware"] / "model")
    given = run_model(str(runs["aware"] / "model"))
    assert given.path == str(runs["aware"] / "model")
    assert "; then trained for 8 bits (Q8BERT" in given.facts.sections["What it is"]
    trained, quantized = (f"{scores['aware'][stage]:.4f}" for stage in ("trained", "quantized"))
    assert f"| this model | {trained} |" in given.facts.sections["Score"] and trained != quantized
    int8 = given.facts.int8
    assert int8 is not None and f"| this model, in 8 bits | {quantized} |" in int8.sections["Score"]
    values = [f"{facts.results[0].metric_value:.4f}" for facts in (given.facts, int8)]
    assert values == [trained, quantized]
    assert "| 1 | 53 | 1.82 | 1.50 | 2.73 |" in int8.sections["Speed"]
    with pytest.raises(UserError, match=r"leaves graphs alone, in .*/onnx; give the run whose model was quantised$"):
        run_model(str(runs["dynamic"]))
    pruned = min((LOGGED / "compress").iterdir())
    copy = tmp_path / "compress" / pruned.name
    shutil.copytree(pruned, copy)
    prunekit.save(tiny("bert", dtype=torch.float32), copy / "model")
    facts = run_model(str(copy)).facts
    assert facts.int8 is not None and not facts.int8.results and "was not measured" in facts.int8.sections["Score"]
    record = json.loads((runs["dynamic"] / "result.json").read_text())
    own = json.loads((pruned / "result.json").read_text())
    fitting = {"finished": own["finished"], "data": own["data"]}
    record["model"]["pruned_run"] = f"compress/{pruned.name}"
    for other in ({"finished": "2026-01-01T00:00:00+00:00"}, {"data": record["data"]}):  # before it, of other rows
        (runs["dynamic"] / "result.json").write_text(json.dumps(record | fitting | other))
        unmeasured = run_model(str(copy)).facts.int8
        assert unmeasured is not None and not unmeasured.results
    (runs["dynamic"] / "result.json").write_text(json.dumps(record | fitting))
    facts = run_model(str(copy)).facts
    assert facts.int8 is not None and facts.int8.results[0].metric_value == scores["dynamic"]["quantized"]
    assert "| batch | tokens | pruned | in 8 bits | both |" in facts.int8.sections["Speed"]
    assert "its teacher, ms" in facts.sections["Speed"]
    assert "|\n\nThe speed-up is the median of the turns' quotients, not the quotient of" in facts.sections["Speed"]
    assert "turns" not in facts.int8.sections["Speed"]


def test_names_in_a_card_are_no_markup(tmp_path: Path) -> None:
    from prunekit.runs.model_facts import run_model

    copy = tmp_path / "run"
    shutil.copytree(next(iter(sorted((LOGGED / "prune_fisher").iterdir()))), copy)
    record = json.loads((copy / "result.json").read_text())
    odd = "<script>alert(1) ![x](http:host) a|b"
    record["model"] |= {"name": odd, "path": odd}
    record["teacher"] |= {"run_id": None, "path": odd}
    record["data"][0] |= {"source": odd, "split": odd}
    (copy / "result.json").write_text(json.dumps(record))
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    prunekit.save(small, copy / "model")
    written = prunekit.export(small, tmp_path / "out", facts=run_model(str(copy)).facts)
    text = (written.folder / "README.md").read_text().split("\n---\n", 1)[1]
    assert text.count("&lt;script>") == 5 and "<script" not in text and "](http" not in text.replace("\\](", "")
    [row] = [line for line in text.splitlines() if line.startswith(f"| {record['data'][0]['role']} |")]
    assert row.count("|") - row.count("\\|") == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=tflite", "source=x"], "format"),
        ([], "source: give the folder of a run or of a saved model"),
        (["source=x", "precision=int8"], "precision: int8 is of format=onnx"),
        (["source=x", "push_to=name"], "push_to: 'name' is no repository, give NAME/REPOSITORY"),
        (["source=x", "private=true"], "private: is about the repository of push_to"),
    ],
)
def test_bad_settings(words: list[str], message: str, tmp_path: Path) -> None:
    done = called("export", *words, f"out={tmp_path / 'out'}")
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_line(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    for words, message in (
        ([f"out={tmp_path / 'new'}", "format=plain"], r"format: stock bert has no such shape: .* by layer .*all_heads"),
        ([f"out={tmp_path / 'out'}"], "out: holds something else than a saved model; give a new folder"),
    ):
        done = called("export", f"source={source}", *words)
        assert done.returncode == 2 and re.search(message, done.stderr) and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]


def test_sources_that_are_none(tmp_path: Path) -> None:
    from prunekit.runs.model_facts import run_model

    other = next(iter(sorted((LOGGED / "transfer").iterdir())))
    with pytest.raises(UserError, match="is a run of transfer, which leaves no model; right would be finetune, "):
        run_model(str(other))
    with pytest.raises(UserError, match=r"^source: \S+/transfer is a folder of runs; give one of them, such as \S+/"):
        run_model(str(other.parent))
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="is a run that is not finished; the command that began it goes on"):
        run_model(str(tmp_path))


def test_a_card_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    from experiments.cli.again import command_of
    from prunekit.runs.model_facts import run_model

    copy = tmp_path / "run"
    shutil.copytree(next(iter(sorted((LOGGED / "prune_fisher").iterdir()))), copy)
    record = json.loads((copy / "result.json").read_text())
    gone, rows = "/home/me/gone/teacher", "/home/me/rows"
    record["config"] |= {"teacher": gone, "run": {**record["config"]["run"], "folder": "/home/me/runs"}}
    record["config"]["task"]["source"] = rows
    record["config"]["model"]["path"] = record["model"]["path"] = gone
    record["teacher"] |= {"run_id": None, "path": gone}
    for item in record["data"]:
        item["source"] = f"{rows} stsb"
    (copy / "result.json").write_text(json.dumps(record))
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    prunekit.save(small, copy / "model")
    written = prunekit.export(small, tmp_path / "out", facts=run_model(str(copy), command_of).facts)
    text = (written.folder / "README.md").read_text()
    assert "/home" not in text and "base_model" not in text and "datasets" not in text and "license: unknown" in text
    for phrase in ("- Base model: teacher.", "- Teacher: teacher, ", "| rows stsb | train |", "teacher=teacher"):
        assert phrase in text, phrase


def test_a_run_is_not_exported_while_it_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments import export
    from prunekit.runs.finished import lock_of

    run = tmp_path / "prune_fisher" / "ab"
    shutil.copytree(next(iter(sorted((LOGGED / "prune_fisher").iterdir()))), run)
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    prunekit.save(small, run / "model", demo_tokenizer())
    lock = lock_of(tmp_path, "prune_fisher", "ab")
    lock.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    held: list[str] = []

    def tried(name: str, result: Any) -> Any:
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(lock).acquire(timeout=0)
        held.append(name)
        return result

    load = prunekit.load
    monkeypatch.setattr("prunekit.load", lambda path: tried("weights", load(path)))
    monkeypatch.setattr("experiments.export.pictures", lambda run: tried("pictures", {}))
    export.perform(export.Export(source="prune_fisher/ab", out="out"))
    assert held == ["weights", "pictures"] and (tmp_path / "out" / "README.md").is_file()
    filelock.FileLock(lock).acquire(timeout=0)


def test_a_model_on_the_hub_may_have_no_tokenizer(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunekit.models import weight_files
    from prunekit.models.export.card import Facts
    from prunekit.runs.model_facts import RunModel

    monkeypatch.setattr(weight_files, "cached_file", lambda path, name, **_: None)
    assert RunModel("me/small", Facts()).tokenizer() is None
    monkeypatch.undo()
    assert RunModel(str(source), Facts()).tokenizer() is not None
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match=r"^source: no tokenizer can be loaded from "):
        RunModel(str(tmp_path), Facts()).tokenizer()


def test_graphs_on_the_hub_are_no_model_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.models import weight_files

    found = {"config.json", "encoder.onnx", "decoder.onnx"}
    monkeypatch.setattr(weight_files, "cached_file", lambda path, name, **_: name if name in found else None)
    with pytest.raises(UserError, match=r"^me/graphs: an export for ONNX Runtime, which runs encoder\.onnx and "):
        weight_files.check_weight_files("me/graphs")
    found.clear()
    weight_files.check_weight_files("me/none")  # the Hub says so itself


def test_a_card_has_a_picture_of_what_any_method_kept(tmp_path: Path) -> None:
    from experiments.export import pictures

    def names(run: Path) -> list[str]:
        drawn = pictures(run)
        assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in drawn.values())
        return sorted(drawn)

    [compressed] = sorted((LOGGED / "compress").iterdir())[:1]
    assert names(compressed) == ["kept.png"]
    assert names(min((LOGGED / "prune_fisher").iterdir()))[0].startswith("kwon_kept")
    assert names(min((LOGGED / "finetune").iterdir())) == [] == sorted(pictures(None))
    configs = sorted(LOGGED.glob("prune_heads/*/config.yaml"))
    for order in ("random", "oracle"):
        run = next(path.parent for path in configs if f"\norder: {order}\n" in path.read_text())
        assert names(run) == ["kept.png"]
    shutil.copytree(compressed, tmp_path / "compress" / compressed.name)
    quantized = quantization.run(tmp_path, DEMO, remaining=0.5, quantization="aware")
    add_answers(quantized, *(
        ({"stage": stage}, of_labels("classification", "ab", np.array([0, 1]), np.array([1, 1])))
        for stage in pd.read_csv(quantized / "tables" / "stages.csv").stage
    ))  # fmt: skip
    assert names(quantized) == []
    record = json.loads((quantized / "result.json").read_text())
    record["model"]["pruned_run"] = f"compress/{compressed.name}"
    (quantized / "result.json").write_text(json.dumps(record))
    assert names(quantized) == ["kept.png"]
    quantized.rename(tmp_path / "archive")  # its files were moved to another disk
    quantized.symlink_to(tmp_path / "archive")
    assert names(quantized) == ["kept.png"]

"""What a run leaves beside its record, and whether it is still there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from prunekit.config.method_names import NAMES
from prunekit.evaluation.row_answers import AnswerSheet, of_labels
from prunekit.methods.common import registry
from prunekit.runs.cards.measured import Score, result_of, run_in_8_bits, score_of, speed_lines
from prunekit.runs.cards.method_in_words import method_in_words
from prunekit.runs.cards.names import for_others, on_hub, shown
from prunekit.runs.model_facts import LICENCES, facts_of, weights_gone
from prunekit.runs.schema.answer_file import FILE, write_answers
from prunekit.runs.schema.seconds import LATENCIES
from prunekit.support.statistics import bootstrap_counts
from tests.support.records import quantization
from tests.support.records.frame import DEMO

ROOT = Path(__file__).parents[3]
WEIGHTS = "model/prunekit.safetensors"


@pytest.mark.parametrize(
    ("verb", "config", "files"),
    [
        ("finetune", {}, ["model/config.json", WEIGHTS]),
        ("prune_fisher", {}, ["model/config.json", WEIGHTS]),
        ("prune_cofi", {}, ["model/config.json", WEIGHTS]),
        ("compress", {}, ["model/config.json", WEIGHTS]),
        ("prune_heads", {"save": True}, ["model/config.json", WEIGHTS]),
        ("prune_heads", {"save": False}, []),
        ("quantize", {"quantization": "dynamic"}, ["onnx/int8/model.onnx"]),
        ("quantize", {"quantization": "aware"}, ["onnx/int8/model.onnx", "model/config.json", WEIGHTS]),
        ("quantize", {"quantization": "aware"}, [WEIGHTS, "model/config.json", "onnx/int8/model.onnx"]),
        ("ablate_heads", {}, []),
        ("latency_table", {}, []),
    ],
)
def test_weights_are_gone_where_any_that_were_left_are(
    tmp_path: Path, verb: str, config: dict[str, Any], files: list[str]
) -> None:
    record = {"verb": verb, "config": config}
    assert weights_gone(record, tmp_path) == bool(files)
    for number, name in enumerate(files, 1):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        assert weights_gone(record, tmp_path) == (number < len(files))


@pytest.mark.parametrize(
    ("verb", "config", "words"),
    [
        ("finetune", {}, "Fine-tuned, not pruned"),
        ("prune_heads", {"order": "random", "retrain_steps": 5},
         "Heads, one after another, at random, trained for 5 steps after each step of pruning"),
        ("prune_heads", {"order": "importance"}, "Heads, one after another, by importance (Michel et al. 2019)"),
        ("prune_fisher", {"score": "fisher", "rearrange": True, "tune": True},
         "Heads and neurons by Fisher information (Fisher pruning, Kwon et al. 2022), rearranged and tuned, without "
         "training"),
        ("prune_fisher", {"score": "random", "rearrange": False, "tune": False},
         "Heads and neurons at random, as the search left them, without training"),
        ("prune_fisher", {"score": "magnitude", "rearrange": False, "tune": True, "variant": "released"},
         "Heads and neurons by weight magnitude, tuned, without training, as the authors' code does it"),
        ("compress", {"method": {"name": "flap"}},
         "Heads and neurons by fluctuations of inputs (FLAP, An et al. 2024), refined by swap, tuned by scales, "
         "without training"),
        ("compress", {"method": {"name": "mine"}},
         "Heads and neurons by mine, refined by swap, tuned by scales, without training"),
        ("prune_cofi", {"structure": "learned", "units": ["heads", "neurons"], "variant": "released"},
         "Heads and neurons by learned masks (CoFi, Xia et al. 2022), as the authors' code does it; distilled"),
        ("prune_cofi", {"structure": "dense"},
         "A small model, not pruned: a baseline of CoFi (Xia et al. 2022); distilled"),
        ("prune_cofi", {"structure": "layers", "learn_from": "labels"},
         "Whole layers gone, no unit chosen: a baseline of CoFi (Xia et al. 2022); trained on labels"),
        ("prune_cofi", {"structure": "fisher"},
         "Heads and neurons by Fisher information (Fisher pruning, Kwon et al. 2022); distilled"),
        ("quantize", {"quantization": "aware", "remaining": 1.0},
         "Not pruned; trained for 8 bits (Q8BERT, Zafrir et al. 2019)"),
        ("quantize", {"quantization": "trained", "remaining": 0.5},
         "Heads and neurons by Fisher information (Fisher pruning, Kwon et al. 2022); distilled; then trained as long "
         "as a model that is trained for 8 bits, without them: its control"),
    ],
)  # fmt: skip
def test_a_card_names_the_method_that_made_the_model(verb: str, config: dict[str, Any], words: str) -> None:
    record = {"verb": verb, "config": config, "model": {}, "metrics": {"refine": "swap", "refit": "scales"}}
    assert method_in_words(record) == words


def test_the_run_that_was_quantised_says_how_it_was_pruned(tmp_path: Path) -> None:
    config = {"quantization": "aware", "source": "prune_cofi/ab", "remaining": 1.0}
    record = {"verb": "quantize", "config": config, "model": {"pruned_run": "prune_cofi/ab"}, "metrics": {}}
    then = "; then trained for 8 bits (Q8BERT, Zafrir et al. 2019)"
    assert method_in_words(record, tmp_path) == f"Pruned by run prune_cofi/ab{then}"
    (tmp_path / "prune_cofi" / "ab").mkdir(parents=True)
    own = {"verb": "prune_cofi", "config": {"structure": "magnitude"}, "model": {}, "metrics": {}}
    (tmp_path / "prune_cofi" / "ab" / "result.json").write_text(json.dumps(own))
    words = "Heads and neurons by weight magnitude; distilled (run prune_cofi/ab)"
    assert method_in_words(record, tmp_path) == f"{words}{then}"


def test_the_runs_around_one_are_found_from_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = quantization.run(tmp_path, DEMO, quantization="aware")
    record = json.loads((folder / "result.json").read_text())
    record["versions"] |= {"torch": "2", "transformers": "5"}
    record["config"]["source"] = record["model"]["pruned_run"] = "compress/ab"
    record["config"]["task"]["source"] = "demo"
    own = {"verb": "prune_cofi", "config": {"structure": "dense"}, "model": {}, "metrics": {}}
    (tmp_path / "compress" / "ab").mkdir(parents=True)
    (tmp_path / "compress" / "ab" / "result.json").write_text(json.dumps(own))
    monkeypatch.chdir(folder.parent)
    for linked in (False, True):
        if linked:  # as where its files were moved to another disk
            folder.rename(tmp_path / "archive")
            folder.symlink_to(tmp_path / "archive")
        for source in (folder.name, f"../quantize/{folder.name}", str(folder)):
            what = facts_of(Path(source), record, None).sections["What it is"]
            assert "- Method: A small model, not pruned: a baseline of CoFi (Xia et al. 2022); distilled (run " in what


def test_methods_are_cited_as_they_cite_themselves() -> None:
    cited = {name: NAMES[name].paper for name in registry.names() if name in NAMES and NAMES[name].paper}
    for name, paper in cited.items():
        assert registry.method(name, {}).paper.startswith(paper)
    assert sorted(cited) == ["fisher", "flap", "kprune", "ziplm"]


def test_a_fine_tuned_model_has_an_interval_from_its_answers() -> None:
    runs = Path(__file__).parents[3] / "analysis" / "logged_runs" / "finetune"
    scores = {
        folder.name: score_of(folder, json.loads((folder / "result.json").read_text()))
        for folder in sorted(runs.iterdir()) if (folder / "answers.npz").exists()
    }  # fmt: skip
    assert len(scores) >= 2
    for score in scores.values():
        assert score is not None and score.low is not None and score.high is not None
        assert score.low < score.value < score.high and 0.01 < score.high - score.low < 0.1


def test_a_name_is_the_hubs_if_it_was_no_folder_when_the_run_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, files = {"path": "teachers/mine"}, {"train": "data/train.csv", "test": None}
    config = {"run": {"folder": "/home/me/runs"}, "teacher": "teachers/mine", "model": model, "source": "compress/ab",
              "task": {"source": "files", "files": files}}  # fmt: skip
    hashes = {"teacher": "sha256:1", "task.files.train": "sha256:2", "source": "sha256:3"}
    record = {"config": config, "input": hashes, "model": {}}
    assert [on_hub(record, name) for name in ("teachers/mine", "teachers/other", "bert", "data/train.csv")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not any(on_hub({"config": config}, name) for name in ("/home/me/mine", "./mine", "a/b/c", "~/x", "a b"))
    assert on_hub({"config": config}, "teachers/mine")  # nothing was read here
    (tmp_path / "teachers" / "mine").mkdir(parents=True)
    assert not on_hub({"config": config}, "teachers/mine")
    assert not on_hub({"config": config, "schema": 1}, "teachers/mine")
    assert on_hub({"config": config, "schema": 2}, "teachers/mine")  # it was cloned here after the run
    assert not on_hub({**record, "schema": 2}, "teachers/mine") and not on_hub({**record, "schema": 2}, "./mine")
    assert [shown(record, name) for name in ("/home/me/gone/teacher", "me/teacher")] == ["teacher", "me/teacher"]
    told = for_others(record)["config"]
    assert (told["teacher"], told["model"]["path"], told["source"]) == ("mine", "mine", "compress/ab")
    assert told["task"]["files"] == {"train": "train.csv", "test": None} and told["run"] == {}
    assert config["teacher"] == "teachers/mine" and config["run"] == {"folder": "/home/me/runs"}


@pytest.mark.parametrize(
    ("source", "pruned", "expected"),
    [
        ("compress/ab", None, "compress/ab"),
        ("/data/runs/finetune/ab", None, "finetune/ab"),
        ("../runs/prune_cofi/ab/model", None, "prune_cofi/ab"),
        ("ab", None, "ab"),
        ("/archive/moved", "prune_cofi/ab", "prune_cofi/ab"),
    ],
)
def test_a_run_is_named_so_that_others_find_it_among_theirs(source: str, pruned: str | None, expected: str) -> None:
    record = {"config": {"source": source}, "input": {"source": "sha256:1"}, "model": {"pruned_run": pruned}}
    assert for_others(record)["config"]["source"] == expected


def test_licences_are_of_whole_names() -> None:
    licences = {name: licence for licence, names in LICENCES.items() for name in names}
    presets = [yaml.safe_load(path.read_text()).get("path") for path in (ROOT / "conf" / "model").glob("*.yaml")]
    assert len({*filter(None, presets)}) == 9 and {*filter(None, presets)} <= {*licences}
    assert licences["Helsinki-NLP/opus-mt-en-fr"] == "apache-2.0" and licences["FacebookAI/roberta-base"] == "mit"


def test_only_what_disturbed_the_timing_is_told(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "latency.csv").write_text("batch_size,length,dense_ms,pruned_ms,speedup\n1,9,2,1,2\n")
    device = {"name": "CPU", "threads": 1, "dtype": "float32"}
    for disturbed in LATENCIES:
        quiet = {"search": {"disturbed": True}, "evaluate dense": {"disturbed": True}, disturbed: {"disturbed": False}}
        told = [*speed_lines(tmp_path, {"device": device, "quiet": quiet})]
        assert "| 1 | 9 | 2.00 | 1.00 | 2.00 |" in told and "Other processes" not in told[-1]
        quiet[disturbed] = {"disturbed": True}
        told = [*speed_lines(tmp_path, {"device": device, "quiet": quiet})]
        assert told[-1] == "Other processes were at work on that machine meanwhile."


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        ({"source": "nyu-mll/glue", "subset": "cola", "labels": ["a", "b"]}, "matthews",
         ("text-classification", "nyu-mll/glue", "matthews_correlation")),
        ({"source": "demo", "labels": ["a", "b"]}, "accuracy", ("text-classification", "mine", "accuracy")),
        ({"source": "nyu-mll/glue"}, "pearson", ("text-classification", "nyu-mll/glue", "pearsonr")),
        ({"source": "files", "tags": True}, "entity_f1", ("token-classification", "mine", "f1")),
        ({"source": "/data/squad", "questions": True}, "answer_f1", ("question-answering", "mine", "f1")),
        ({"source": "sacrebleu", "subset": "wmt14", "translation": True}, "bleu", ("translation", "mine", "bleu")),
    ],
)  # fmt: skip
def test_results_are_in_the_words_of_the_hub(task: dict[str, Any], metric: str, expected: tuple[str, ...]) -> None:
    data = [{"role": "evaluation", "name": "Mine", "split": "test"}]
    record = {"config": {"task": {"name": "mine", **task}}, "data": data}
    result = result_of(record, Score(metric, 0.5, None, None))
    assert (result.task_type, result.dataset_type, result.metric_type) == expected
    assert (result.metric_name, result.metric_value, result.dataset_split) == (metric, 0.5, "test")


def test_a_translators_languages_are_its_columns(tmp_path: Path) -> None:
    def languages(columns: list[str], **task: Any) -> Any:
        record = translation_record(columns, **task)
        (tmp_path / "runs" / "finetune" / "ab").mkdir(parents=True, exist_ok=True)
        return facts_of(tmp_path / "runs" / "finetune" / "ab", record, None).metadata.get("language")

    assert languages(["en", "de"]) == ["en", "de"] and languages(["translation.en", "translation.fr"]) == ["en", "fr"]
    assert languages(["source", "target"]) is None and languages(["en", "target"]) is None
    assert languages(["en", "de"], translation=False) is None


def translation_record(columns: list[str], **task: Any) -> dict[str, Any]:
    own = {"name": "pairs", "source": "demo", "columns": columns, "translation": True, "metrics": ["bleu"], **task}
    return {
        "verb": "finetune", "run_id": "ab", "finished": "2026-01-01T00:00", "config": {"task": own}, "metrics": {},
        "model": {"name": "m", "path": None, "family": "marian", "parameters": 9}, "sparsity": {}, "teacher": None,
        "data": [{"role": "evaluation", "source": "demo", "split": "test", "rows": 2, "rows_available": 2}],
        "versions": {"torch": "2", "transformers": "5"}, "git": {"commit": "ab"},
        "device": {"name": "CPU", "threads": 1, "dtype": "float32"},
    }  # fmt: skip


def test_the_interval_of_f1_holds_95_of_100_resamples(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    gold, given = random.integers(0, 2, 80), random.integers(0, 2, 80)
    sheet = AnswerSheet(({"stage": "dense"},), of_labels("classification", "ab", gold, given))
    write_answers(tmp_path / FILE, {"evaluation": sheet})
    drawn = []
    for counts in bootstrap_counts(80).astype(int):
        own, wanted = np.repeat(given, counts), np.repeat(gold, counts)
        drawn.append(2 * (own & wanted).sum() / (own.sum() + wanted.sum()))
    record = {"verb": "finetune", "config": {"task": {"metrics": ["f1"]}}, "metrics": {"f1": 0.5}}
    score = score_of(tmp_path, record)
    assert score is not None and (score.metric, score.value) == ("f1", 0.5)
    assert (score.low, score.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=1e-12)


def test_a_fine_tuned_model_in_8_bits_is_that_of_the_newest_run_on_the_same_rows(tmp_path: Path) -> None:
    """Of the model as it is now: one that was there before it was trained again, pruned, or asked for other rows is
    another."""

    def measured(finished: str, *, rows: str = "sha256:ab", remaining: float = 1.0, teacher: str = "t0") -> str:
        folder = quantization.run(tmp_path, DEMO, remaining=remaining, decay=len([*tmp_path.rglob("result.json")]))
        result = json.loads((folder / "result.json").read_text())
        result |= {"finished": finished, "teacher": {"run_id": teacher}}
        result["data"][0]["fingerprint"] = rows
        (folder / "result.json").write_text(json.dumps(result))
        return folder.name

    own = {"verb": "finetune", "run_id": "t0", "finished": "2026-03-02",
           "data": [{"role": "evaluation", "fingerprint": "sha256:ab"}]}  # fmt: skip
    measured("2026-03-01")
    measured("2026-03-09", rows="sha256:cd")
    measured("2026-03-09", remaining=0.5)
    measured("2026-03-09", teacher="t1")
    assert run_in_8_bits(tmp_path / "finetune" / "t0", own) is None
    for finished, newest in (("2026-03-04", True), ("2026-03-05", True), ("2026-03-03", False)):
        name = measured(finished)
        found = run_in_8_bits(tmp_path / "finetune" / "t0", own)
        assert found is not None and (found[0].name == name) == newest
    (tmp_path / "archive").mkdir()
    (tmp_path / "finetune").mkdir()
    (tmp_path / "finetune" / "t0").symlink_to(tmp_path / "archive")
    assert found == run_in_8_bits(tmp_path / "finetune" / "t0", own)

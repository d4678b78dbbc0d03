"""Bad data, settings and disks met by a running verb: one line, and nothing that passes for a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.support.errors import UserError
from tests.support.commands import TINY, called, composed, perform

WORDS = [" ".join(("cat", "dog")[number >> bit & 1] for bit in range(6)) for number in range(64)]
GOOD = "text,label\n" + "".join(f"{text},{number % 2}\n" for number, text in enumerate(WORDS))
STRANGE = "text,label\n" + "".join(f"row {number},{number % 2}\n" for number in range(64))


def own_files(folder: Path, train: str = GOOD) -> list[str]:
    (folder / "train.csv").write_text(train)
    (folder / "dev.csv").write_text(GOOD)
    files = [f"task.files.train={folder}/train.csv", f"task.files.validation={folder}/dev.csv"]
    return [*TINY, "task=files", *files, "task.columns=[text]", "task.max_length=16", f"run.folder={folder}/runs"]


def refused(verb: str, folder: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as told:
        perform(verb, *overrides)
    assert not list(folder.rglob("result.json"))
    assert not list(folder.rglob("*.tmp"))
    assert "\n" not in str(told.value)
    return str(told.value)


def test_own_files_from_the_command_line(tmp_path: Path) -> None:
    record = perform("finetune", *own_files(tmp_path))
    assert [(item["role"], item["source"], item["rows"]) for item in record["data"]] == [
        ("train", "files: train.csv, dev.csv", 64),
        ("evaluation", "files: train.csv, dev.csv", 64),
    ]


@pytest.mark.parametrize(
    ("train", "override", "line"),
    [
        (GOOD, "task.columns=[txt]", "files train: no column 'txt', did you mean 'text'? (columns: text, label)"),
        (GOOD, "task.evaluation=dev", "split 'dev': task.files has train, validation, add +task.files.dev=PATH"),
        ("text,label\na,7\n", "seed=0", "files train, row 0: label 7 is out of range, right would be 0=negative, 1="),
        ("text,label\n", "seed=0", "files train: the split is empty"),
        (STRANGE, "seed=0", "the built-in tokenizer does not know 100% of the words of task files; it has those of the "
                            "built-in data alone, choose scale=small, or a model that has a tokenizer (as model="),
        (GOOD, "task.max_length=33", "task.max_length: 33 is more than the 32 positions of this model, give "
                                     "task.max_length=32 or less; for other than the built-in data choose scale=small"),
    ],
)  # fmt: skip
def test_own_files_that_are_not_as_told(tmp_path: Path, train: str, override: str, line: str) -> None:
    told = refused("prune_heads", tmp_path, *own_files(tmp_path, train), override)
    assert told.startswith(line)


@pytest.mark.parametrize(
    ("verb", "overrides", "line"),
    [
        ("ablate_heads", ["task.selection=held", "selection_examples=8", "+task.files.held=no/held.csv"],
         "task.files.held: there is no file no/held.csv"),
        ("ablate_heads", ["task.selection=held", "selection_examples=8"], "split 'held': task.files has train, valid"),
        ("transfer", ["second=demo", "second.source=files", "+second.files.validation=no/second.csv",
                      "second.labels=[negative,positive]", "second.evaluation=validation"],
         "task.files.validation: there is no file no/second.csv"),
    ],
)  # fmt: skip
def test_a_split_that_is_read_later_is_refused_before_a_teacher_is_trained(
    tmp_path: Path, verb: str, overrides: list[str], line: str
) -> None:
    assert refused(verb, tmp_path, *own_files(tmp_path), *overrides).startswith(line)


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    settings = ["train.learning_rate=1e8", "train.max_grad_norm=1e12", "train.epochs=3"]
    line = refused("finetune", tmp_path, *TINY, f"run.folder={tmp_path}", *settings)
    assert line.startswith("train: the loss is nan at step ")
    assert line.endswith("there is no checkpoint yet; lower train.learning_rate")


@pytest.mark.parametrize("verb", ["finetune", "prune_heads"])
def test_an_unknown_experiment_is_not_passed_over(verb: str) -> None:
    with pytest.raises(Exception, match="Could not find 'experiment/michel_fig9'"):
        composed(verb, "experiment=michel_fig9")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=-1", "seed: -1 must be at least 0"),
        ("train.seed=-1", "train.seed: -1 must be at least 0"),
        ("run.device=cuda:x", "run.device: 'cuda:x' is not one of auto, cpu, cuda, cuda:N"),
        ("retrain_learning_rate=-1", "retrain_learning_rate: -1.0 must be above 0"),
        ("task.metrics=[acuracy]", "task.metrics: 'acuracy' is unknown, did you mean 'accuracy'?"),
        ("model.shape={hidden_size: 10, num_attention_heads: 3}", "shape: "),
        ("floor=3", "floor: 3 heads cannot stay in a layer of 2"),
    ],
)
def test_settings_that_a_library_would_have_answered(tmp_path: Path, override: str, line: str) -> None:
    with pytest.raises(UserError) as told:
        perform("prune_heads", *TINY, f"run.folder={tmp_path}", "order=magnitude", override)
    assert str(told.value).startswith(line)


def test_a_damaged_checkpoint_at_the_command_line(tmp_path: Path) -> None:
    settings = [*TINY, f"run.folder={tmp_path}"]
    record = perform("finetune", *settings)
    home = tmp_path / "finetune" / record["run_id"]
    (home / "result.json").unlink()
    (home / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    done = called("finetune", *settings)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(f"finetune: checkpoint {home}/checkpoint.safetensors is damaged (")
    assert line.endswith("); delete it to train from the start")

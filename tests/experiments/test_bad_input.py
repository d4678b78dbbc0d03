"""Bad input at the command line: one line that names it and says what would be right, exit status 2."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from experiments.cli.messages import user_line
from prunekit.support.files import atomic_path
from tests.support.commands import TINY, called, command, refused


@pytest.mark.parametrize(
    ("verb", "override", "message"),
    [
        ("finetune", "task=mnlii", "task=mnlii: there is no such preset, did you mean 'mnli' or 'snli'?"),
        ("prune_heads", "experiment=fig3b", "experiment=fig3b: there is no such preset, did you mean 'michel_fig3b'?"),
        ("prune_cofi", "experiment=fig3b", "experiment=fig3b: there is no such preset, choose from cofi_baselines, "),
        ("finetune", "model=bert-bas", "model=bert-bas: there is no such preset, did you mean 'bert-base'"),
        ("finetune", "train.epoch=3", "train.epoch: there is no such setting, did you mean 'train.epochs'"),
        ("finetune", "+train.epoch=3", "train.epoch: there is no such setting, did you mean 'epochs'"),
        ("finetune", "TRAIN=3", "TRAIN: there is no such setting, did you mean 'train'?"),
        ("finetune", "zzz=3", "zzz: there is no such setting, --help lists them all"),
        ("finetune", "train.epochs=three", "train.epochs: "),
        ("prune_heads", "share=0.3,0.5", "share: 0.3,0.5 are several values, which is a sweep: add -m, which runs"),
        ("prune_heads", "train.seed=0,1", "train.seed: 0,1 are several values, which is a sweep: add -m, which runs"),
        ("time_inference", "lengths=8,16",
         "lengths: 8,16 are several values; -m runs each of them, and a list is written [8,16]"),
        ("prune_heads", "share=1.5", "share: 1.5 is outside [0, 1]"),
        ("prune_heads", "order=importanc", "order: 'importanc' is unknown, did you mean 'importance'"),
        ("transfer", "task=sst2", "second.labels: "),
        ("ablate_heads", "selection_examples=0", "selection_examples: 0 must be at least 1"),
        ("benchmark", "benchmark=ablations", "benchmark: 'ablations' is unknown, did you mean 'ablation'"),
    ],
)  # fmt: skip
def test_settings(verb: str, override: str, message: str) -> None:
    assert refused(verb, override).startswith(message)


def test_a_process_of_its_own_answers_the_same() -> None:
    done = command("prune_heads", "share=1.5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"prune_heads: {refused('prune_heads', 'share=1.5')}\n"


def test_all_settings_out_of_range_are_named_at_once() -> None:
    assert refused("prune_heads", "share=-1", "train.warmup=2", "floor=-1") == (
        "share: -1.0 is outside [0, 1]; floor: -1 must be at least 0; train.warmup: 2.0 is outside [0, 1]"
    )


def test_scores_of_random_weights_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    line = refused("ablate_heads", "model.weights=random", f"run.folder={tmp_path}", "run.wandb=disabled")
    assert line.startswith("model.weights=random has no score to report")
    assert not (tmp_path / "ablate_heads").exists()


@pytest.mark.parametrize(
    ("verb", "overrides", "message"),
    [
        ("time_decoding", ["length=600", "words=4"], "length: 600 tokens are too many, this model has 64 positions"),
        ("time_decoding", ["length=8", "words=65"], "words: 65 tokens are too many, this model has 64 positions"),
        ("time_inference", ["lengths=[600,65]"], "lengths: 65 tokens are too many, this model has 64 positions"),
        ("latency_table", ["length=65"], "length: 65 tokens are too many, this model has 64 positions"),
    ],
)  # fmt: skip
def test_timed_lengths_beyond_the_positions(verb: str, overrides: list[str], message: str, tmp_path: Path) -> None:
    shape = ["model.shape.max_position_embeddings=64", "model.weights=random", "run.wandb=disabled"]
    model = ["task=demo_translation", "model=marian-demo"] if verb == "time_decoding" else []
    assert refused(verb, *model, *shape, *overrides, f"run.folder={tmp_path}") == message
    assert not list(tmp_path.glob(f"{verb}/*"))


@pytest.mark.parametrize("setting", ["model.shape.num_hidden_layers=3", "model.shape={hidden_size: 64}"])
def test_sizes_beside_pretrained_weights(setting: str, tmp_path: Path) -> None:
    chosen = ["model=minilm-l6", setting, f"run.folder={tmp_path}"]
    assert refused("finetune", *chosen) == (
        "model.shape: the weights of sentence-transformers/all-MiniLM-L6-v2 have their own sizes; leave it out, or "
        "build the sizes with model.weights=scratch or random"
    )


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused("finetune", *TINY, f"run.folder={tmp_path}/file")
    assert line.startswith("run.folder: cannot write ")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "runs/x"),
        SafetensorError("os error 28: No space left on device"),
    ],
)
def test_a_full_disk(error: Exception) -> None:
    line = user_line(error, list, lambda group: [])
    assert line is not None
    assert line.startswith("the disk is full (")
    assert line.endswith("; free space, the same command goes on from here")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError), atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_traceback_is_there_for_who_wants_it() -> None:
    done = called("prune_heads", "share=2", PRUNEKIT_TRACEBACK="1")
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_settings_are_known_in_any_case() -> None:
    done = command("reproduce", "SCALE=small")
    assert done.returncode == 2
    assert done.stderr.startswith("reproduce: SCALE: there is no such setting, did you mean 'scale'?")

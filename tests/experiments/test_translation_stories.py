"""Every verb that takes translation, from its command to its record, at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from transformers import AutoTokenizer

from prunekit.data import demo_translation
from prunekit.data.kinds import encode
from prunekit.data.kinds.translation import Pairs
from prunekit.data.rows import load_rows
from prunekit.forward.beam_search import Hypothesis
from prunekit.forward.translate import texts
from prunekit.heads import decoding_speed
from prunekit.models import checkpoints
from prunekit.models.blocks import describe
from prunekit.runs.teachers import snapshot_folder
from prunekit.support.errors import UserError
from tests.support.commands import composed, perform
from tests.support.same_runs import table

TINY = [
    "task=demo_translation", "model=marian-demo", "run.wandb=disabled", "task.train_rows=192", "task.max_length=24",
    "task.evaluation_rows=40", "task.vocabulary=300", "train.epochs=2", "train.batch_size=32", "train.snapshots=[1,2]",
    "model.shape.d_model=16", "model.shape.encoder_layers=2", "model.shape.decoder_layers=2",
    "model.shape.encoder_attention_heads=2", "model.shape.decoder_attention_heads=2",
    "model.shape.encoder_ffn_dim=16", "model.shape.decoder_ffn_dim=16", "train.evaluation_examples=20",
]  # fmt: skip
SMALL = [*TINY, "evaluation.examples=12", "evaluation.beams=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def test_finetune_trains_a_translator_that_loads(folder: Path) -> None:
    record = perform("finetune", *TINY, f"run.folder={folder}")
    assert record["metrics"]["steps"] == 12 and set(record["metrics"]) >= {"bleu", "chrf"}
    assert record["model"]["layers"] == 4 and record["model"]["heads"] == 12
    home = folder / "finetune" / record["run_id"]
    last = checkpoints.load(home / "model")
    first, second = (checkpoints.load(snapshot_folder(home, epoch)) for epoch in (1, 2))
    name = "model.decoder.layers.0.fc1.weight"
    assert last.get_parameter(name).equal(second.get_parameter(name))
    assert not last.get_parameter(name).equal(first.get_parameter(name))
    assert sorted(path.name for path in (home / "epochs").iterdir()) == ["1", "2"]


def test_ablate_heads(folder: Path) -> None:
    record = perform("ablate_heads", *SMALL, f"run.folder={folder}", "selection_examples=8")
    heads, layers = table(folder, record, "heads"), table(folder, record, "layers")
    assert heads.groupby(["ablation", "kind"]).size().tolist() == [4] * 6
    assert (heads.value - heads.baseline).tolist() == pytest.approx(heads.delta.tolist())
    assert layers.groupby(["protocol", "kind"]).size().tolist() == [2] * 6
    kept = heads[heads.ablation == "all_but_one"].groupby(["kind", "layer"]).value.max()
    dev = layers[layers.protocol == "dev"].set_index(["kind", "layer"]).value.sort_index()
    assert dev.tolist() == kept.tolist()
    assert record["metrics"]["heads"] == 12 and record["metrics"]["layers"] == 6
    assert record["metrics"]["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert [(item["role"], item["split"]) for item in record["data"]][1:] == [
        ("evaluation", "test"), ("selection", "validation")
    ]  # fmt: skip


def test_transfer_shares_the_ablation(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("cache/translations/*.json")}
    assert before
    arguments = ["second=demo_translation", "second.train_rows=192", "second.evaluation_rows=40"]
    sizes = ["second.max_length=24", "second.vocabulary=300"]
    record = perform("transfer", *SMALL, f"run.folder={folder}", *arguments, *sizes)
    after = {path: path.stat().st_mtime_ns for path in folder.glob("cache/translations/*.json")}
    assert before.items() <= after.items() and len(after) - len(before) == 7
    assert record["metrics"]["heads"] == 12
    assert record["metrics"]["second"] == "demo_translation/validation"


@pytest.mark.parametrize("order", ["importance", "importance_released", "importance_stepwise", "oracle", "random"])
def test_prune_heads_of_all_kinds(folder: Path, order: str) -> None:
    record = perform(
        "prune_heads", *SMALL, f"run.folder={folder}", f"order={order}", "grid=0.5", "importance_examples=32"
    )
    points, kept = table(folder, record, "points"), table(folder, record, "kept")
    assert points.heads_kept.tolist() == [12, 6, 0] and set(points.kinds) == {"enc-enc+enc-dec+dec-dec"}
    assert points.parameters.is_monotonic_decreasing and points.macs.is_monotonic_decreasing
    assert kept.groupby("share").heads_kept.sum().tolist() == [12, 6, 0] and len(kept) == 3 * 6
    assert points.target_length.nunique() == 1


def test_prune_heads_of_one_kind(folder: Path) -> None:
    record = perform(
        "prune_heads", *SMALL, f"run.folder={folder}", "order=magnitude", "share=1", "kinds=[enc-dec]", "save=true"
    )
    small = describe(checkpoints.load(folder / "prune_heads" / record["run_id"] / "model"))
    assert {kind: sum(shape.heads for shape in small.of_kind(kind)) for kind in small.kinds} == {
        "enc-enc": 4, "enc-dec": 0, "dec-dec": 4
    }  # fmt: skip
    assert record["metrics"]["kinds"] == ["enc-dec"] and record["sparsity"]["achieved_heads"] == 1


def test_head_dynamics(folder: Path) -> None:
    arguments = [*SMALL, f"run.folder={folder}", "grid=0.5", "importance_examples=32"]
    record = perform("head_dynamics", *arguments)
    points, agreement = table(folder, record, "points"), table(folder, record, "agreement")
    assert points.epoch.tolist() == [1, 1, 1, 2, 2, 2] and points.share.tolist() == [0, 0.5, 1] * 2
    whole = points[points.share == 0].set_index("epoch").value
    assert (points.relative * points.epoch.map(whole)).tolist() == pytest.approx(points.value.tolist(), nan_ok=True)
    assert agreement.rank_correlation.iloc[-1] == 1 and abs(agreement.rank_correlation.iloc[0]) <= 1
    curve = perform("prune_heads", *arguments)
    own = table(folder, curve, "points")
    assert own.value.tolist() == points[points.epoch == 2].value.tolist()  # the last snapshot is the teacher
    for name in ("trivial", "above_trivial"):
        assert record["metrics"][name] == curve["metrics"][name]
    assert len(table(folder, record, "scores")) == 2 * 12


REFUSED: dict[str, tuple[str, list[str], str]] = {
    "encoder for translation": (
        "finetune", ["model=demo"],
        r"model: demo is a bert, task demo_translation needs an encoder-decoder \(bart, marian\); choose another model",
    ),
    "translator for classes": (
        "finetune", ["task=demo", "train.snapshots=[]"], "model: .* is a marian, task demo needs an encoder"
    ),
    "unknown kind": ("prune_heads", ["kinds=[self]"], "kinds: 'self' is unknown, heads of a marian are enc-enc"),
    "Fisher": ("prune_fisher", [], "task: demo_translation is translation, this verb takes encoders"),
    "CoFi": ("prune_cofi", [], "task: demo_translation is translation, this verb takes encoders"),
    "latency table": ("latency_table", [], "task: demo_translation is translation, this verb takes encoders"),
    "longer than positions": ("finetune", ["task.max_length=65"], "65 is more than the 64 positions of this model"),
    "dynamics without snapshots": ("head_dynamics", ["train.snapshots=[]"], r"train\.snapshots: name the epochs"),
    "dynamics of a finished model": ("head_dynamics", ["teacher=x"], "teacher: a finished model does not show"),
    "late snapshots": ("finetune", ["train.snapshots=[3]"], r"snapshots: 3 is outside \[1, 2\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_named(folder: Path, name: str) -> None:
    verb, overrides, message = REFUSED[name]
    shape: Any = [] if "model=demo" not in overrides else ["model=demo"]
    arguments = [text for text in TINY if not (shape and text.startswith(("model", "task.vocabulary")))]
    with pytest.raises(UserError, match=message):
        perform(verb, *arguments, f"run.folder={folder}", *overrides)


def test_the_benchmark_finds_the_same_translations(folder: Path) -> None:
    # in float32 two hypotheses may be so close that the processor decides between them
    arguments = ["benchmark=ablation_translation", "examples=6", "repeats=1", "dtype=float64"]
    record = perform("benchmark", *SMALL, f"run.folder={folder}", *arguments)
    assert record["metrics"]["hypotheses"] == 6 * 12
    assert record["metrics"]["same_hypotheses"] == 1 and record["metrics"]["ratio_plain"] > 0
    with pytest.raises(UserError, match="task: demo is no translation, benchmark=ablation_translation needs one"):
        perform("benchmark", "benchmark=ablation_translation", f"run.folder={folder}")
    with pytest.raises(UserError, match=r"demo_translation is translation, this .* on classification and regression; "):
        perform("benchmark", *SMALL, f"run.folder={folder}")


@pytest.mark.parametrize(("weights", "length"), [("scratch", None), ("scratch", 8), ("random", 8)])
def test_time_decoding(folder: Path, weights: str, length: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    def one(repeats: int, *size: int) -> int:
        """Instead of twenty, as the input is small."""
        asked.append((repeats, *size))
        return repeats

    monkeypatch.setattr(decoding_speed, "rounds", one)
    arguments = ["batch_sizes=[2]", "repeats=1", "warmup=0", "shares=[0.5,1]", "words=6", "importance_examples=32"]
    arguments += [f"model.weights={weights}", f"length={length or 'null'}"]
    record = perform("time_decoding", *SMALL, f"run.folder={folder}", *arguments)
    assert set(asked) == {(1, 2 * 2, 6)}  # batch and beams, words
    rows = table(folder, record, "decoding")
    kinds = ["enc-enc+enc-dec+dec-dec", "enc-enc", "enc-dec", "dec-dec"]
    assert rows.kinds.tolist() == [kind for kind in kinds for _ in range(2)]
    assert rows.achieved_heads.tolist() == [0.5, 1] * 4 and set(rows.words) == {6} and set(rows.beams) == {2}
    assert (rows.speedup > 0).all() and (rows.words_per_second > 0).all()
    assert record["sparsity"] == {"requested_heads": 1, "achieved_heads": 1}
    assert record["verb"] == "time_decoding" and set(rows.batch_size) == {2}
    roles = [item["role"] for item in record["data"]]
    if length is not None:
        assert set(rows.length) == {length} and "evaluation" not in roles
    else:
        task = composed("time_decoding", *SMALL, *arguments).task
        teacher = folder / "finetune" / record["teacher"]["run_id"] / "model"
        examples = encode(load_rows(task, task.evaluation).sample(12), AutoTokenizer.from_pretrained(teacher))
        assert set(rows.length) == {examples.mean_lengths[0]}
        assert roles == ["train", "importance", "evaluation"]


def test_encoders_and_translators_are_timed_by_a_verb_each() -> None:
    with pytest.raises(UserError, match=r"task: demo_translation is translation, .*`time_decoding` times beam search"):
        composed("time_inference", *TINY)
    with pytest.raises(UserError, match="task: demo is no translation; `time_inference` times encoders"):
        composed("time_decoding")
    with pytest.raises(UserError, match=r"length: random weights have no tokenizer .* give length=N"):
        composed("time_decoding", *TINY, "model.weights=random")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as those of opus-mt: two SentencePiece models, one vocabulary, random weights."""
    home = tmp_path_factory.mktemp("released")
    rows = demo_translation.generate("train", 600)
    pieces: list[str] = []
    for side in ("source", "target"):
        (home / "text").write_text("\n".join(row[side] for row in rows))
        sentencepiece.SentencePieceTrainer.train(
            input=str(home / "text"), model_prefix=str(home / side), vocab_size=150, hard_vocab_limit=False, bos_id=-1,
            eos_id=0, unk_id=1, minloglevel=2,
        )  # fmt: skip
        model = sentencepiece.SentencePieceProcessor(model_file=str(home / f"{side}.model"))
        pieces += [model.id_to_piece(number) for number in range(len(model))]
        (home / f"{side}.model").rename(home / f"{side}.spm")
    for made in (home / "text", *home.glob("*.vocab")):
        made.unlink()
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    vocabulary["<pad>"] = len(vocabulary)
    (home / "vocab.json").write_text(json.dumps(vocabulary))
    (home / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer"}))
    tokenizer = AutoTokenizer.from_pretrained(home)
    shape = {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": len(vocabulary),
        "pad_token_id": vocabulary["<pad>"], "eos_token_id": 0, "decoder_start_token_id": vocabulary["<pad>"],
    }  # fmt: skip
    folder = home / "model"
    checkpoints.save(checkpoints.build_translator("marian", shape), folder, tokenizer=tokenizer)
    return folder


def test_a_released_model_is_its_own_teacher(folder: Path, released: Path) -> None:
    own = ["task=demo_translation", "task.evaluation_rows=40", "run.wandb=disabled"]
    sizes = ["task.max_length=24", "evaluation.examples=6", "evaluation.beams=2", f"run.folder={folder}"]
    record = perform("ablate_heads", *own, *sizes, f"teacher={released}", "selection_examples=4")
    assert record["metrics"]["heads"] == 6 and record["teacher"]["path"] == str(released)
    rows = load_rows(composed("ablate_heads", *own).task, "test").sample(6)
    tokenizer = AutoTokenizer.from_pretrained(released)
    pairs = encode(rows, tokenizer)
    assert isinstance(pairs, Pairs)
    says = [Hypothesis(ids, 0.0) for ids in pairs.target_ids]
    assert texts(pairs, says) == rows.labels.tolist()  # targets are encoded and decoded as targets
    classifier = checkpoints.build("bert", {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}, 2)
    checkpoints.save(classifier, folder / "classifier", tokenizer=tokenizer)
    with pytest.raises(UserError, match=r"^model\.path: .*classifier is a BertForSequenceClassification, task demo_tr"):
        perform("finetune", *own, "model=opus-mt-en-fr", f"run.folder={folder}", f"model.path={folder}/classifier")
    with pytest.raises(UserError, match=r"teacher: .* is a MarianMTModel, task demo needs sequence classification"):
        perform("ablate_heads", "run.wandb=disabled", f"run.folder={folder}", f"teacher={released}")

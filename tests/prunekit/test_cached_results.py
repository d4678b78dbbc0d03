"""Every kind of result that runs share: what makes another entry, what does not, and that a second look finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.cofi.pruning import shared_warm_up
from prunekit.cofi.recipe import Recipe, StudentConfig
from prunekit.config.sections import EvaluationConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds.questions import gold_answers, windows
from prunekit.data.kinds.translation import encode_pairs
from prunekit.data.tokenizers import joint_bpe
from prunekit.evaluation.cached import cached_evaluation
from prunekit.forward.ablation import ablate_heads
from prunekit.heads.effects import head_comparisons, head_effects
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.stages.calibration import cached_gradients
from prunekit.stages.search.latency import latency_table
from prunekit.support import cache as caches
from prunekit.support.cache import Cache
from prunekit.support.devices import describe_device
from prunekit.training.loop import Context
from tests.support.families import LABELS, PAD, VOCABULARY, tiny
from tests.support.squad_data import generated, squad_task, tokenizer
from tests.support.translators import translator

CPU = torch.device("cpu")
Given = SimpleNamespace
Change = Callable[[Given], None]


def run_in(given: Given) -> Run:
    config: Any = SimpleNamespace(run=SimpleNamespace(folder=str(given.folder), progress=False), run_dtype=given.dtype)
    return Run("verb", given.folder, config, SimpleNamespace(), CPU)  # type: ignore[arg-type]


def teacher_of(given: Given) -> Teacher:
    return Teacher(given.model, None, {}, {})


def sentences() -> Examples:
    generator = np.random.default_rng(0)
    ids = [generator.integers(PAD + 1, VOCABULARY, length).tolist() for length in (5, 9, 3, 7, 6, 4)]
    rows = Rows(TaskConfig(labels=["a", "b", "c"]), "train", [(f"text {n}",) for n in range(6)],
                np.arange(6) % LABELS, 6)  # fmt: skip
    return Examples(rows, ids, [[0] * len(row) for row in ids], PAD)


def set_to(name: str, value: Any) -> Change:
    return lambda given: setattr(given, name, value)


def edited(name: str, **values: Any) -> Change:
    """Another dataclass with some fields changed by functions of what they were."""

    def change(given: Given) -> None:
        old = getattr(given, name)
        setattr(given, name, replace(old, **{field: value(getattr(old, field)) for field, value in values.items()}))

    return change


def first_changed(rows: list[Any]) -> list[Any]:
    return [[rows[0][0] ^ 1, *rows[0][1:]], *rows[1:]]


def raised(array: Any) -> Any:
    return np.concatenate([array[:1] + 1, array[1:]])


def weight(given: Given, of: str = "model") -> None:
    with torch.no_grad():
        next(getattr(given, of).parameters()).view(-1)[3] += 1e-6


def turned(examples: Examples) -> Examples:
    return examples.take(range(len(examples) - 1, -1, -1))


def one_more_text(rows: Rows) -> Rows:
    return replace(rows, texts=[(*rows.texts[0][:-1], rows.texts[0][-1] + "."), *rows.texts[1:]])


def other_answer(rows: Rows) -> Rows:
    return replace(rows, labels=rows.labels[[1, 0, *range(2, len(rows))]])


def fields_of(name: str, section: Any, free: set[str]) -> dict[str, Change]:
    """Every setting of a section but the free ones, changed by itself."""

    def change(field: str, given: Given) -> None:
        old = getattr(given, name)
        setattr(given, name, replace(old, **{field: another(getattr(old, field))}))

    return {f"{name}.{item.name}": partial(change, item.name) for item in fields(section) if item.name not in free}


def another(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list | tuple):
        return [*value, "x"]
    if isinstance(value, dict):
        return {**value, "x": "y"}
    return 0.25 if value is None else value + 1


def with_config(name: str, value: Any, of: str = "model") -> Change:
    """The same weights under another configuration."""
    return lambda given: setattr(getattr(given, of).config, name, value)


WHERE_ROWS_COME_FROM = {
    "name", "source", "subset", "columns", "label", "train", "evaluation", "selection", "files", "train_rows",
    "evaluation_rows",
}  # fmt: skip
AFTER_WARM_UP = {
    "start", "prune_epochs", "sparsity_epochs", "start_sparsity", "finetune_epochs", "finetune_learning_rate",
    "gates_learning_rate", "multipliers_learning_rate", "select_on", "held_out", "evaluate_every",
}  # fmt: skip
MODEL: dict[str, Change] = {
    "a weight": weight,
    "heads of the same weights": with_config("num_attention_heads", 2),
    "activation": with_config("hidden_act", "relu"),
    "attention implementation": lambda given: given.model.set_attn_implementation("eager"),
    "precision of the weights": lambda given: given.model.to(torch.bfloat16),
    "class": lambda given: setattr(given.model, "__class__", type("Other", (type(given.model),), {})),
}
"""Of a model."""
INPUTS: dict[str, Change] = {
    "a token": edited("examples", input_ids=first_changed),
    "token types": edited("examples", token_type_ids=first_changed),
    "padding": edited("examples", pad_id=lambda old: old + 1),
    "fewer examples": lambda given: setattr(given, "examples", given.examples.take(range(3))),
    "their order": lambda given: setattr(given, "examples", turned(given.examples)),
}
"""Of examples, for those who do not look at answers."""
ROWS: dict[str, Change] = {
    "a text": edited("examples", rows=one_more_text), "an answer": edited("examples", rows=other_answer),
}  # fmt: skip


class Kind:
    """A kind of results: what it is given, how it is asked for, and what changes it."""

    name: str
    changes: ClassVar[dict[str, Change]]
    free: ClassVar[dict[str, Change]]
    """What changes nothing."""
    computes: tuple[str, ...] = ()
    """Who computes it."""
    entries = 1
    measured = False
    """Whether it is another value every time."""

    def given(self) -> Given:
        raise NotImplementedError

    def ask(self, given: Given) -> Any:
        raise NotImplementedError


def rows_task(given: Given, change: Callable[[TaskConfig], TaskConfig]) -> None:
    rows = given.examples.rows
    given.examples = replace(given.examples, rows=replace(rows, task=change(rows.task)))


def rows_task_fields(free: set[str]) -> dict[str, Change]:
    def change(field: str, given: Given) -> None:
        rows_task(given, lambda task: replace(task, **{field: another(getattr(task, field))}))

    names = [item.name for item in fields(TaskConfig) if item.name not in free]
    return {f"rows.task.{name}": partial(change, name) for name in names}


def only(changes: dict[str, Change], free: set[str]) -> dict[str, Change]:
    return {name: change for name, change in changes.items() if name.split(".")[-1] in free}


class Evaluations(Kind):
    name = "evaluations"
    computes = ("prunekit.evaluation.cached.evaluate",)
    changes: ClassVar = {
        **MODEL, **INPUTS, **ROWS, **fields_of("task", TaskConfig, WHERE_ROWS_COME_FROM),
        **rows_task_fields(WHERE_ROWS_COME_FROM),
        "a window's question": edited("examples", question=lambda old: np.where(old == 1, 0, old)),
        "a window's context": edited("examples", first=raised),
        "a window's offsets": edited("examples", offsets=lambda old: [old[0] + 1, *old[1:]]),
        "a window's answer": edited("examples", start=raised), "its end": edited("examples", end=raised),
        "batch size": set_to("batch_size", 2), "beams": set_to("beams", 4), "precision": set_to("dtype", "bfloat16"),
    }  # fmt: skip
    free: ClassVar = {
        **only({**fields_of("task", TaskConfig, set()), **rows_task_fields(set())}, WHERE_ROWS_COME_FROM),
        "where the model came from": with_config("_name_or_path", "elsewhere"),
    }  # fmt: skip

    def given(self) -> Given:
        task = squad_task(no_answer=0.0)
        columns = generated(5, longest=30)
        texts: list[tuple[str, ...]] = [(row["question"], row["context"]) for row in columns]
        labels = gold_answers(task, "here", texts, [row["answers"] for row in columns])
        rows = Rows(task, "validation", texts, labels, 5)
        model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
        examples = windows(rows, tokenizer())
        return Given(model=model, examples=examples, task=task, batch_size=8, beams=5, dtype="float32")

    def ask(self, given: Given) -> Any:
        return cached_evaluation(
            given.folder, given.task, given.model, given.examples, device=CPU, batch_size=given.batch_size,
            beams=given.beams, precision=given.dtype, on_rows=lambda rows: None,
        )  # fmt: skip


class Gradients(Kind):
    name = "gradients"
    computes = ("prunekit.stages.calibration.mask_gradients",)
    changes: ClassVar = {
        **MODEL, **INPUTS, **ROWS, "labels": set_to("labels", "predicted"), "padding": set_to("padded_group", 4),
        "how much of it": set_to("padded_group", 2),
    }  # fmt: skip
    free: ClassVar = only(rows_task_fields(set()), WHERE_ROWS_COME_FROM)

    def given(self) -> Given:
        return Given(model=tiny("bert"), examples=sentences(), labels="gold", padded_group=None, dtype="float64")

    def ask(self, given: Given) -> Any:
        return cached_gradients(teacher_of(given), given.examples, run_in(given), given.labels, given.padded_group)


class Ablations(Kind):
    name = "ablation"
    computes = ("prunekit.heads.effects.ablate_heads",)
    changes: ClassVar = {
        **MODEL, **INPUTS, "mode": set_to("mode", "all_but_one"), "precision": set_to("dtype", "bfloat16")
    }  # fmt: skip
    free: ClassVar = {**ROWS, "batch size": set_to("batch_size", 5), "order": changes.pop("their order")}

    def given(self) -> Given:
        return Given(model=tiny("bert"), examples=sentences(), mode="one_off", dtype="float64", batch_size=64)

    def ask(self, given: Given) -> Any:
        return head_effects(teacher_of(given), given.examples, run_in(given), (given.mode,), given.batch_size)


class Translations(Kind):
    name = "translations"
    computes = tuple(f"prunekit.heads.translation_effects.{name}" for name in ("translate", "TranslationAblation"))
    entries = 4  # the whole model, and a layer of each kind
    changes: ClassVar = {
        "a weight": weight, "scaled embeddings": with_config("scale_embedding", True),
        "attention implementation": MODEL["attention implementation"],
        **{name: change for name, change in INPUTS.items() if name != "token types"}, **ROWS,
        "a target's token": edited("examples", target_ids=first_changed),
        "tokenizer": lambda given: setattr(given, "examples", replace(given.examples, tokenizer=bpe("other words"))),
        **rows_task_fields(WHERE_ROWS_COME_FROM), **fields_of("evaluation", EvaluationConfig, {"examples"}),
        "precision": set_to("dtype", "bfloat16"),
    }  # fmt: skip
    free: ClassVar = {
        **only(rows_task_fields(set()), WHERE_ROWS_COME_FROM),
        **only(fields_of("evaluation", EvaluationConfig, set()), {"examples"}),
    }  # fmt: skip

    def given(self) -> Given:
        task = TaskConfig(translation=True, columns=["de", "en"], metrics=["bleu"], max_length=8)
        sources = ["ein hund", "eine katze schläft", "der hund schläft", "zwei katzen"]
        targets = np.asarray(["a dog", "a cat sleeps", "the dog sleeps", "two cats"], dtype=object)
        own = bpe(*sources, *targets.tolist())
        pairs = encode_pairs(Rows(task, "test", [(text,) for text in sources], targets, 4), own)
        model = translator("bart", vocab_size=len(own), encoder_layers=1, decoder_layers=1, dtype=torch.float64)
        return Given(model=model, examples=pairs, dtype="float64", evaluation=EvaluationConfig(batch_size=4, beams=2))

    def ask(self, given: Given) -> Any:
        task, examples = given.examples.rows.task, given.examples
        return head_comparisons(task, teacher_of(given), examples, run_in(given), ("one_off",), given.evaluation,
                                tested=False)  # fmt: skip


def bpe(*texts: str) -> Any:
    return joint_bpe(texts * 2, 300)


def more(name: str, given: Given) -> None:
    given.how = {**given.how, name: given.how[name] + 1}


MODELS: list[dict[str, Any]] = [
    {"intermediate_size": 20}, {"num_attention_heads": 2}, {"hidden_size": 12}, {"hidden_act": "relu"}
]  # fmt: skip


class Tables(Kind):
    name = "latency"
    computes = ("prunekit.stages.search.latency._measured",)
    measured = True
    changes: ClassVar = {
        **{
            f"a model's {next(iter(settings))}": set_to("model", tiny("bert", **settings))
            for settings in MODELS
        },
        "family": set_to("model", tiny("roberta")),
        "attention implementation": MODEL["attention implementation"],
        "precision of the weights": MODEL["precision of the weights"],
        **{name: partial(more, name) for name in ("batch_size", "length", "stride", "warmup", "repeats")},
        "precision": set_to("dtype", "bfloat16"),
    }  # fmt: skip
    free: ClassVar = {
        "a weight": weight, "other words": set_to("model", tiny("bert", vocab_size=60)),
        "more layers": set_to("model", tiny("bert", num_hidden_layers=4)),
    }  # fmt: skip

    def given(self) -> Given:
        how = {"batch_size": 512, "length": 8, "stride": 24, "warmup": 0, "repeats": 1}
        return Given(model=tiny("bert"), how=how, dtype="float64")

    def ask(self, given: Given) -> Any:
        return latency_table(given.model, folder=given.folder, dtype=given.dtype, **given.how)


class WarmUps(Kind):
    name = "distilled"
    changes: ClassVar = {
        **MODEL, **INPUTS, **ROWS, "a weight of the student": partial(weight, of="student"),
        "the student's activation": with_config("hidden_act", "relu", of="student"),
        **fields_of("recipe", Recipe, {"sparsity", "units", "student"}),
        **fields_of("student_config", StudentConfig, AFTER_WARM_UP),
    }  # fmt: skip
    free: ClassVar = {
        **only(fields_of("student_config", StudentConfig, set()), AFTER_WARM_UP),
        "recipe.sparsity": edited("recipe", sparsity=lambda old: 0.2),
        "recipe.units": edited("recipe", units=lambda old: ("heads", "neurons")),
    }  # fmt: skip

    def given(self) -> Given:
        student = StudentConfig(
            prune_epochs=1, sparsity_epochs=1, finetune_epochs=0, batch_size=4, learning_rate=1e-3, evaluate_every=1
        )
        return Given(
            model=tiny("bert", dtype=torch.float32), student=tiny("bert", dtype=torch.float32), examples=sentences(),
            recipe=Recipe(sparsity=0.1, variant="paper"), student_config=student, dtype="float32",
        )  # fmt: skip

    def ask(self, given: Given) -> Any:
        recipe = replace(given.recipe, student=given.student_config)
        own = Context(
            examples=given.examples, device=CPU, folder=given.folder / "own", identity={}
        )
        with shared_warm_up(given.model, given.student, recipe, own, given.folder) as shared:
            return shared


KINDS: list[Kind] = [kind() for kind in (Evaluations, Gradients, Ablations, Translations, Tables, WarmUps)]
FILES = KINDS[:-1]


def named(kinds: list[Kind]) -> Any:
    return pytest.mark.parametrize("kind", kinds, ids=[kind.name for kind in kinds])


class AskedError(Exception):
    pass


def key_of(kind: Kind, change: Change = lambda given: None) -> str:
    """Of the entry that is looked for first. Nothing is computed."""

    def asked(cache: Cache, own: Any, identity: Any, *_positional: Any, **_named: Any) -> Any:
        assert own.name == kind.name
        raise AskedError(cache.key(own, identity))

    given = kind.given()
    given.folder = Path("nowhere")
    change(given)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AskedError) as found:
        patch.setattr(Cache, "get", asked)
        patch.setattr(Cache, "folder", asked)
        kind.ask(given)
    return str(found.value)


@contextmanager
def nothing_is_computed(kind: Kind) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in kind.computes:
            patch.setattr(name, None)
        yield


def same(one: Any, other: Any) -> bool:
    if is_dataclass(one):
        return all(same(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, np.ndarray | torch.Tensor):
        return bool(one.dtype == other.dtype) and np.array_equal(one, other, equal_nan=True)
    return type(one) is type(other) and (one == other or one != one)


class TestEveryKind:
    @named(KINDS)
    def test_whatever_changes_the_value_changes_the_key(self, kind: Kind) -> None:
        keys = {name: key_of(kind, change) for name, change in kind.changes.items()}
        assert key_of(kind) == key_of(kind)
        assert [name for name, key in keys.items() if key == key_of(kind)] == []

    @named(KINDS)
    def test_what_changes_no_value_changes_no_key(self, kind: Kind) -> None:
        own = key_of(kind)
        assert [name for name, change in kind.free.items() if key_of(kind, change) != own] == []

    @named(KINDS)
    def test_another_machine_has_entries_of_its_own(self, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [key_of(kind)]
        own = describe_device("cpu")
        for other in (replace(own, type="cuda"), replace(own, name="Other CPU"), replace(own, threads=99)):
            monkeypatch.setattr(caches, "describe_device", lambda device, other=other: other)
            keys.append(key_of(kind))
        monkeypatch.setattr(torch, "__version__", "99.0")
        keys.append(key_of(kind))
        monkeypatch.setattr(caches, "version", lambda name: "99.0")
        keys.append(key_of(kind))
        assert len({*keys}) == 6

    @named(FILES)
    def test_a_second_look_finds_the_same_and_computes_nothing(self, kind: Kind, tmp_path: Path) -> None:
        values: list[Any] = []
        for _ in range(2):
            given = kind.given()
            given.folder = tmp_path
            if values:
                with nothing_is_computed(kind):
                    values.append(kind.ask(given))
            else:
                values.append(kind.ask(given))
        assert same(*values)
        assert len(list((tmp_path / "cache" / kind.name).iterdir())) == kind.entries

    @named(FILES)
    def test_damaged_entries_are_computed_again(self, kind: Kind, tmp_path: Path) -> None:
        given = kind.given()
        given.folder = tmp_path
        value = kind.ask(given)
        entries = {path: path.stat().st_size for path in (tmp_path / "cache" / kind.name).iterdir()}
        for path in entries:
            path.write_bytes(path.read_bytes()[:20])
        with nothing_is_computed(kind), pytest.raises(TypeError):
            kind.ask(given)
        assert kind.measured or same(value, kind.ask(given))
        if not kind.measured:
            assert {path: path.stat().st_size for path in entries} == entries


def test_a_piece_of_an_ablation_serves_its_rows_in_any_order(tmp_path: Path) -> None:
    kind = Ablations()
    given = kind.given()
    given.folder = tmp_path
    value = kind.ask(given)
    given.examples = turned(given.examples)
    with nothing_is_computed(kind):
        again = kind.ask(given)
    assert np.array_equal(again.baseline, value.baseline[::-1])
    assert np.array_equal(again.ablated["one_off"], value.ablated["one_off"][:, :, ::-1])


def test_an_interrupted_ablation_goes_on_from_its_last_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, rows = Ablations(), list[int]()
    given = kind.given()
    given.folder, given.batch_size = tmp_path, 2
    monkeypatch.setattr("prunekit.heads.effects.SHARD_ROWS", 2)
    real = ablate_heads

    def dies(*arguments: Any, **named: Any) -> Any:
        if len(rows) == 2:
            raise KeyboardInterrupt
        found = real(*arguments, **named)
        rows.append(len(found.baseline))
        return found

    monkeypatch.setattr("prunekit.heads.effects.ablate_heads", dies)
    with pytest.raises(KeyboardInterrupt):
        kind.ask(given)
    assert rows == [2, 2]
    rows.append(0)  # lives on
    found = kind.ask(given)
    assert rows == [2, 2, 0, 2]
    monkeypatch.setattr("prunekit.heads.effects.ablate_heads", real)
    given.folder = tmp_path / "whole"
    assert same(found, kind.ask(given))

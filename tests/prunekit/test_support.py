"""``docs/support.md`` is true: every cell of its tables works, by a number, or is refused in one line.

The page is the one table of what is supported. Its rows are looked up here by name and its columns by task head, so a
row, a family or a head that only one side knows fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import prunekit
from experiments.cli.composition import CONF
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.pruning import check_fit
from prunekit.cofi.sparsity import PrunableSize, fitted
from prunekit.config.sections import check
from prunekit.config.task import TaskConfig
from prunekit.data.kinds import KINDS, example_losses
from prunekit.data.losses import target_losses
from prunekit.forward.ablation import ablate_heads
from prunekit.forward.translate import translate
from prunekit.forward.translation_ablation import TranslationAblation
from prunekit.methods.common.registry import names
from prunekit.models.families.table import ENCODERS, FAMILIES, TRANSLATORS
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.search.latency import latency_table
from prunekit.stages.search.mac_search import mac_search
from prunekit.support.errors import UserError
from tests.support.commands import composed
from tests.support.families import COPIES, batch_for, shape_of, tiny
from tests.support.masks import uneven_masks
from tests.support.translators import SHAPE, pairs_for, some_pairs, talkative, uneven

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "support.md").read_text(encoding="utf-8")
CPU = torch.device("cpu")
GENERATION = ("ForConditionalGeneration", "MTModel")
Batch = dict[str, Tensor]


def table(first: str) -> dict[str, dict[str, str]]:
    """Of the page, by its first heading: cells by row and column."""
    lines = PAGE[PAGE.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    heading, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: dict(zip(heading[1:], cells, strict=True)) for name, *cells in rows}


def column_of(family: str, head: str) -> str:
    """The column of the first table that a task head is in."""
    if family in TRANSLATORS:
        return "translation" if head in GENERATION else "other encoder-decoders"
    if head in ("ForSequenceClassification", "ForQuestionAnswering"):
        return "questions" if head == "ForQuestionAnswering" else "classes, one number"
    if head == "ForTokenClassification":
        return "tags"
    return "language models" if ENCODERS[family].task_heads[head] is None else "no head, choices"


@cache
def random_model(family: str, head: str) -> Any:
    """Of a family and task head, with every parameter at random."""
    labels = {"num_labels": 2} if head == "ForQuestionAnswering" else {}
    shape = {**(shape_of(family) if family in ENCODERS else {"num_labels": 3, **SHAPE}), **labels}
    name = CONFIG_MAPPING[family].__name__.removesuffix("Config") + head

    class Head:
        from_config = staticmethod(lambda config, attn_implementation: getattr(transformers, name)(config))

    return tiny(family, head=Head, exactly=shape)


def batch_of(model: Any, head: str) -> Batch:
    """Inputs for a model, with targets where its head has some that the library knows."""
    if model.config.is_encoder_decoder:
        batch = pairs_for()
        own = {"decoder_input_ids": batch["input_ids"][:, :5], **batch}
        return batch if head in GENERATION else {name: value for name, value in own.items() if name != "labels"}
    batch = batch_for(model)
    if head == "ForQuestionAnswering":
        return batch | {"start_positions": torch.tensor([0, 1, 2, 0]), "end_positions": torch.tensor([3, 1, 2, 0])}
    if head == "ForTokenClassification":
        tags = batch["input_ids"] % 3
        return batch | {"labels": tags.where((batch["attention_mask"] == 1) & (torch.arange(tags.shape[1]) > 0), -100)}
    return batch | {"labels": torch.tensor([0, 1, 2, 0])}


def output(model: Any, batch: Batch) -> Tensor:
    """What a model gives first."""
    given = {name: value for name, value in batch.items() if "labels" not in name and "positions" not in name}
    if "labels" in batch and model.config.is_encoder_decoder:
        given["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    if "MultipleChoice" in type(model).__name__:
        given = {name: torch.stack([value, value.flip(0)], 1) for name, value in given.items()}
    return model(**given)[0]


def gated_output(model: Any, batch: Batch, masks: prunekit.Masks) -> Tensor:
    with torch.no_grad(), prunekit.gated(model, masks):
        return output(model, batch)


def gated_equals_pruned_equals_reloaded(model: Any, batch: Batch, masks: prunekit.Masks, folder: Path) -> Any:
    expected = gated_output(model, batch, masks)
    with torch.no_grad():
        assert (expected - output(model, batch)).abs().max() > 1e-4
        if masks.hidden is not None and type(model).__name__.endswith("Model"):  # what is left of the stream itself
            expected = expected[..., masks.hidden != 0]
        small = prunekit.prune(model, masks)
        torch.testing.assert_close(output(small, batch), expected, rtol=0, atol=1e-10)
        prunekit.save(small, folder / "model")
        loaded = prunekit.load(folder / "model", dtype=torch.float64)
        torch.testing.assert_close(output(loaded, batch), expected, rtol=0, atol=1e-10)
    assert prunekit.cost(small, 8).parameters == sum(parameter.numel() for parameter in small.parameters())
    return small


def derivatives(model: Any, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """Of every example's loss by gates of its own, as autograd has them: heads by kind, and neurons."""
    rows, ones = len(batch["input_ids"]), prunekit.Masks.ones(prunekit.describe(model), torch.float64)

    def own(gates: Tensor) -> Tensor:
        return gates.expand(rows, *gates.shape).clone().requires_grad_()

    heads, neurons = {kind: own(gates) for kind, gates in ones.heads.items()}, own(ones.neurons)
    with prunekit.gated(model, prunekit.Masks(heads, neurons, ones.layers)):
        if model.config.is_encoder_decoder:
            losses = target_losses(output(model, batch), batch["labels"])
        else:
            inputs = {name: value for name, value in batch.items() if name in ("input_ids", "attention_mask")}
            types = {name: value for name, value in batch.items() if name == "token_type_ids"}
            losses = example_losses(model(**inputs, **types), batch)
    found = torch.autograd.grad(losses.sum(), [*heads.values(), neurons])
    return dict(zip(heads, found[:-1], strict=True)), found[-1]


def with_words(model: Any) -> Any:
    """In place of a translation model one whose translations differ."""
    return talkative(model.config.model_type) if type(model).__name__.endswith(GENERATION) else model


def gates(model: Any, batch: Batch, folder: Path) -> None:
    masks = uneven(model) if model.config.is_encoder_decoder else uneven_masks(model)
    masks.hidden = None
    gated_equals_pruned_equals_reloaded(model, batch, masks, folder)


def loaded_elsewhere(model: Any, batch: Batch, folder: Path) -> None:
    """Each format is checked by its export against the model that is exported; here against the gated one, too."""
    masks = uneven(model) if model.config.is_encoder_decoder else uneven_masks(model)
    masks.hidden = None
    expected = gated_output(model, batch, masks)
    small = prunekit.prune(model, masks)
    for name in ("native", "padded"):
        prunekit.export(small, folder / name, name)
    stock = type(model).from_pretrained(folder / "padded").eval()
    with torch.no_grad():
        for loaded in (stock, prunekit.load(folder / "native", dtype=torch.float64)):
            torch.testing.assert_close(output(loaded, batch), expected, rtol=0, atol=1e-10)
    assert not hasattr(stock.config, "prunekit")


def graphs(model: Any, batch: Batch, folder: Path) -> None:
    masks = uneven(model) if model.config.is_encoder_decoder else uneven_masks(model)
    masks.hidden = None
    written = prunekit.export(prunekit.prune(model, masks).float(), folder / "onnx", "onnx")
    assert written.difference < 1e-4


def hidden(model: Any, batch: Batch, folder: Path) -> None:
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.hidden = torch.arange(prunekit.describe(model).hidden) % 5 != 3
    gated_equals_pruned_equals_reloaded(model, batch, masks, folder)


def importance(model: Any, batch: Batch, folder: Path) -> None:
    scores = prunekit.head_importance(model, [batch], normalise=False)
    for kind, by_row in derivatives(model, batch)[0].items():
        exists = ~scores[kind].isnan()
        torch.testing.assert_close(scores[kind][exists], by_row.abs().mean(0)[exists], rtol=1e-8, atol=1e-10)


def every_head_off(model: Any, batch: Batch, folder: Path) -> None:
    masks = prunekit.Masks.ones(prunekit.describe(model))
    kind = next(iter(masks.heads))
    masks.heads[kind][1, 2] = False
    if not model.config.is_encoder_decoder:
        found = ablate_heads(model, [batch]).logits["one_off"][1, 2]
        expected = gated_output(model, batch, masks)
        if expected.dim() == 3:  # what is said of padding is left out
            expected = expected * batch["attention_mask"].unsqueeze(-1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
        return
    model, pairs = with_words(model), some_pairs(4)
    alone = TranslationAblation(model, pairs, device=CPU, beams=2, batch_size=4).without(kind, 1, "one_off")[2]
    with prunekit.gated(model, masks):
        assert alone == translate(model, pairs, device=CPU, beams=2)


def gradients_and_search(model: Any, batch: Batch, folder: Path) -> None:
    gradients = mask_gradients(model, [batch])
    heads, neurons = derivatives(model, batch)
    torch.testing.assert_close(gradients.heads, heads["self"], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(gradients.neurons, neurons, rtol=1e-8, atol=1e-10)
    found = mac_search(diagonal(gradients), model, 8, 0.5)
    small = gated_equals_pruned_equals_reloaded(model, batch, rearrange(gradients, found), folder)
    share = prunekit.cost(small, 8).macs / prunekit.cost(model, 8).macs
    assert 0.45 < share <= 0.5


def tuning(model: Any, batch: Batch, folder: Path) -> None:
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[0, ::3] = False
    next(iter(masks.heads.values()))[1, 2] = False
    tuned = tune(model, masks, [batch])
    fitted_rows = [row for row in tuned.report if row["status"] == "tuned"]
    assert fitted_rows and all(row["error_after"] < row["error_before"] for row in fitted_rows)
    assert not bool(((tuned.masks.neurons == 1) | (tuned.masks.neurons == 0)).all())
    gated_equals_pruned_equals_reloaded(model, batch, tuned.masks, folder)


def latency(model: Any, batch: Batch, folder: Path) -> None:
    measured = latency_table(model, 1, 8, folder, stride=8, warmup=0, repeats=1)
    layout, whole = prunekit.describe(model), {"attention": 4, "ffn": 24}
    assert {row["units"] for row in measured.rows if row["sublayer"] == "ffn"} == {0, 1, 8, 16, 24}
    one_layer = sum(float(measured.milliseconds(name, [units])[0]) for name, units in whole.items())
    assert measured.model_milliseconds(model) == pytest.approx(layout.calls * one_layer)


def compressed(*methods: str) -> Callable[[Any, Batch, Path], None]:
    def by_each(model: Any, batch: Batch, folder: Path) -> None:
        for method in methods:
            small = prunekit.compress(model, [batch], method=method, constraint=0.5, length=8)
            assert 0.4 < prunekit.cost(small, 8).macs / prunekit.cost(model, 8).macs <= 0.5
            prunekit.save(small, folder / method)
            with torch.no_grad():
                again = output(prunekit.load(folder / method, dtype=torch.float64), batch)
                torch.testing.assert_close(again, output(small, batch), rtol=0, atol=1e-10)

    return by_each


def cofi(model: Any, batch: Batch, folder: Path) -> None:
    check_fit(model, model)
    size = PrunableSize.of(model)
    masks = fitted(Gates(model), size, 0.5)
    assert float(size.sparsity(masks.kept())) == pytest.approx(0.5, abs=0.02)
    gated_equals_pruned_equals_reloaded(model, batch, masks, folder)


def translation(model: Any, batch: Batch, folder: Path) -> None:
    model = with_words(model)
    masks, pairs = prunekit.Masks.ones(prunekit.describe(model)), some_pairs(4)
    next(iter(masks.heads.values()))[0, 1] = False
    small = prunekit.prune(model, masks)
    whole, pruned = (translate(one, pairs, device=CPU, beams=2) for one in (model, small))
    with prunekit.gated(model, masks):
        gated_alike = translate(model, pairs, device=CPU, beams=2)
    assert [one.tokens for one in pruned] == [one.tokens for one in gated_alike]
    assert [one.score for one in pruned] == pytest.approx([one.score for one in gated_alike], abs=1e-10)
    assert [one.score for one in pruned] != pytest.approx([one.score for one in whole], abs=1e-6)


ROWS: dict[str, Callable[[Any, Batch, Path], None]] = {
    "`gated`, `prune`, `save`, `load`, `cost`": gates,
    "`export` as `native`, `padded`": loaded_elsewhere,
    "`export` as `onnx`": graphs,
    "`masks.hidden`": hidden,
    "`head_importance`": importance,
    "every head off": every_head_off,
    "`mask_gradients`, `mac_search`, `rearrange`": gradients_and_search,
    "`tune`": tuning,
    "`latency_table`": latency,
    "`compress` by `fisher`": compressed("fisher"),
    "`compress` by `magnitude`, `random`": compressed("magnitude", "random"),
    "`compress` by `flap`": compressed("flap"),
    "`compress` by `ziplm`": compressed("ziplm"),
    "`compress` by `kprune`": compressed("kprune"),
    "`Cofi`": cofi,
    "`translate`": translation,
}
SUPPORTED = re.compile(
    r"only[: ]|supported are|can go from|`finetune` creates one|load the whole translation|these targets need"
    r"|use tune=false|encoders that answer about one input have|need a classifier or question answering"
    r"|no labels, nor start_positions|take any head|use refit=none or refit=bias|=kprune prunes"
)
"""What a refusal says that is supported instead."""


def cells() -> Iterator[Any]:
    """Row, family and task head; the first head of each column is quick for a family of every kind, others are slow."""
    for row in table("from Python"):
        seen = set()
        for family, described in FAMILIES.items():
            for head in described.task_heads:
                cell = (family, column_of(family, head))
                apart = "onnx" in row or "compress" in row  # which take seconds; tests of their own have every family
                if apart and family not in ("bert", "albert", *TRANSLATORS):
                    continue
                slow = (*COPIES, "roberta", "distilbert") if cell[1] != "tags" else {*FAMILIES} - {"bert"}
                quick = family not in slow and cell not in seen and not apart
                seen.add(cell)
                name = f"{row.replace('`', '')}-{family}-{head}"
                yield pytest.param(row, family, head, id=name, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("row", "family", "head"), list(cells()))
def test_what_the_page_says_of_a_model(row: str, family: str, head: str, tmp_path: Path) -> None:
    cell = table("from Python")[row][column_of(family, head)]
    words = {"choices"} if head == "ForMultipleChoice" else {f"`{family}`", f"`{head}`"}
    named = any(word in cell for word in words)
    works = cell == "yes" or (cell.startswith("only ") and named) or (cell.startswith("not ") and not named)
    assert works or named or cell == "refused" or cell.startswith("only ")
    model = random_model(family, head)
    if works:
        ROWS[row](model, batch_of(model, head), tmp_path)
        return
    with pytest.raises(UserError, match=SUPPORTED) as raised:
        ROWS[row](model, batch_of(model, head), tmp_path)
    assert "\n" not in str(raised.value)


def test_the_page_knows_every_family_and_every_row() -> None:
    encoders, translators = (
        re.findall(r"\(`([\w-]+)`", PAGE.partition(f"Families of {kind}:")[2].partition(".\n")[0])
        for kind in ("encoders", "encoder-decoders")
    )
    assert set(encoders) == set(ENCODERS) and set(translators) == set(TRANSLATORS)
    assert set(table("from Python")) == set(ROWS)
    of_teachers = {path.stem for path in CONF.glob("*.yaml")} - {"benchmark", "reproduce"}
    assert set(re.findall(r"`(\w+)`", " ".join(table("verb")))) == of_teachers
    methods = [name for row in ROWS if "compress" in row for name in re.findall(r"`(\w+)`", row)]
    assert sorted(methods) == sorted([*names(), *["compress"] * 5])
    columns = {column_of(family, head) for family, described in FAMILIES.items() for head in described.task_heads}
    assert all(set(cells) == columns for cells in table("from Python").values())


def tasks() -> dict[str, list[TaskConfig]]:
    """Some of each kind, by the column of the second table."""
    pair: dict[str, Any] = {"columns": ["a", "b"], "files": {"train": "t", "validation": "v"}}
    classes = TaskConfig(name="t", labels=["x", "y"], **pair)
    number = TaskConfig(name="t", metrics=["pearson"], **pair)
    span = TaskConfig(name="t", questions=True, label="c", metrics=["exact_match"], max_length=384, **pair)
    words = TaskConfig(name="t", translation=True, metrics=["bleu"], **pair)
    tags = TaskConfig(name="t", tags=True, columns=["a"], label="b", labels=["O", "B-X"], metrics=["entity_f1"],
                      files=pair["files"])  # fmt: skip
    one = {"tags": [tags], "questions": [span], "translation": [words]}
    return {"classification, regression": [classes, number], **one}


@cache
def composed_once(verb: str) -> Any:
    return composed(verb, *(["task=demo_translation", "model=marian-demo"] if verb == "time_decoding" else []))


@pytest.mark.parametrize(
    ("cell", "verb", "column"),
    [
        pytest.param(cell, verb, column, id=f"{verb}-{column}")
        for row, by_column in table("verb").items()
        for verb in re.findall(r"`(\w+)`", row)
        for column, cell in by_column.items()
    ],
)
def test_what_the_page_says_of_a_verb(cell: str, verb: str, column: str) -> None:
    for task in tasks()[column]:
        config = composed_once(verb)
        second = {"second": task} if hasattr(config, "second") else {}
        problems = [problem for problem in check(replace(config, task=task, **second)) if problem.startswith("task: ")]
        if cell == "yes":
            assert problems == []
        else:
            [problem] = problems
            assert re.search(r"`\w+`.* takes? it$|`time_\w+` times", problem) and "\n" not in problem


def test_teachers_have_the_head_of_their_task() -> None:
    for family, head in (("bert", "ForTokenClassification"), ("bart", "Model"), ("bert", "ForMaskedLM")):
        model = random_model(family, head)
        for [task, *_] in tasks().values():
            if KINDS[task.kind].fits(model):
                continue
            with pytest.raises(UserError, match=rf"^teacher: mine is a \w+{head}, task t needs .*; give a model that"):
                KINDS[task.kind].check_fits(model, "teacher: mine", task)

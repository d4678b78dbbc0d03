"""The method of ``docs/extending.md`` is added by doing what the page says, and works."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import prunekit
from experiments.cli.composition import CONF
from prunekit import methods
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.registry import method, method_class, names
from prunekit.methods.common.settings import MethodConfig
from prunekit.stages.score.gradients import mask_gradients
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.under_budget import search
from prunekit.support.errors import UserError
from tests.support.commands import TINY, called, perform
from tests.support.families import batch_for, tiny

OPTION = "power: float = within(1.0, 0, 8, above=True)"
PAGE = (CONF.parent / "docs" / "extending.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    section = PAGE.partition("## A method of pruning")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)[number]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more folder of methods, before the one that may have the page's method already."""
    monkeypatch.setattr(methods, "__path__", [str(tmp_path / "methods"), *methods.__path__])
    monkeypatch.delitem(sys.modules, "prunekit.methods.derivative", raising=False)
    (tmp_path / "methods").mkdir()
    before = set(sys.modules)
    yield tmp_path / "methods"
    for name in set(sys.modules) - before:
        if name.startswith("prunekit.methods.") and name.count(".") == 2:
            del sys.modules[name]


def test_the_method_of_the_page_in_two_files(folder: Path, tmp_path: Path) -> None:
    code = block("python")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30
    (folder / "derivative.py").write_text(code, encoding="utf-8")
    preset = tmp_path / "conf" / "method" / "derivative.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(block("yaml"), encoding="utf-8")
    assert "derivative" in names()
    record = perform(
        "compress", *TINY, "calibration_examples=64", "batch_sizes=[2]", "repeats=1", f"run.folder={tmp_path / 'runs'}",
        f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "method=derivative", "method.options.power=2",
    )  # fmt: skip
    assert record["metrics"]["method"] == "derivative" and record["sparsity"]["achieved_macs"] >= 0.5
    assert record["config"]["method"] == {"name": "derivative", "options": {"power": 2}}


def test_it_is_the_importance_of_prune_fisher(folder: Path) -> None:
    (folder / "derivative.py").write_text(block("python"), encoding="utf-8")
    model = tiny("bert")
    rows = batch_for(model, 8)
    rows["labels"] = torch.arange(8) % 3
    [first, *_] = compressions(model, [rows], "derivative", 0.4, length=9)
    scores = unit_scores("importance", model, mask_gradients(model, [rows]))
    masks = search(scores, model, Budget(0.4, "mac", 9))
    assert torch.equal(first.masks.neurons, masks.neurons)
    assert torch.equal(first.masks.heads["self"], masks.heads["self"])
    assert prunekit.describe(prunekit.compress(model, [rows], "derivative", 0.4)).neurons < 72


@pytest.mark.parametrize(
    ("old", "new", "lacks"),
    [
        ("    paper: ClassVar[str]", "    source: ClassVar[str]", r"Derivative lacks paper \(str\)"),
        ("    labels: ClassVar[bool] = True", "    labels: ClassVar[bool] = 1", r"Derivative lacks labels \(bool\)"),
        ("    def scores(", "    def score(", r"Derivative lacks scores\(\)"),
        ("class Derivative(ScoredMethod)", "class Derivative", "it has 0 classes that are a Method, one is needed"),
        ("@dataclass(frozen=True, kw_only=True)\n", "",
         r"option power: it is none without @dataclass\(frozen=True, kw_only=True\) above Derivative$"),
        (OPTION, "power: float",
         "option power: it has no default, give it a number, a text, True or False$"),
        (OPTION, "power: float | None = None",
         "option power: its default None tells no type, give it a number, a text, True or False$"),
        (OPTION, "power: list[float] = within([1.0], 0, 8)", r"option power: its default \[1.0\] tells no type, "),
        (OPTION, "power: list[float] = [1.0]", "it cannot be imported, ValueError: mutable default <class 'list'> for"),
        ("from prunekit.config.ranges import within", "from prunekit.config.ranges import inside",
         "it cannot be imported, ImportError: cannot import name 'inside' from 'prunekit.config.ranges'"),
    ],
)  # fmt: skip
def test_a_file_that_lacks_a_part_says_which(folder: Path, old: str, new: str, lacks: str) -> None:
    code = block("python")
    assert old in code
    (folder / "derivative.py").write_text(code.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=rf"^prunekit/methods/derivative.py: {lacks}") as refused:
        method("derivative", {"power": 2.0})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("refits = ()", "refits: it is empty, name one at least, as in refits = ('none',)"),
        ("refits = 'weights'", "refits: 'weights' is no tuple, write ('weights',)"),
        ("refits = ['weights']", "refits: ['weights'] is no tuple, write a tuple of names"),
        ("refits = ('wieghts',)", "refits: 'wieghts' is unknown, did you mean 'weights'?"),
        ("refits = ('none', 'none')", "refits: 'none' stands twice, once is enough"),
        ("refinements = ('weights',)", "refinements: 'weights' is unknown, choose from none, rearrange, swap"),
        ("families = ('brt',)", "families: 'brt' is unknown, did you mean 'bert'"),
        ("families = ()", "families: it is empty, name one at least, as in families = ('bert',), or None where it can"),
        ("units = 'heads'", "units: 'heads' is no tuple, write ('heads',)"),
        ("uniform = 1", "uniform: 1 is neither True nor False"),
        ("training = None", "training: None is neither True nor False"),
    ],
)
def test_what_a_class_says_of_itself_is_checked(folder: Path, said: str, wrong: str) -> None:
    code = block("python").replace(f"    {OPTION}", f"    {said}\n    {OPTION}")
    (folder / "derivative.py").write_text(code, encoding="utf-8")
    with pytest.raises(UserError, match=f"^{re.escape(f'prunekit/methods/derivative.py: {wrong}')}"):
        method_class("derivative")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("class Derivative(\n", ", line 1: '(' was never closed"),
        ("x = 1\nif x\n", ", line 2: expected ':'"),
        ("x = '\0'", ": source code string cannot contain null bytes"),
    ],
)
def test_what_is_no_python_is_told_with_its_line_before_torch_and_after(folder: Path, text: str, wrong: str) -> None:
    (folder / "derivative.py").write_text(text, encoding="utf-8")
    for read in (lambda: list(MethodConfig(name="derivative").problems()), lambda: method_class("derivative")):
        with pytest.raises(UserError, match=f"^{re.escape(f'prunekit/methods/derivative.py{wrong}')}") as refused:
            read()
        assert "\n" not in str(refused.value)


def test_a_file_without_its_preset_says_which_is_missing(folder: Path) -> None:
    (folder / "derivative.py").write_text(block("python"), encoding="utf-8")
    for command in ("method=derivative", "method=derivative,fisher -m"):
        ended = called("compress", *command.split())
        assert (ended.returncode, ended.stderr.strip()) == (2, (
            "compress: method=derivative: prunekit/methods/derivative.py is there, and conf/method/derivative.yaml is "
            "missing; write it"
        ))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pover": 1.0}, "method.options.pover: there is no such option of derivative, did you mean 'power'"),
        ({"power": 0.0}, "method.options.power: 0.0 must be above 0"),
        ({"power": "two"}, "method.options.power: 'two' is no float, as its default 1.0 is"),
    ],
)
def test_an_option_that_is_none(folder: Path, options: dict[str, object], message: str) -> None:
    (folder / "derivative.py").write_text(block("python"), encoding="utf-8")
    assert method("derivative", {"power": 2}) != method("derivative")
    with pytest.raises(UserError, match=message):
        method("derivative", options)

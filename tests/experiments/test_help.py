"""``--help`` says what every setting means, completion offers its choices, and docs/settings.md is the same."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import settings_page
from experiments.cli.composition import CONF, register
from experiments.cli.explained import choices, meanings, method_options, sections
from experiments.cli.help import completions
from experiments.prune_heads import PruneHeads
from prunekit.config.scale import ScaleConfig, TranslationScale
from prunekit.config.sections import RunConfig
from prunekit.config.task import TaskConfig
from prunekit.fisher.settings import FisherSettings
from prunekit.heads.settings import CurveSettings
from prunekit.methods.common.registry import method_class, names
from tests.support.commands import called


def test_help_has_meaning_type_value_and_choices_by_section() -> None:
    done = called("prune_heads", "--help", "task=stsb", "order=random", "seed=0,1", COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Prune heads in order of a score")
    place = lines.index("  order=random  (text)")
    assert "importance (Eq. 2), importance_released" in lines[place + 1]
    assert lines[lines.index("  floor=0  (integer)") + 1].strip().startswith("Heads with the highest scores that stay")
    assert "  task.metrics=[pearson, spearman]  (list of texts)" in lines
    assert "  experiment=  michel_fig3a, michel_fig3b, michel_fig4" in lines
    heads = [line.partition(":")[0] for line in lines if line and not line.startswith(" ")]
    assert heads[-8:] == ["Settings of prune_heads", "evaluation", "model", "task", "train", "run", "scale",
                          "scale.translation"]  # fmt: skip
    assert max(map(len, lines)) <= 100


def test_a_mistyped_setting_beside_help_is_refused() -> None:
    done = called("prune_heads", "--help", "sed=1")
    assert done.returncode == 2
    assert done.stderr.strip() == "prune_heads: sed: there is no such setting, did you mean 'seed'?"


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['prune_cofi', '--help']\n"
        "from experiments.prune_cofi import main; main()\n"
        "assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONF.parent, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  student.prune_epochs=" in done.stdout


@pytest.mark.parametrize("verb", settings_page.verbs())
def test_every_setting_of_every_verb_says_what_it_means(verb: str) -> None:
    found = [setting for section in sections(settings_page.schema_of(verb)()) for setting in section.settings]
    assert len(found) > 60
    assert [setting.name for setting in found if len(setting.meaning) < 10] == []
    assert len({setting.name for setting in found}) == len(found)


@pytest.mark.parametrize("method", names())
def test_every_option_of_every_method_says_what_it_means(method: str) -> None:
    """Read from the source, they are those that the class has, with its defaults; ``--help`` has given values."""
    own: Any = method_class(method)
    found = [setting for section in method_options(method, {}) for setting in section.settings]
    assert {one.name: one.value for one in found} == {
        f"method.options.{item.name}": item.default for item in dataclasses.fields(own)
    }
    assert [one.name for one in found if len(one.meaning) < 10] == []
    assert all(f"| `{one.name}` | {one.kind} |" in settings_page.PAGE.read_text(encoding="utf-8") for one in found)


def test_an_option_of_zero_is_given() -> None:
    [own] = method_options("ziplm", {"search_steps": 0})
    values = {one.name: one.value for one in own.settings}
    assert (values["method.options.search_steps"], values["method.options.damping"]) == (0, 0.01)


@pytest.mark.parametrize(
    ("field", "value"),
    [("a: float = 0.5", 0.5), ("a: float = within(0.01, 0, 1)", 0.01), ("a: float = within(DAMPING, 0, 1)", "DAMPING"),
     ("a: list[int] = field(default_factory=list)", "field(default_factory=list)"), ("a: int", None)],
)  # fmt: skip
def test_a_default_is_said_as_it_is_written(field: str, value: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "mine.py").write_text(f"class Mine:\n    paper: str\n    {field}\n")
    monkeypatch.setattr("prunekit.methods.__path__", [str(tmp_path)])
    [own] = method_options("mine", {})
    assert [one.value for one in own.settings if one.name == "method.options.a"] == [value]


def test_help_has_the_methods_and_the_options_of_the_chosen_one() -> None:
    done = called("compress", "--help", "method=kprune", "method.options.damping=0.5", COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "  method=  fisher, flap, kprune, magnitude, random, ziplm" in lines
    assert "method.options: Options of method=kprune." in lines
    place = lines.index("  method.options.damping=0.5  (number)")
    assert lines[place + 1].strip().startswith("λ of the least squares")
    assert "  method.options.head_weight=64.0  (number)" in lines


def test_meanings_are_of_the_class_that_declares_the_field() -> None:
    assert list(meanings(PruneHeads)) == ["share", "floor", "retrain_steps", "retrain_learning_rate", "save"]
    assert meanings(PruneHeads)["save"] == "Keep the pruned model of the last point in ``model/``."
    [own, *_] = sections(PruneHeads())
    assert [setting.name for setting in own.settings][-4:] == ["importance_examples", "teacher", "dtype", "seed"]


def test_choices_are_those_of_the_check() -> None:
    assert choices(RunConfig(), "wandb") == ("auto", "online", "offline", "disabled")
    assert choices(CurveSettings(), "order")[-1] == "magnitude"
    assert choices(PruneHeads(), "order")[-1] == "oracle"
    assert choices(FisherSettings(), "score") == ("fisher", "importance", "magnitude", "random")
    assert choices(TaskConfig(labels=["a", "b"]), "metrics") == ("accuracy", "f1", "matthews")
    assert choices(RunConfig(), "folder") == choices(RunConfig(), "threads") == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verb.py order=m", ["order=magnitude"]),
        ("verb.py -m order=random,or", ["order=random,oracle"]),
        ("verb.py run.force=", ["run.force=true", "run.force=false"]),
        ("verb.py task=stsb task.metrics=", ["task.metrics=[pearson", "task.metrics=[spearman"]),
        ("verb.py task.metrics=[accuracy,f", ["task.metrics=[accuracy,f1"]),
        ("verb.py order=random ", []),  # Hydra's: names and presets
        ("verb.py task=mn", []),
    ],
)
def test_completion_offers_choices(line: str, words: list[str]) -> None:
    register("prune_heads", PruneHeads)  # as the verb does
    assert completions("prune_heads", line) == words


def test_completion_answers_through_the_command() -> None:
    done = called("prune_heads", "-sc", "query=bash", COMP_LINE="verb.py dtype=f", COMP_POINT="15")
    assert done.stdout.split() == ["dtype=float32", "dtype=float64"]


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.reproduce", "--help"],
        cwd=CONF.parent, stdout=writing, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_is_what_the_classes_say() -> None:
    text = settings_page.PAGE.read_text(encoding="utf-8")
    assert text == settings_page.page(), "run `make readme`"
    assert "| `floor` | integer | `0` | Heads with the highest scores that stay in every layer" in text
    assert "| `grid` | number | `${scale.grid}` |" in text


def test_sizes_that_a_scale_chooses_are_named_at_the_end() -> None:
    done = called("compress", "--help", COLUMNS="100")
    before, _, sizes = done.stdout.partition("\nscale: ")
    assert "\n  seed=0  (integer)" in before and "scale.grid" not in done.stdout
    own, translation = (" ".join(part.split()) for part in sizes.split("\nscale.translation: "))
    for schema, text in ((ScaleConfig, own), (TranslationScale, translation)):
        names = [item.name for item in dataclasses.fields(schema) if item.name != "translation"]
        assert f"{', '.join(names)}: scale=NAME chooses them together; --cfg job prints them" in text.replace(
            "translation.", ""
        )
    assert len(sizes.splitlines()) < 20

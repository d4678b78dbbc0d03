"""Every file of conf/ composes into a checked configuration, none is forgotten, and a preset runs all of its figure."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from analysis.catalogue.chapters import CHAPTERS
from analysis.catalogue.commands import of_claim
from analysis.claims import papers
from analysis.data.groups import Setting, flat
from experiments.cli.cells import Cell, cells_of, parts_of
from experiments.cli.composition import CONF, preset_named, register, typed
from experiments.cli.sweeper import sweep_of, sweeps
from experiments.cli.verb import named
from experiments.reproduce import PAPERS
from prunekit.config.choices import STRUCTURES
from prunekit.models.families.table import FAMILIES
from prunekit.runs.identity import run_id
from tests.support.commands import composed

EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
TASKS = sorted(path.stem for path in (CONF / "task").glob("*.yaml") if path.stem not in ("files", "questions", "tags"))
SCALES = ("demo", "small", "base", "paper")
SLOW_SCALES = [pytest.param(name, marks=pytest.mark.slow) for name in ("demo", "base", "paper")]
SCALES_OF_RUNS = ("small", *SLOW_SCALES)
"""Where every cell of every preset is made: in the fast tests at the scale of the logged runs alone."""
VERBS = sorted(path.stem for path in CONF.glob("*.yaml"))
MACHINE = {"type": "cpu", "name": "fixed", "threads": 1}
"""Hardware, where it is part of an identity."""


def commands(path: Path) -> list[str]:
    return re.findall(r"^#   python -m experiments\.(.+)$", path.read_text(), flags=re.MULTILINE)


@cache
def with_files(verb: str, *files: str, hydra: bool) -> Any:
    """A verb's configuration with the files of conf/ that are chosen. Hydra takes its time, and many runs share one."""
    register(verb, named(verb).settings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(verb, list(files), return_hydra_config=hydra)


def chooses(override: str) -> bool:
    """Whether an override names a file of conf/, not a value."""
    return (CONF / override.partition("=")[0]).is_dir()


@cache
def parsed(override: str) -> tuple[str, Any]:
    """Setting and value of an override: cells share most of theirs, and Hydra's grammar takes longer than the rest."""
    found = OverridesParser.create().parse_override(override)
    return found.key_or_group, found.value()


def with_values(verb: str, *overrides: str, hydra: bool = False) -> Any:
    """What Hydra composes: the files first, then values, which must be of a setting that is there and of its type."""
    config = with_files(verb, *filter(chooses, overrides), hydra=hydra).copy()
    for text in overrides:
        if not chooses(text):
            OmegaConf.update(config, *parsed(text))
    return config


def with_hydra(verb: str, *overrides: str) -> Any:
    """The composed configuration with Hydra's own section."""
    return with_values(verb, *overrides, hydra=True)


def checked(verb: str, *overrides: str) -> Any:
    return typed(with_values(verb, *overrides), named(verb).settings)


def cells(verb: str, *overrides: str) -> list[Cell]:
    """What a command line runs."""
    plain = [text for text in overrides if "," not in re.sub(r"\[.*?\]", "", text)]
    return cells_of(sweep_of(with_hydra(verb, *plain), overrides))


@cache
def runs_of(preset: str, scale: str) -> list[tuple[str, Any]]:
    """Verb and settings of every run of a preset."""
    verb, fixed = preset_named(preset).verb, [f"experiment={preset}", f"scale={scale}"]
    sweeper = with_hydra(verb, *fixed).hydra.sweeper
    cells = cells_of(parts_of(sweeper)) if sweeps(sweeper) else [{}]
    return [(verb, checked(verb, *fixed, *map("{}={}".format, cell, cell.values()))) for cell in cells]


def identity(verb: str, settings: Any) -> tuple[str, str]:
    own = named(verb)
    hardware = {**MACHINE, "dtype": settings.run_dtype} if own.measures_time(settings) else None
    return verb, run_id(verb, own.revision(settings), settings, hardware)


def test_values_after_files_are_what_hydra_composes() -> None:
    files = ["experiment=michel_fig3b", "scale=small", "task=sst2"]
    values = ["order=random", "seed=3", "train.epochs=5", "scale.teacher_seeds=[3,4]", "grid=0.5"]
    whole = [*values[:2], *files, *values[2:]]
    assert checked("prune_heads", *whole) == composed("prune_heads", *whole)


def test_counts() -> None:
    """Raised by whoever adds a file: a preset that no test finds is a preset that no test checks."""
    assert (len(EXPERIMENTS), len(MODELS), len(TASKS)) == (35, 13, 20)
    assert sorted(path.stem for path in (CONF / "scale").glob("*.yaml")) == sorted(SCALES)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_says_how_to_run_it_and_composes(path: Path) -> None:
    header = path.read_text()
    assert "# Expect: " in header and "# Time: " in header
    assert commands(path)
    for line in commands(path):
        assert f"experiment={path.stem}" in line.split()
        verb, names, options = options_of(line)
        assert verb == preset_named(path.stem).verb
        for values in product(*options):
            said = list(map("{}={}".format, names, values))
            swept = {name: value for name, value in cells(verb, *said)[0].items() if name not in names}
            checked(verb, *said, *map("{}={}".format, swept, swept.values()))
        assert cells(*(text for text in line.split() if text != "-m"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_preset_changes_the_configuration_or_names_a_sweep(path: Path) -> None:
    verb = preset_named(path.stem).verb
    config, without = with_hydra(verb, f"experiment={path.stem}"), with_hydra(verb)
    assert sweeps(config.hydra.sweeper) == (config.hydra.mode is not None)
    if not sweeps(config.hydra.sweeper):
        plain = [OmegaConf.to_container(each, resolve=False) for each in (config, without)]
        for each in plain:
            assert isinstance(each, dict)
            del each["hydra"], each["preset"]
        assert plain[0] != plain[1]


@pytest.mark.parametrize(
    "path",
    [path if path.stem == "logged_shapes" else pytest.param(path, marks=pytest.mark.slow) for path in EXPERIMENTS],
    ids=lambda path: path.stem,
)
def test_what_a_preset_sets_is_set(path: Path) -> None:
    """Also where its verb's own file sets it, as `time_inference` does with lengths."""
    own = yaml.safe_load(path.read_text())
    verb = own.pop("preset")["verb"]
    own = {name: value for name, value in own.items() if name not in ("hydra", "defaults")}
    everything: Any = OmegaConf.to_container(with_hydra(verb, f"experiment={path.stem}"), resolve=False)
    assert dict(flat(own)).items() <= dict(flat(everything)).items()


def test_every_figure_and_table_has_a_preset() -> None:
    drawn = {f"{chapter.paper}/{part.name}".lstrip("/") for chapter in CHAPTERS for part in chapter.parts}
    by_verb = {f"{chapter.paper}/{part.name}".lstrip("/"): part.verbs for chapter in CHAPTERS for part in chapter.parts}
    named_by_presets = set()
    for path in EXPERIMENTS:
        preset = preset_named(path.stem)
        named_by_presets |= set(preset.figures)
        assert all(preset.verb in by_verb[figure] for figure in preset.figures), path.stem
    assert named_by_presets == drawn


@pytest.mark.parametrize("scale", SCALES_OF_RUNS)
@pytest.mark.parametrize("paper", PAPERS)
def test_the_runs_of_a_paper_are_those_that_they_always_were(paper: str, scale: str) -> None:
    known = json.loads(Path(__file__).with_name("run_ids.json").read_text())[paper][scale]
    found = {identity(verb, settings) for name in PAPERS[paper].presets for verb, settings in runs_of(name, scale)}
    assert sorted(map(list, found)) == known


def test_a_preset_follows_its_scale() -> None:
    settings = composed("ablate_heads", "experiment=michel_fig1b", "scale.teacher_seeds=[3,4]")
    assert settings.train.seed == 3
    assert composed("ablate_heads", "experiment=michel_fig1b", "train.seed=5").train.seed == 5
    for scale, budgets in (("base", "0.3,0.5,0.64,0.7,0.9"), ("small", "0.3,0.4,0.5,0.6,0.7,0.8,0.9")):
        own = [cell["constraint"] for cell in cells("prune_fisher", "experiment=kwon_latency", f"scale={scale}")]
        assert own == budgets.split(",")  # by measured latency; where a scale has none, those of MACs


def test_the_blocks_that_the_page_names_are_together_the_preset() -> None:
    page = (CONF.parent / "docs" / "sweeps.md").read_text()
    start = "python -m experiments.prune_heads experiment=michel_fig3b scale=base"
    blocks = re.findall(rf"^{start} ('scale.teacher_seeds.*)$", page, flags=re.MULTILINE)
    own = ["experiment=michel_fig3b", "scale=base"]
    found = [
        {name: value for name, value in cell.items() if not name.startswith("scale.")}
        for block in blocks for cell in cells("prune_heads", *own, *shlex.split(block))
    ]
    assert len(blocks) == 3 and sorted(found, key=str) == sorted(cells("prune_heads", *own), key=str)


def options_of(line: str) -> tuple[str, list[str], list[list[str]]]:
    """The verb of a command, the names of its overrides, and the values of each: several only with ``-m``."""
    verb, *overrides = shlex.split(line)
    parts = [text.partition("=") for text in overrides if text != "-m"]
    options = [re.split(r",(?![^\[]*\])", value) for _, _, value in parts]  # lists stay whole
    swept = "-m" in overrides or any(name == "experiment" for name, _, _ in parts)
    assert swept or all(len(values) == 1 for values in options)
    return verb, [name for name, _, _ in parts], options


def commands_of_claims() -> list[str]:
    """What the claims tables tell their reader to run, in an order of its own."""
    of_encoders = [claim for chapter in CHAPTERS if not chapter.translation for claim in chapter.list_claims()]
    of_encoders += papers.read("albert").claims
    of_translation = [claim for chapter in CHAPTERS if chapter.translation for claim in chapter.list_claims()]
    assert (len(of_encoders), len(of_translation)) == (50, 14)
    small = Setting("minilm-l6", "pretrained", "", "small")
    judged: list[Any] = [
        SimpleNamespace(task=task, seed=seed, teacher_seed=seed, config={})
        for task in ("mnli", "sst2") for seed in range(3)
    ]  # fmt: skip
    lines = {of_claim(claim, small, judged=judged) for claim in of_encoders}
    lines |= {of_claim(claim, None) for claim in of_encoders}
    for setting in (
        Setting("marian-small", "scratch", "multi30k", "small"),
        Setting("marian-demo", "scratch", "demo_translation", "demo"),
    ):
        lines |= {of_claim(claim, setting) for claim in of_translation}
    return sorted(lines)


@pytest.mark.parametrize("part", [slice(2, None, 8), pytest.param(slice(None), marks=pytest.mark.slow)], ids=str)
def test_the_command_of_every_claim_composes(part: slice) -> None:
    lines = commands_of_claims()[part]
    assert lines
    for line in lines:
        verb, names, options = options_of(line.removeprefix("python -m experiments."))
        for place in range(max(map(len, options))):  # every option once, not every cell
            checked(verb, *map("{}={}".format, names, [values[place % len(values)] for values in options]))
        swept = cells(verb, *(text for text in shlex.split(line)[3:] if text != "-m"))
        said = dict(zip(names, options, strict=True))  # of what is said twice the last counts
        for name, values in said.items():  # all of it is run, and it narrows the preset
            assert {cell[name] for cell in swept} == set(values), line


@pytest.mark.parametrize("scale", SCALES_OF_RUNS)
def test_every_run_of_cofi_composes(scale: str) -> None:
    made = [settings for name in PAPERS["cofi"].presets for _, settings in runs_of(name, scale)]
    distinct = len({run_id("prune_cofi", 0, config) for config in made})
    assert distinct >= 9
    assert scale != "small" or f" of the {distinct} of CoFi" in (CONF.parent / "README.md").read_text(encoding="utf-8")
    assert {config.structure for config in made} == set(STRUCTURES)


@pytest.mark.parametrize(
    ("scale", "model"), [("demo", "marian-demo"), ("small", "marian-small"), ("paper", "opus-mt-en-fr")]
)
def test_decoding_composes_at_every_scale(scale: str, model: str) -> None:
    on = composed("reproduce", f"scale={scale}").scale.translation
    config = composed("time_decoding", f"scale={scale}", f"task={on.task}", f"model={on.model}")
    assert config.scale.name == scale and config.model.name == model and config.repeats == config.scale.repeats


@pytest.mark.parametrize("scale", SCALES_OF_RUNS)
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "time_decoding"])
def test_every_verb_composes_at_every_scale(verb: str, scale: str) -> None:
    config = composed(verb, f"scale={scale}")
    assert config.scale.name == scale
    assert config.model.name == {
        "demo": "demo", "small": "minilm-l6", "base": "mpnet-base", "paper": "bert-base",
    }[scale]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_of_a_family_in_the_table(name: str) -> None:
    config = composed("finetune", f"model={name}").model
    assert config.name == name
    assert config.family in FAMILIES


@pytest.mark.parametrize("name", TASKS)
def test_every_task_composes(name: str) -> None:
    task = composed("finetune", f"task={name}").task
    assert task.name == name
    assert task.regression == (name == "stsb")


def test_the_command_line_wins_over_the_scale() -> None:
    config = composed("prune_heads", "scale=small", "task=sst2", "model=bert-base", "importance_examples=5")
    assert (config.task.name, config.model.name, config.importance_examples) == ("sst2", "bert-base", 5)


def test_a_model_brings_its_recipe_and_a_task_what_is_special_to_it() -> None:
    def recipe(*overrides: str) -> tuple[int, int, float]:
        train = composed("prune_fisher", *overrides).train
        return train.epochs, train.batch_size, train.learning_rate

    assert recipe() == recipe("scale=demo") == (6, 64, 8e-4)
    assert recipe("scale=small") == recipe("model=minilm-l6", "task=mnli") == (2, 32, 1.5e-4)
    assert recipe("scale=small", "task=sst2") == recipe("model=minilm-l6", "task=sst2") == (1, 32, 1.5e-4)
    assert recipe("scale=small", "task=squad") == (1, 16, 1.5e-4)
    assert recipe("scale=paper") == recipe("scale=small", "model=bert-base") == (3, 32, 2e-5)
    assert recipe("scale=small", "task=sst2", "train.epochs=5") == (5, 32, 1.5e-4)
    assert recipe("scale=base") == recipe("scale=base", "task=sst2") == (1, 32, 3e-5)
    assert recipe("scale=base", "task=mrpc") == (3, 32, 3e-5)


def test_base_size_evaluates_2000_rows_of_mnli_and_all_of_tasks_with_fewer() -> None:
    """Records of other numbers of rows cannot be joined; SQuAD, which has more, is evaluated whole."""
    for task in ("mnli", "sst2"):
        assert composed("prune_heads", "scale=base", f"task={task}").evaluation.examples == 2000
    assert composed("prune_fisher", "scale=base", "task=squad").evaluation.examples is None
    assert composed("prune_heads", "scale=base").scale.teacher_seeds == [0, 1, 2]
    assert composed("reproduce", "scale=base").scale.translation.task == ""
    trained = [composed("finetune", *overrides).train.attention for overrides in (["scale=base"], ["scale=small"])]
    assert trained == ["eager", None]


@pytest.mark.parametrize("path", sorted((CONF / "recipe").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_of_a_model_and_a_task_that_are_there(path: Path) -> None:
    model, _, task = path.stem.partition("_")
    overrides = [f"model={model}", *([f"task={task}"] if task else [])]
    assert model in MODELS
    assert (task in TASKS) == path.parent.name.endswith("task")
    if path.parent.name.startswith("cofi"):
        assert composed("prune_cofi", *overrides).student != composed("prune_cofi", "model=albert-base").student
    else:
        assert composed("finetune", *overrides).train != composed("finetune", "model=albert-base").train


def test_partners_of_the_scales() -> None:
    pairs = {scale: composed("transfer", f"scale={scale}") for scale in SCALES}
    told = {scale: (c.task.name, c.task.evaluation, c.second.name, c.second.evaluation) for scale, c in pairs.items()}
    assert told == {
        "demo": ("demo", "validation_matched", "demo_mismatched", "validation_mismatched"),
        "small": ("mnli", "validation_matched", "snli", "validation"),
        "base": ("mnli", "validation_matched", "snli", "validation"),
        "paper": ("mnli", "validation_matched", "mnli_mismatched", "validation_mismatched"),
    }

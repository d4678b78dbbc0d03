"""Models and data of a user's own: what they are called, and that every command that is printed for them can be run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.catalogue.commands import of_chapter
from analysis.catalogue.draw import draw_all
from analysis.data.groups import Setting, setting_of
from analysis.data.loading import Journal, load
from tests.support.commands import composed
from tests.support.drawings import only_csv
from tests.support.records import kwon, michel
from tests.support.records.frame import MINILM

FILES = {"train": "/data/my own/train.csv", "validation": '/data/"dev".csv', "test": None}
MOODS = {"name": "moods", "source": "files", "columns": ["headline"], "label": "mood", "labels": ["up", "no"],
         "metrics": ["accuracy", "f1"], "files": FILES, "max_length": 32, "vocabulary": 8000}  # fmt: skip


COMMA = re.compile(r",(?![^\[]*\])")
"""Between options of a sweep, not between those of a list."""


def change(folder: Path, **sections: Any) -> Path:
    """A finished run with other sections of its configuration, and of its model where they say one."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["config"] |= sections
    if "model" in sections:
        result["model"] |= {name: sections["model"][name] for name in ("name", "path")}
    if sections.get("teacher"):
        result["teacher"] = {"run_id": None, "path": sections["teacher"]}
    path.write_text(json.dumps(result))
    return folder


def of_teacher(folder: Path, origin: Path, **sections: Any) -> Path:
    """A run on the model that another one saved."""
    teacher = str(origin / "model")
    return change(folder, teacher=teacher, model={"name": origin.name, "path": teacher}, **sections)


def printed(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All commands of what is not drawn and of the claims."""
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    missing = draw_all([root], root.parent / "figures").missing
    found = [line.split("; run ")[1] for line in missing if "; run " in line]
    claims = pd.read_csv(root.parent / "figures" / "claims.csv", keep_default_na=False)
    return list(dict.fromkeys([*found, *claims["command"]]))


def settings(command: str) -> list[Any]:
    """The checked settings of a command: of a sweep, those of the first and of the last of all that it sweeps."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"], command
    verb, overrides = words[2].removeprefix("experiments."), [word for word in words[3:] if word != "-m"]
    given = {name: COMMA.split(values) for name, values in (text.split("=", 1) for text in overrides)}
    swept = any(len(values) > 1 for values in given.values())
    assert swept == ("-m" in words[3:]), command
    return [
        composed(verb, *(f"{name}={values[place]}" for name, values in given.items()))
        for place in ((0, -1) if swept else (0,))
    ]


@pytest.mark.slow
def test_commands_of_own_files_and_teachers_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = change(michel.finetune(tmp_path / "runs", task="moods", teacher=None, scale="demo"), task=MOODS)
    for task in (MOODS, MOODS | {"name": "files"}):
        of_teacher(michel.ablation(tmp_path / "runs", MINILM, task=task["name"], scale="demo"), origin, task=task)
    of_teacher(kwon.pruning(tmp_path / "runs", MINILM, "moods"), origin, task=MOODS)
    change(michel.pruning(tmp_path / "runs", MINILM, "importance", task="moods", scale="demo"), task=MOODS)
    commands = [command for command in printed(tmp_path / "runs", monkeypatch) if command]
    teacher, files = f"teacher={origin}/model", shlex.quote(f'task.files.train="{FILES["train"]}"')
    assert len([command for command in commands if teacher in command]) >= 5
    for command in commands:
        assert origin.name not in command.replace(teacher, "") and not command.startswith("make"), command
        for config in settings(command):
            if teacher in command:
                assert config.teacher == f"{origin}/model" and "train.seed=0,1" not in command
            if "task=files" in command:
                assert files in command
                own = {name: getattr(config.task, name) for name in MOODS if name != "name"}
                assert own == {name: value for name, value in MOODS.items() if name != "name"}
    transfers = " ".join(text for text in commands if ".transfer" in text)
    assert "moods" not in transfers and "files" not in transfers and "teacher" not in transfers, "no second set"
    assert " task=moods" not in " ".join(commands)


def test_there_is_no_command_for_a_task_that_nobody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    michel.ablation(tmp_path / "runs", MINILM, task="mine")
    assert not [command for command in printed(tmp_path / "runs", monkeypatch) if "mine" in command]


def test_teachers_made_here_are_named_by_model_and_task(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = michel.finetune(runs, task="sst2", teacher=None)
    of_teacher(michel.pruning(tmp_path / "own", MINILM, "oracle", task="sst2"), first)
    for sources in ([tmp_path / "own"], [runs, tmp_path / "own"]):  # the run beside the model, or among the records
        [record] = [record for record in load(sources, Journal()) if record.verb == "prune_heads"]
        assert setting_of(record).folder == "minilm-l6-sst2_sst2"
    second = michel.finetune(runs, task="sst2", teacher=None, seed=1)
    of_teacher(michel.pruning(tmp_path / "own", MINILM, "random", task="sst2"), second)
    names = {record.model.name for record in load([tmp_path / "own"], Journal())}
    assert names == {f"minilm-l6-sst2-{first.name}", f"minilm-l6-sst2-{second.name}"}
    (second / "result.json").unlink()
    names = {record.model.name for record in load([tmp_path / "own"], Journal())}
    assert names == {"minilm-l6-sst2", second.name}


@pytest.mark.parametrize(
    ("scale", "models", "other"),
    [("small", ("minilm-l6", "marian-small"), "mpnet-base"), ("base", ("mpnet-base",), "marian-small"),
     ("paper", ("bert-base", "opus-mt-en-fr"), "mpnet-base")],
)  # fmt: skip
def test_a_paper_is_made_again_at_its_scale_of_its_own_models(
    scale: str, models: tuple[str, ...], other: str
) -> None:
    """Also at a scale without translation."""
    for model in models:
        assert of_chapter("make x", Setting(model, "pretrained", "", scale), []) == f"make x SCALE={scale}"
    assert of_chapter("make x", Setting(other, "pretrained", "", scale), []) == ""

"""What a configuration names on this machine: files of data, folders of models and of records. Their content changes a
result as much as a setting does. What lies on the Hub or is generated is named by the configuration alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from prunekit.config.sections import ModelConfig, Settings
from prunekit.config.task import TaskConfig
from prunekit.support.contents import file_hash, files_hash
from prunekit.support.errors import UserError

NOT_READ = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".ot", ".onnx", ".md", ".log")
"""Files in a model's folder that are no part of it: other formats of its weights, the state of a training, text."""
NO_FOLDERS = ("demo", "files", "sacrebleu")
"""Sources of a task that name no data set."""
Hash = Callable[[], str | None]


def local_input(config: Settings) -> dict[str, str]:
    """Hash of the content of all local input, by the setting that names it (``task.files.train``, ``teacher``).

    What is not there, or cannot be read, is left out: whoever reads it says so.
    """
    found = {}
    for setting, content in _named(config):
        try:
            value = content()
        except OSError:
            continue
        if value is not None:
            found[setting] = value
    return found


def check_unchanged(config: Settings, content: dict[str, str]) -> None:
    """Refuse to write a record of input that was changed while it was read: nobody knows what it would be of.

    Args:
        content: of the input as the run began, as :func:`local_input` says it.

    Raises:
        UserError: it was.
    """
    now = local_input(config)
    for setting in {**content, **now}:
        if now.get(setting) != content.get(setting):
            raise UserError(f"{setting}: changed while the run read it; the same command runs on what is there now")


def _named(config: Settings) -> Iterator[tuple[str, Hash]]:
    teacher = getattr(config, "teacher", None)
    for item in dataclasses.fields(config):
        section = getattr(config, item.name)
        if isinstance(section, TaskConfig):
            yield from _data(item.name, section, Path(config.run.folder))
        elif isinstance(section, ModelConfig) and section.path not in (None, teacher):
            yield f"{item.name}.path", partial(_model, Path(str(section.path)))
    if teacher is not None:
        yield "teacher", partial(_model, Path(teacher))
    if (record := getattr(config, "shape_of", None)) is not None:
        yield "shape_of", partial(_record, Path(record))
    if (source := getattr(config, "source", None)) is not None:
        yield "source", partial(_saved, Path(source), Path(config.run.folder) / source)


def _data(name: str, task: TaskConfig, runs: Path) -> Iterator[tuple[str, Hash]]:
    if task.source == "files":
        for split in dict.fromkeys((task.train, task.evaluation, task.selection)):
            if split is not None and (given := task.files.get(split)):
                yield f"{name}.files.{split}", partial(_file, Path(given), task.columns)
    elif task.source not in NO_FOLDERS:
        yield f"{name}.source", partial(_folder, Path(task.source), runs.resolve())


def _file(path: Path, columns: list[str]) -> str | None:
    """Of a file, or of the line-aligned ones with its name and a column each."""
    if path.is_file():
        return file_hash(path)
    aligned = [path.parent / f"{path.name}.{column}" for column in columns]
    return files_hash(path.parent, aligned) if all(map(Path.is_file, aligned)) else None


def _folder(path: Path, runs: Path) -> str | None:
    """Of a file, or of a folder with everything in it but what is hidden, which no data set reads, and the runs' own
    files: they change while a run reads its data."""
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        return None
    seen = (inside for inside in path.rglob("*") if not inside.resolve().is_relative_to(runs))
    shown = (inside for inside in seen if not any(part.startswith(".") for part in inside.relative_to(path).parts))
    return files_hash(path, filter(Path.is_file, shown))


def _record(folder: Path) -> str:
    """Of what a run recorded of its pruned model."""
    return files_hash(folder, [folder / "result.json", folder / "tables" / "kept.csv"])


def _saved(*folders: Path) -> str | None:
    """Of the model in the first folder of a run that is there."""
    return next((_model(folder / "model") for folder in folders if folder.is_dir()), None)


def _model(folder: Path) -> str | None:
    """Of weights, configuration and tokenizer; nothing deeper is read (:mod:`prunekit.models.weight_files`)."""
    if not folder.is_dir():
        return None
    files = (path for path in folder.iterdir() if path.suffix not in NOT_READ and not path.name.startswith("."))
    return files_hash(folder, filter(Path.is_file, files))

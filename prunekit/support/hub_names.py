"""Names that may be a folder of this machine or an id on the Hugging Face Hub: which of them can be a folder alone, and
what a folder is that is no model's."""

from __future__ import annotations

import re
from pathlib import Path

from prunekit.support.errors import UserError

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def fits_the_hub(name: str) -> bool:
    """Whether a name could be an id: a repository, mostly of an owner, and no path."""
    return _ID.fullmatch(name) is not None and not name.startswith(".")


def check_there(name: str | Path, setting: str = "", kind: str = "model") -> None:
    """Refuse a folder that is not there, before the Hub is asked for it, again and again where there is no network.

    A name is a folder's if no id is like it, as with a second slash, a space or a ``.`` at its start, or if it begins
    with a folder of runs. Of another folder that is there it may be an id all the same: a clone of a model beside it
    lies in a folder of its owner's name.

    Args:
        setting: that names it.
        kind: of what it names: ``model`` or ``dataset``.

    Raises:
        UserError: it is not there.
    """
    text = str(name)
    first, slash, _ = text.partition("/")
    if Path(text).exists():
        return
    where, right = f"{setting}: {text}" if setting else text, f"give the folder of a {kind}"
    if not fits_the_hub(text):
        raise UserError(f"{where}: not a folder, and no name of the Hugging Face Hub's; {right}")
    if slash and any(Path(first).glob("*/*/config.yaml")):
        raise UserError(f"{where}: not a folder, and {first} is one of runs; {right}")


def check_no_folder_of_runs(folder: Path, setting: str) -> None:
    """
    Raises:
        UserError: the folder holds runs, of a verb or of all, where one of them is wanted.
    """
    if run := _run_in(folder):
        raise UserError(f"{setting}: {folder} is a folder of runs; give one of them, such as {run}")


def no_model(folder: Path) -> str:
    """What is wrong with the folder of a model that has no readable config.json."""
    if (folder / "config.yaml").is_file() and _has_model(folder):
        return f"a run; give its model, {folder / 'model'}"
    if (run := _run_in(folder)) and _has_model(run):
        return f"a folder of runs; give the model of one of them, such as {run / 'model'}"
    return "no readable config.json; give the folder of a saved model"


def _run_in(folder: Path) -> Path | None:
    """A run in a folder of runs, if there is one with its model."""
    runs = [path.parent for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/config.yaml"))]
    return min(runs, key=lambda run: not _has_model(run), default=None)


def _has_model(run: Path) -> bool:
    return (run / "model" / "config.json").is_file()

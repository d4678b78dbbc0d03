"""Names that may be a folder of this machine or an id on the Hugging Face Hub: which of them can be a folder alone."""

from __future__ import annotations

from pathlib import Path

from prunekit.support.errors import UserError


def check_there(name: str | Path, setting: str = "", kind: str = "model") -> None:
    """Refuse a folder that is not there, before the Hub is asked for it, again and again where there is no network.

    A name is a folder's if it starts with ``.``, ``/`` or ``~``, has more than one slash, which no id has, or begins
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
    if text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise UserError(f"{where}: not a folder, and no name of the Hugging Face Hub's; {right}")
    if slash and any(Path(first).glob("*/*/config.yaml")):
        raise UserError(f"{where}: not a folder, and {first} is one of runs; {right}")

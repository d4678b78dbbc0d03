"""Names that may be a folder of this machine or an id on the Hugging Face Hub: which of them can be a folder alone."""

from __future__ import annotations

from pathlib import Path

from prunekit.support.errors import UserError


def check_there(name: str | Path, setting: str = "", kind: str = "model") -> None:
    """Refuse a folder that is not there, before the Hub is asked for it, again and again where there is no network.

    A name is a folder's if it starts with ``.``, ``/`` or ``~``, has more than one slash, which no id has, or begins
    with a folder that is there; the Hub's cache may still have such a one.

    Args:
        setting: that names it.
        kind: of what it names, as the Hub calls it: ``model`` or ``dataset``.

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
    if slash and Path(first).is_dir() and not _is_cached(text, kind):
        raise UserError(f"{where}: not a folder, and as {first} is one, the Hugging Face Hub is not asked; {right}")


def _is_cached(name: str, kind: str) -> bool:
    from huggingface_hub.constants import HF_HUB_CACHE

    return (Path(HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}").is_dir()

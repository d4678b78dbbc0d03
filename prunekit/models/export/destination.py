"""Which folders an export may be written to: new ones, and those of an earlier export in the same format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from prunekit.config.choices import EXPORT_FORMATS
from prunekit.models.pruned_format import GRAPHS
from prunekit.models.pushing import CARD
from prunekit.models.weight_files import holds_a_model
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILES = (CARD, *GRAPHS)
"""Names in an exported folder beside those of a saved model, and the pictures of its card."""


def check_destination(model: PreTrainedModel, folder: Path, format: str) -> None:
    """
    Raises:
        UserError: a folder that holds anything but an earlier export in this format, or what ``model`` was loaded from.
    """
    if not folder.exists():
        there = next(parent for parent in folder.absolute().parents if parent.exists())
        if not there.is_dir():
            raise UserError(f"{folder}: {there} is a file, no folder; give a new folder")
        return
    if not (folder.is_dir() and holds_a_model(folder, (*FILES, *_pictures_in(folder)))):
        raise UserError(f"{folder}: holds something else than a saved model; give a new folder")
    if not any(folder.iterdir()):
        return
    source = model.config.name_or_path
    if source and Path(source).resolve() == folder.resolve():
        raise UserError(f"{folder}: is the model itself; give a new folder")
    before = _format_of(folder)
    if before != format:
        what = "a saved model that was not exported" if before is None else f"an export in format={before}"
        raise UserError(f"{folder}: holds {what}, which would be lost; give a new folder")


def _card(folder: Path) -> str:
    card = folder / CARD
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""


def _pictures_in(folder: Path) -> list[str]:
    """The pictures that the card of a folder shows."""
    return re.findall(r"^!\[[^]]*\]\(([^/)]+\.png)\)$", _card(folder), re.MULTILINE)


def _format_of(folder: Path) -> str | None:
    """The format that a folder was exported in, a tag in the head of its card; None for one without such a card."""
    tags = re.findall(r"^- (\S+)$", _card(folder).partition("\n---\n")[0], re.MULTILINE)
    return next((tag for tag in tags if tag in EXPORT_FORMATS), None) if "prunekit" in tags else None

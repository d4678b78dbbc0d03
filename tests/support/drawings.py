"""What a drawn figure says, and figures written faster than with every kind of file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.render.output import Drawing, Item
from analysis.render.style import save_figure


def caption_of(drawing: Item) -> str:
    """All that a figure says in words, in it and beside it."""
    assert isinstance(drawing, Drawing)
    return drawing.caption


def corner_of(drawing: Item) -> str:
    """The text in the corner of the first panel."""
    assert isinstance(drawing, Drawing)
    return str(drawing.figure.axes[0].texts[0].get_text())


def without_pdf(figure: Figure, frame: pd.DataFrame, path: Path, kinds: object) -> list[Path]:
    """Files take their time; that PDFs are written the other figures' tests assert."""
    return save_figure(figure, frame, path, ("png", "csv"))


def only_csv(figure: Figure, frame: pd.DataFrame, path: Path, kinds: object) -> list[Path]:
    return save_figure(figure, frame, path, ("csv",))

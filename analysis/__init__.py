"""Figures, tables and claims from run records. matplotlib and pandas load only when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.catalogue.draw import Drawn

__all__ = ["draw_all", "draw_kept", "draw_run"]


def draw_run(run_dir: Path, out: Path) -> list[Path]:
    """Draw the figures of one finished run into ``out``; see :func:`analysis.catalogue.draw.draw_run`."""
    from analysis.catalogue import draw

    return draw.draw_run(run_dir, out)


def draw_kept(run_dir: Path, out: Path) -> list[Path]:
    """Draw the shape of one run's model into ``out``; see :func:`analysis.catalogue.kept_picture.draw_kept`."""
    from analysis.catalogue import kept_picture

    return kept_picture.draw_kept(run_dir, out)


def draw_all(sources: Sequence[Path], out: Path, console: Console | None = None) -> Drawn:
    """Draw everything that the records in ``sources`` allow; see :func:`analysis.catalogue.draw.draw_all`."""
    from analysis.catalogue import draw

    return draw.draw_all(sources, out, console)

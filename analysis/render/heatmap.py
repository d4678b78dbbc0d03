"""Maps of numbers, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes


def runs_of_columns(frame: pd.DataFrame, column: str) -> str:
    """A sentence for the caption: of how many ``runs`` each column of a map is the mean.

    Arguments:
        column: whose values, shares, are the columns of the map.
    """
    runs = frame.groupby(column)["runs"].max()
    if runs.nunique() == 1:
        return f"Every column: mean of {runs.iloc[0]} runs." if runs.iloc[0] > 1 else "Every column: a single run."
    words = {1: "a single run"}
    parts = [
        f"{', '.join(f'{100 * share:g}' for share in runs.index[runs == number])} %: "
        f"{words.get(number, f'mean of {number} runs')}"
        for number in sorted(runs.unique())
    ]
    return "; ".join(parts) + "."


def draw_map(
    axes: Axes,
    grid: np.ndarray,
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    limits: tuple[float, float],
    text: Callable[[float], str],
    palette: str = "Blues",
    dark: Callable[[float], bool] = lambda value: value > 0.6,
    fontsize: float = 6,
    bar: str = "",
) -> None:
    """Draw ``grid`` with a number in every cell that is not NaN, and a colour bar where ``bar`` names it.

    ``dark`` tells from a value, as a share of the upper limit, whether its cell needs white print.
    """
    import numpy as np

    axes.grid(False)
    image = axes.imshow(grid, cmap=palette, vmin=limits[0], vmax=limits[1], aspect="auto")
    for (i, j), value in np.ndenumerate(grid):
        if not np.isnan(value):
            color = "white" if dark(value / limits[1]) else "black"
            axes.text(j, i, text(value), ha="center", va="center", fontsize=fontsize, color=color)
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if bar:
        colors = axes.figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05)
        colors.set_label(bar)
        colors.outline.set_visible(False)

"""What the pruned models look like: heads, neurons, sublayers and hidden dimensions kept, at each sparsity."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from analysis.cofi.panels import STARRED
from analysis.cofi.runs import caption, default_runs, missed
from analysis.data.groups import Group
from analysis.data.kept_units import SUBLAYERS, kept_units
from analysis.data.loading import Journal
from analysis.render.heatmap import draw_map, runs_of_columns
from analysis.render.output import Drawing, Item, file_name
from analysis.render.style import add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GONE = "gone"
NAMES = {"heads": "attention: heads kept (%)", "neurons": "FFN: neurons kept (%)"}


def draw(group: Group, journal: Journal) -> list[Item]:
    """One map a task, of CoFi with all its units."""
    items: list[Item] = []
    for one in default_runs(group.records):
        frame = kept_units(one, "sparsity", journal)
        if frame is not None:
            short = Counter(float(record.config["sparsity"]) for record in one.records if missed(record))
            frame = frame.assign(missed=frame["sparsity"].map(lambda sparsity, short=short: short[sparsity]))
            name = file_name("cofi_kept", one.title)
            items.append(Drawing(name, plot(frame), frame, f"{_missed_text(frame)}{caption([one])}"))
    return items


def plot(frame: pd.DataFrame) -> Figure:
    layers = sorted(frame.loc[frame["unit"].isin(SUBLAYERS), "layer"].unique())
    requested = sorted(frame["sparsity"].unique())
    hidden = frame[frame["unit"] == "hidden"].set_index("sparsity")
    short = frame.groupby("sparsity")["missed"].max()
    labels = [f"{100 * share:g}" + "*" * bool(short[share])
              + (f"\n{hidden['kept'][share]:.0f}" if share in hidden.index else "") for share in requested]  # fmt: skip
    with figure_style():
        figure = new_figure(max(4.6, 1.6 + 0.78 * len(requested)), 1.45 + 0.2 * len(layers))
        for axes, (unit, title) in zip(figure.subplots(1, len(NAMES), sharey=True), NAMES.items(), strict=True):
            share = _grid(frame, unit, layers).mul(100)
            there = _grid(frame, SUBLAYERS[unit], layers).to_numpy()
            draw_map(
                axes,
                share.where(there != 0, float("nan")).to_numpy(),
                columns=labels,
                rows=[str(layer) for layer in layers],
                limits=(0, 100),
                text="{:.0f}".format,
                fontsize=5.5,
            )
            _tell_gone(axes, there)
            axes.set_title(f"{title}\nof {frame.loc[frame['unit'] == unit, 'total'].max():,.0f} a layer")
            axes.set_xlabel("sparsity asked for (%)" + ("\nhidden dimensions kept" if len(hidden) else ""))
        figure.axes[0].set_ylabel("layer")
        sentences = [
            runs_of_columns(frame, "sparsity"),
            f'"{GONE}": the whole sublayer{", in every run" if frame["runs"].max() > 1 else ""}.',
            STARRED.strip() if short.any() else "",
            f"The teacher has {hidden['total'].max():,.0f} hidden dimensions." if len(hidden) else "",
        ]
        add_caption(figure, " ".join(filter(None, sentences)))
    return figure


def _missed_text(frame: pd.DataFrame) -> str:
    rows = frame.drop_duplicates("sparsity").sort_values("sparsity").to_dict("records")
    texts = [f"{100 * row['sparsity']:g} %: {row['missed']} of {row['runs']} runs" for row in rows if row["missed"]]
    return f"Starred: target missed ({'; '.join(texts)}). " if texts else ""


def _grid(frame: pd.DataFrame, unit: str, layers: list[int]) -> pd.DataFrame:
    """Shares kept by layer and sparsity; NaN where no record tells."""
    rows = frame[frame["unit"] == unit]
    wide = rows.pivot(index="layer", columns="sparsity", values="share")
    return wide.reindex(index=layers, columns=sorted(frame["sparsity"].unique()))


def _tell_gone(axes: Axes, there: np.ndarray) -> None:
    """A word in every cell whose sublayer is gone in all runs."""
    import numpy as np

    for layer, column in np.argwhere(there == 0):
        axes.text(column, layer, GONE, ha="center", va="center", fontsize=5.5, color="#777777")

"""The shape of one run's model, layer by layer, by whatever method: for its model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.data.columns import DamagedRecordError
from analysis.data.groups import Group
from analysis.data.kept_units import kept_rows
from analysis.data.loading import Journal
from analysis.data.records import Record, read_record
from analysis.michel import kept_heads
from analysis.michel.fig3b import order_of
from analysis.render.heatmap import draw_map
from analysis.render.output import Drawing
from analysis.render.style import add_caption, figure_style, new_figure
from prunekit.runs.schema.place import place_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

UNITS = ("heads", "neurons")


def draw_kept(run_dir: Path, out: Path) -> list[Path]:
    """Draw which share of its heads and neurons every layer kept, into ``kept.png``; returns its path. Of heads that
    went one by one, how many there were at each share.

    Of a run of `quantize` those of the run that pruned its model, if it is beside it. Nothing where no record tells.
    """
    record = _record(run_dir)
    if record is not None and record.verb == "quantize":
        pruned = json.loads((record.folder / "result.json").read_text(encoding="utf-8"))["model"].get("pruned_run")
        record = None if pruned is None else _record(place_of(run_dir).parent.parent / pruned)
    if record is None or "kept" not in {path.stem for path in (record.folder / "tables").glob("*.csv")}:
        return []
    of_heads = record.verb == "prune_heads"  # one by one, in an order
    frame = kept_heads.counts(Group([record]), Journal()) if of_heads else kept_rows(Group([record]), None, Journal())
    if frame is None or not (of_heads or set(UNITS) & set(frame["unit"])):
        return []
    figure = kept_heads.plot(frame, order_of(record)) if of_heads else plot(frame)
    return Drawing("kept", figure, frame).save(out, kinds=("png",))


def _record(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except DamagedRecordError:
        return None


def plot(frame: pd.DataFrame) -> Figure:
    """One row a layer, one column for each of :data:`UNITS` that is there."""
    units = [unit for unit in UNITS if unit in set(frame["unit"])]
    share = frame.assign(share=100 * frame["kept"] / frame["total"])
    shares = share.pivot(index="layer", columns="unit", values="share")[units].sort_index()
    most = frame.groupby("unit")["total"].max()
    with figure_style():
        figure = new_figure(3.2, 1.1 + 0.2 * len(shares))
        axes = figure.subplots()
        draw_map(
            axes, shares.to_numpy(dtype=float), columns=[f"{unit} of {most[unit]:,.0f}" for unit in units],
            rows=[str(layer) for layer in shares.index], limits=(0, 100), text="{:.0f}".format, fontsize=5.5,
        )  # fmt: skip
        axes.set_ylabel("layer")
        add_caption(figure, "Kept, in % of the layer's.")
    return figure

"""How much faster beam search gets with heads removed, of all kinds of attention together and of each kind alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text
from analysis.render.output import Drawing, Item
from analysis.render.style import ATTENTION, BLACK, Look, add_caption, add_legend, figure_style, panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DECODING = columns("time_decoding", "decoding")
ALL_KINDS = Look("all three kinds", BLACK, "D", (0, (1, 1.5)))


def draw(group: Group, journal: Journal) -> list[Item]:
    frame = speedups(group, journal)
    if frame is None:
        return []
    words = f"{group.records[0].device}. {disturbed_text(group.records, 'Among these')}{group.caption}"
    return [Drawing("decoding", plot(frame, words), frame)]


def speedups(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a teacher, batch size, kinds and share: words a second and the speed-up, its median and quartiles."""
    return join_tables(group.records, "decoding", DECODING, journal, teacher=teacher_of)


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    """A panel a batch size; teachers are drawn over one another."""
    sizes = sorted(set(frame["batch_size"]))
    with figure_style():
        figure, panels = panel_grid(len(sizes), width=2.4, height=2.1)
        for axes, size in zip(panels, sizes, strict=True):
            here = frame[frame["batch_size"] == size]
            axes.axhline(1, color="#777777", linewidth=0.7)
            for (_, kinds), rows in here.groupby(["teacher", "kinds"], sort=False):
                look = ATTENTION.get(str(kinds), ALL_KINDS)
                rows = rows.sort_values("achieved_heads")
                x = 100 * rows["achieved_heads"]
                axes.plot(
                    x, rows["speedup"], color=look.color, marker=look.marker, linestyle=look.line, label=look.label
                )
                axes.fill_between(
                    x, rows["speedup_low"], rows["speedup_high"], color=look.color, alpha=0.12, linewidth=0
                )
            axes.set_title(f"batch {size}: {here['original_words_per_second'].median():,.0f} words/s")
            axes.set_xlabel("heads of the kinds removed (%)")
            axes.set_ylabel("times faster")
        add_legend(figure, panels)
        first = frame.iloc[0]
        add_caption(
            figure,
            f"Beam search of {first['beams']} beams, {first['words']} words from sources of {first['length']} tokens, "
            "original and physically pruned in turn; above each panel the words a second of the original; bands: "
            f"quartiles of paired rounds. {caption}",
        )
    return figure

"""How much faster beam search gets with heads removed, of all kinds of attention together and of each kind alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text
from analysis.render.curves import SINGLE, draw_line
from analysis.render.output import Drawing, Item, count_range
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
    first = frame.iloc[0]
    beside = (
        f"Beam search of {first['beams']} beams, {first['words']} words from sources of {first['length']} tokens, "
        f"original and physically pruned in turn. {group.records[0].device}. "
        f"{disturbed_text(group.records, 'Among these')}{group.caption}"
    )
    return [Drawing("decoding", plot(frame), frame, beside)]


def speedups(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a teacher, batch size, kinds and share: words a second and the speed-up, its median and quartiles."""
    return join_tables(group.records, "decoding", DECODING, journal, teacher=teacher_of)


def plot(frame: pd.DataFrame) -> Figure:
    """A panel a batch size, all of the same axes; teachers are drawn over one another, as single runs."""
    sizes = sorted(set(frame["batch_size"]))
    with figure_style():
        figure, panels = panel_grid(len(sizes), width=2.4, height=2.1, shared=True)
        for axes, size in zip(panels, sizes, strict=True):
            here = frame[frame["batch_size"] == size]
            axes.axhline(1, color="#777777", linewidth=0.7)
            for (_, kinds), rows in here.groupby(["teacher", "kinds"], sort=False):
                look = ATTENTION.get(str(kinds), ALL_KINDS)
                rows = rows.sort_values("achieved_heads")
                rows = rows.assign(removed=100 * rows["achieved_heads"], runs=1)
                draw_line(axes, rows, "removed", look, y="speedup")
                low, high = rows["speedup_low"], rows["speedup_high"]
                axes.fill_between(rows["removed"], low, high, color=look.color, alpha=0.12, linewidth=0)
            axes.set_title(f"batch {size}: {here['original_words_per_second'].median():,.0f} words/s")
            axes.set_xlabel("heads of the kinds removed (%)")
            axes.set_xticks(sorted({round(100 * share) for share in frame["achieved_heads"]}))
        panels[0].set_ylabel("times faster")
        add_legend(figure, panels)
        rounds = count_range(frame["repeats"])
        add_caption(figure, f"{SINGLE} Bands: quartiles of {rounds} paired rounds. Above each panel: words a second "
                    "of the original model.")  # fmt: skip
    return figure

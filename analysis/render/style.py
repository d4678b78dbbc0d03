"""One look for every figure: sizes, a palette for colour-blind readers, captions, byte-stable files."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.method_names import named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common colour vision deficiency.
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILLION, PURPLE, BLACK, GREY = "#D55E00", "#CC79A7", "#222222", "#8C8C8C"


@dataclass(frozen=True)
class Look:
    """A series' colour, marker and line: each of the three alone tells series apart, so grey print works."""

    label: str
    color: str
    marker: str
    line: str | tuple[int, tuple[float, ...]]


ORDERS = {
    "importance": Look("importance (Eq. 2)", BLUE, "o", "-"),
    "importance_released": Look("importance, as released", SKY, "s", (0, (5, 2))),
    "importance_stepwise": Look("importance, re-estimated", GREEN, "^", (0, (5, 1, 1, 1))),
    "oracle": Look("oracle (single-head ablation)", VERMILLION, "D", (0, (3, 1))),
    "magnitude": Look(named("magnitude").choice, PURPLE, "v", (0, (4, 1, 1, 1, 1, 1))),
    "random": Look(named("random").choice, BLACK, "X", (0, (1, 1.5))),
}
BUDGETS = {
    "mac": Look("budget of MACs", BLUE, "o", "-"),
    "latency": Look("budget of latency", VERMILLION, "s", (0, (4, 1))),
}
PRUNING_STAGES = {
    "search": Look("mask search", SKY, "^", (0, (1, 1.2))),
    "rearrange": Look("+ rearrangement", ORANGE, "s", (0, (4, 1.5))),
    "tune": Look("+ tuning", BLUE, "o", "-"),
}
COMPARED = {
    "score": {
        "fisher": Look(named("fisher").choice, BLUE, "o", "-"),
        "importance": Look("importance (Michel et al.)", GREEN, "^", (0, (5, 1, 1, 1))),
        "magnitude": Look(named("magnitude").choice, PURPLE, "v", (0, (4, 1, 1, 1, 1, 1))),
        "random": Look(named("random").choice, BLACK, "X", (0, (1, 1.5))),
    },
    "variant": {
        "paper": Look("as in the paper", BLUE, "o", "-"),
        "released": Look("as released", ORANGE, "s", (0, (4, 1.5))),
    },
    "labels": {
        "gold": Look("gold labels", BLUE, "o", "-"),
        "predicted": Look("predicted labels", VERMILLION, "D", (0, (4, 1.5))),
    },
}
"""Settings of Fisher pruning that figures compare, by configuration field."""
METHODS = {
    "fisher": Look(named("fisher").name, BLUE, "o", "-"),
    "ziplm": Look(named("ziplm").name, VERMILLION, "D", (0, (4, 1.5))),
    "kprune": Look(named("kprune").name, GREEN, "^", (0, (5, 1, 1, 1))),
    "flap": Look(named("flap").name, ORANGE, "s", (0, (2, 1))),
    "magnitude": Look(named("magnitude").name, PURPLE, "v", (0, (4, 1, 1, 1, 1, 1))),
    "random": Look(named("random").name, BLACK, "X", (0, (1, 1.5))),
}
"""Methods of `compress`."""
STRUCTURES = {
    "learned": Look(named("learned").choice, BLUE, "o", "-"),
    "fisher": Look(named("fisher").choice, VERMILLION, "s", (0, (4, 1.5))),
    "magnitude": Look(named("magnitude").choice, PURPLE, "v", (0, (4, 1, 1, 1, 1, 1))),
    "layers": Look(named("layers").choice, GREEN, "^", (0, (5, 1, 1, 1))),
    "dense": Look(named("dense").choice, ORANGE, "D", (0, (2, 1))),
    "random": Look("random, in CoFi's shape", BLACK, "P", (0, (1, 1.5))),
}
"""How the units that go are chosen, by configuration field ``structure``."""


def structure_name(choice: str) -> str:
    """In words; of a method that has no look of its own its name."""
    return STRUCTURES[choice].label if choice in STRUCTURES else named(choice).name


ATTENTION = {
    "enc-enc": Look("encoder self-attention", BLUE, "o", "-"),
    "enc-dec": Look("encoder-decoder attention", VERMILLION, "s", "-"),
    "dec-dec": Look("decoder self-attention", GREEN, "^", "-"),
}
"""Kinds of attention of an encoder-decoder, in the paper's order."""
OWN_COLORS = (ORANGE, "#882255", "#117733", "#AA4499", "#44AA99", "#999933")
OWN_MARKERS = ("*", "P", "p", "h", "d", "<")
"""Of what is in no table of looks: grey is for published lines."""
METRICS = {"bleu": "BLEU", "chrf": "chrF2"}
"""Metrics of translation as papers write them: a score of 0.36 is 36 points, not per cent."""
F_SCORES = {"f1": "F1", "answer_f1": "F1 of answers"}
CORRELATIONS = ("matthews", "pearson", "spearman")
"""Metrics that may be negative; all others are from 0 to 1."""
KINDS = ("pdf", "png", "csv", "md")
"""Files of every figure; ``md`` is the picture with the words that belong beside it."""
CAPTION_LINES = 2
"""As much as is printed in the picture itself."""
MORE = "More beside the picture."
TEACHERS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "^", "s", "D", "v", "P")

_PARAMETERS: Any = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "prunekit",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "savefig.dpi": 200,
}


def looks_of(known: Mapping[str, Look], names: Iterable[object]) -> dict[str, Look]:
    """The looks of ``names``, in the order of ``known``; then those that it does not have, each with a look of its own
    and the name of a method that it may be.

    >>> list(looks_of({"b": BUDGETS["mac"], "a": BUDGETS["mac"]}, ["new", "a", "b"]))
    ['b', 'a', 'new']
    """
    given = {str(name) for name in names}
    looks = {name: look for name, look in known.items() if name in given}
    for number, name in enumerate(sorted(given - set(known))):
        place = number % len(OWN_COLORS)
        looks[name] = Look(named(name).name, OWN_COLORS[place], OWN_MARKERS[place], (0, (6, 1.5)))
    return looks


@contextmanager
def figure_style() -> Iterator[None]:
    """The style as a context, so that a caller's own matplotlib settings stay as they were."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_PARAMETERS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches, without pyplot: no window, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def panel_grid(
    count: int, *, width: float = 2.05, height: float = 1.75, columns: int = 4, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` equal panels with room for legend and caption.

    Rows are as even as they can be with at most ``columns`` panels in each: four in three columns are two and two.

    Arguments:
        shared: all panels have the same two axes.
    """
    down = math.ceil(count / columns)
    across = math.ceil(count / down)
    figure = new_figure(max(4.4, 0.25 + width * across), 1.0 + height * down)
    axes = list(figure.subplots(down, across, squeeze=False, sharex=shared, sharey=shared).flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def add_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend above all panels, with every label once, in the fewest rows that fit, all about equally long."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    handles, labels = list(entries.values()), list(entries)
    if not entries:
        return
    entry = 0.5 + 0.052 * max(len(line) for label in labels for line in label.splitlines())  # inches
    columns = max(1, int(figure.get_size_inches()[0] / entry))
    columns = math.ceil(len(labels) / math.ceil(len(labels) / columns))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.4, handlelength=2.4)


def kinds_in_order(kinds: Iterable[str]) -> list[str]:
    """Kinds of attention without repetition, in the order of ``ATTENTION``; an encoder's one kind as it is.

    >>> kinds_in_order(["dec-dec", "enc-enc", "dec-dec"]), kinds_in_order(["self"])
    (['enc-enc', 'dec-dec'], ['self'])
    """
    present = set(kinds)
    return [kind for kind in ATTENTION if kind in present] + sorted(present - set(ATTENTION))


def metric_name(metric: str) -> str:
    """As axes have it."""
    return (METRICS | F_SCORES).get(metric, metric)


def metric_range(metric: str) -> tuple[float, float]:
    """The lowest and the highest score that there is, as figures have it: no interval is drawn beyond.

    >>> metric_range("accuracy"), metric_range("pearson")
    ((0.0, 100.0), (-100.0, 100.0))
    """
    return (-100.0 if metric in CORRELATIONS else 0.0), 100.0


def metric_axis(metric: str) -> str:
    """The label of an axis on which the metric is 100 times what records hold.

    >>> metric_axis("bleu"), metric_axis("f1")
    ('BLEU', 'F1 (%)')
    """
    return METRICS.get(metric, f"{metric_name(metric)} (%)")


def panel_title(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 30))


def add_caption(figure: Figure, text: str) -> None:
    """Small print below the axes, in at most two lines: how to read what is drawn. Data and machines stand beside it.

    The figure's label is the whole text, of which a narrow figure may have no room for the last sentences.
    """
    width = int(figure.get_size_inches()[0] * 23.5)
    sentences, more = re.split(r"(?<=\.) (?=[A-Z?\u00d7])", text), list[str]()
    while len(lines := textwrap.wrap(" ".join([*sentences, *more]), width, break_on_hyphens=False)) > CAPTION_LINES:
        sentences, more = sentences[:-1], [MORE]
    figure.set_label(text)
    figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=5.5, color="#555555", linespacing=1.25)


def save_figure(figure: Figure, frame: pd.DataFrame, path: Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Write ``path`` with each of the endings ``kinds`` but ``md``; CSV holds the drawn numbers.

    Equal numbers give equal bytes: no file has a date in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix: names may hold dots (train.epochs=1).
    paths = {kind: path.parent / f"{path.name}.{kind}" for kind in kinds}
    with figure_style():
        if "pdf" in kinds:
            figure.savefig(paths["pdf"], metadata={"CreationDate": None})
            figure.set_layout_engine("none")  # laid out already
        if "png" in kinds:
            figure.savefig(paths["png"])
    if "csv" in kinds:
        write_csv(frame, paths["csv"])
    return list(paths.values())


def svg_without_caption(figure: Figure) -> bytes:
    """The figure as SVG, for pages that print the caption as text; takes the caption out of ``figure``.

    Letters are outlines, so that it looks the same where the font is missing. Equal figures give equal bytes.
    """
    buffer = io.BytesIO()
    with figure_style():
        figure.supxlabel("").set_in_layout(False)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(csv_text(frame).encode())


def csv_text(frame: pd.DataFrame) -> str:
    """The numbers of a figure or table as CSV, to 10 digits."""
    return frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")

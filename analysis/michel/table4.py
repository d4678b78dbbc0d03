"""Table 4: inference speed of the original, the gated and the physically pruned model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.data.columns import columns
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import disturbed_text
from analysis.intervals.estimates import CONFIDENCE, fixed
from analysis.intervals.medians import relative_error
from analysis.intervals.positive import Positive, timed
from analysis.michel import published
from analysis.render.curves import SINGLE
from analysis.render.output import Drawing, Item, Table, count_range
from analysis.render.style import BLUE, GREY, VERMILLION, Look, add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TIMINGS = columns("time_inference", "timings")
PUBLISHED_SHARE = 0.5
QUARTILES = "median and quartiles"
"""What figures show of the repeats."""
INTERVALS = (
    "medians, in brackets 95 % intervals as those of claims, not corrected for how many there are: of the median, and "
    "of a gain of the ratio of two, of other repeats on this machine, not of another model"
)
"""What cells of the table do."""
UNIT = "examples/s"
VARIANTS = {
    "gated": Look("gated (masked)", VERMILLION, "s", (0, (3, 1))),
    "pruned": Look("physically pruned", BLUE, "o", "-"),
}


def draw(group: Group, journal: Journal) -> list[Item]:
    """Table 4, and one figure a share of pruned heads."""
    frame = gains(group, journal)
    if frame is None:
        return []
    shares = sorted(frame.loc[frame["variant"] != "original", "share"].unique())
    device = f"In PyTorch, {group.records[0].device}; {count_range(frame['repeats'])} repeats, {QUARTILES}"
    device += f". {text}".rstrip(". ") if (text := disturbed_text(group.records, "Among these")) else ""
    items: list[Item] = [
        Table(
            name="table4",
            title="Table 4: examples per second, original, gated and physically pruned",
            frame=frame,
            display=display(frame),
            caption=f"{device.replace(QUARTILES, INTERVALS)}. Gains are over the original. Published: "
            f"BERT-base, GTX 1080 Ti, length not stated. {group.caption}",
            narrow=(
                "heads removed",
                "length",
                "batch",
                f"original, {UNIT}",
                "gated gain",
                "pruned gain",
                "published gain",
            ),
        )
    ]
    for number, share in enumerate(sorted(shares, key=lambda share: abs(share - PUBLISHED_SHARE))):
        drawn = frame[(frame["share"] == share) & (frame["variant"] != "original")].reset_index(drop=True)
        if share == PUBLISHED_SHARE:
            drawn = with_published(drawn)
        name = "speed" if number == 0 else f"speed_{100 * share:.0f}-percent"
        items.append(Drawing(name, plot(drawn, share), drawn, f"{device}. {group.caption}"))
    return items


def gains(group: Group, journal: Journal) -> pd.DataFrame | None:
    """The timings with ``gain`` over the original of the same run, batch size and length.

    ``gain_low`` and ``gain_high`` pair the slow end of one spread with the fast end of the other. ``error`` is the
    standard error of the median and ``gain_error`` that of the ratio of both, as shares. Where runs on the same machine
    repeat a cell, the first is kept.
    """
    import pandas as pd

    cell = ["batch_size", "length", "length_label"]
    parts = []
    for _, table in read_tables(group.records, "timings", TIMINGS, journal):
        table = table[list(TIMINGS)].assign(error=relative_error(table))
        original = table.loc[table["variant"] == "original", [*cell, "median_ms", "low_ms", "high_ms", "error"]]
        both = table.merge(original.drop_duplicates(cell), on=cell, how="left", suffixes=("", "_0"))
        parts.append(
            both.assign(
                gain=both["median_ms_0"] / both["median_ms"] - 1,
                gain_low=both["low_ms_0"] / both["high_ms"] - 1,
                gain_high=both["high_ms_0"] / both["low_ms"] - 1,
                gain_error=(both["error"] ** 2 + both["error_0"] ** 2) ** 0.5,
            ).drop(columns=["median_ms_0", "low_ms_0", "high_ms_0", "error_0"])
        )
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[frame["variant"] == "original", "share"] = 0.0
    frame = frame.drop_duplicates(["variant", "share", *cell])
    return frame.sort_values(["share", "length", "batch_size", "variant"], ignore_index=True)


def gain_of(row: Mapping[Hashable, Any]) -> Positive:
    """The gain of a row of :func:`gains` in per cent, with the error of both its medians."""
    return timed(1 + row["gain"], row["gain_error"], int(row["repeats"]), gain=True)


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a share, length and batch size."""
    import pandas as pd

    printed = dict(published.speed().set_index("batch_size")["gain"].items())
    cells = frame.to_dict("records")
    original = {_cell(row): row for row in cells if row["variant"] == "original"}
    changed = {(row["variant"], row["share"], _cell(row)): row for row in cells if row["variant"] != "original"}
    rows = []
    for share, cell in dict.fromkeys((share, cell) for _, share, cell in changed):
        length, label, batch = cell
        base, timings = original.get(cell), {variant: changed.get((variant, share, cell)) for variant in VARIANTS}
        row = {
            "heads removed": f"{100 * share:.0f} %",
            "length": f"{length} (mean)" if label == "mean" else str(length),
            "batch": str(batch),
            "repeats": count_range(pd.Series([timing["repeats"] for timing in (base, *timings.values()) if timing])),
            f"original, {UNIT}": _speed(base),
        }
        for variant, timing in timings.items():
            row[f"{variant}, {UNIT}"] = _speed(timing)
            gain = f"{100 * timing['gain']:+z.1f} %{_ends(gain_of(timing), '+z.1f')}" if timing else ""
            row[f"{variant} gain"] = gain
        row["peak MB, original / pruned"] = " / ".join(
            f"{timing['peak_memory_mb']:.0f}" if timing else "-" for timing in (base, timings["pruned"])
        )
        known = share == PUBLISHED_SHARE and batch in printed
        row["published gain"] = f"{100 * printed[batch]:+z.1f} %" if known else ""
        rows.append(row)
    return pd.DataFrame(rows)


def with_published(drawn: pd.DataFrame) -> pd.DataFrame:
    """Add the paper's gains; they have no length."""
    import pandas as pd

    rows = published.speed().rename(columns={"pruned": "examples_per_second"}).drop(columns="original")
    return pd.concat([drawn, rows.assign(variant="published", share=PUBLISHED_SHARE)], ignore_index=True)


def plot(frame: pd.DataFrame, share: float) -> Figure:
    import numpy as np

    measured = frame[frame["variant"] != "published"]
    printed = frame[frame["variant"] == "published"].sort_values("batch_size")
    panels = list(measured.groupby(["length", "length_label"], sort=True))
    batches = sorted(set(measured["batch_size"]))
    with figure_style():
        figure = new_figure(max(3.6, 0.5 + 1.55 * len(panels)), 2.6)
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, ((length, label), rows) in zip(all_axes, panels, strict=True):
            axes.axhline(0, color="#777777", linewidth=0.7)
            known = printed[printed["batch_size"].isin(batches)]
            if len(known):
                axes.plot(
                    np.log2(known["batch_size"]), 100 * known["gain"], color=GREY, linewidth=0.9, marker="+",
                    markersize=5, label="published: BERT-base, GTX 1080 Ti",
                )  # fmt: skip
            for shift, (variant, look) in zip((-0.06, 0.06), VARIANTS.items(), strict=True):
                curve = rows[rows["variant"] == variant].sort_values("batch_size")
                spread = np.abs(curve[["gain_low", "gain_high"]].to_numpy().T - curve["gain"].to_numpy())
                axes.errorbar(
                    np.log2(curve["batch_size"]) + shift,
                    100 * curve["gain"],
                    yerr=100 * spread,
                    color=look.color,
                    marker=look.marker,
                    markerfacecolor="white",
                    linestyle=look.line,
                    elinewidth=0.8,
                    label=look.label,
                )
            axes.set_title(f"length {length:.0f}" + (" (mean)" if label == "mean" else ""))
            axes.set_xticks(np.log2(batches), [str(batch) for batch in batches])
            axes.set_xlabel("batch size")
        all_axes[0].set_ylabel("gain in speed (%)")
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=2)
        add_caption(
            figure,
            f"{100 * share:.0f} % of heads pruned. {SINGLE} Median of {count_range(measured['repeats'])} repeats a "
            "cell; bars: from the quartiles of both timings.",
        )
    return figure


def _cell(row: Mapping[Hashable, Any]) -> tuple[int, str, int]:
    return row["length"], row["length_label"], row["batch_size"]


def _speed(row: Mapping[Hashable, Any] | None) -> str:
    """Examples per second, of the median, with its interval."""
    if row is None:
        return ""
    speed = row["examples_per_second"]
    return f"{speed:,.1f}{_ends(Positive(fixed(0.0, row['error'], row['repeats']), speed), ',.1f')}"


def _ends(effect: Positive, form: str) -> str:
    """Of an interval; nothing where there is no spread, as of one repeat."""
    low, high = effect.interval(CONFIDENCE)
    return "" if low == high else f" ({low:{form}} to {high:{form}})"

"""Fig. 2: does a head that matters on one evaluation set matter on another one too?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.michel import published
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    ATTENTION,
    GREY,
    MARKERS,
    TEACHERS,
    add_caption,
    figure_style,
    kinds_in_order,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EFFECTS = columns("transfer", "effects")


ONE_DOMAIN = "Both sets are of one corpus and so of one domain; the paper's are of two (newstest2013, MTNT)."


def draw(group: Group, journal: Journal, name: str = "fig2b") -> list[Item]:
    frame = effects(group, journal)
    if frame is None:
        return []
    corpora = [record.config.get("second", {}).get("name") for record in group.records]
    same = all(corpus == record.task for corpus, record in zip(corpora, group.records, strict=True))
    sets, printed = published.transfer(translation=group.records[0].translation)
    words = [f"Published: r = {printed} ({sets}).", *([ONE_DOMAIN] if same else []), group.caption]
    return [Drawing(name, plot(frame), frame, " ".join(words))]


def effects(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a head and teacher: both changes in points, and that teacher's Pearson r with its p-value.

    Where there are several kinds of attention, also r and p within the kind: few heads of one kind may make all of r.
    """
    import pandas as pd

    from prunekit.support.statistics import pearson

    parts = []
    for record, table in read_tables(group.records, "effects", EFFECTS, journal):
        first, second = 100 * table["first_delta"], 100 * table["second_delta"]
        r, p = pearson(first.to_numpy(), second.to_numpy())
        rows = pd.DataFrame(
            {
                "teacher": teacher_of(record),
                "kind": table["kind"],
                "layer": table["layer"] + 1,
                "head": table["head"] + 1,
                "first": str(record.metrics.get("first", "first set")),
                "second": str(record.metrics.get("second", "second set")),
                "first_delta_points": first,
                "second_delta_points": second,
                "pearson_r": r,
                "p_value": p,
            }
        )
        if rows["kind"].nunique() > 1:
            for places in rows.groupby("kind").groups.values():
                within = pearson(first[places].to_numpy(), second[places].to_numpy())
                rows.loc[places, ["pearson_r_in_kind", "p_value_in_kind"]] = within
        parts.append(rows)
    return pd.concat(parts, ignore_index=True) if parts else None


def plot(frame: pd.DataFrame) -> Figure:
    """A least-squares line a teacher; points look as their teacher, or as their kind of attention if there are several.
    """
    import numpy as np

    kinds = kinds_in_order(frame["kind"])
    by_kind, several = len(kinds) > 1, frame["teacher"].nunique() > 1
    with figure_style():
        figure = new_figure(4.0, 3.7 + 0.4 * by_kind)
        axes = figure.subplots()
        axes.axhline(0, color="#BBBBBB", linewidth=0.7)
        axes.axvline(0, color="#BBBBBB", linewidth=0.7)
        for number, (teacher, rows) in enumerate(frame.groupby("teacher")):
            color, marker = TEACHERS[number % len(TEACHERS)], MARKERS[number % len(MARKERS)]
            x, y = rows["first_delta_points"].to_numpy(), rows["second_delta_points"].to_numpy()
            label = (f"{teacher}: " if several else "") + correlation_text(*rows[["pearson_r", "p_value"]].iloc[0])
            if not by_kind:
                axes.scatter(x, y, s=13, color=color, marker=marker, alpha=0.75, linewidths=0, label=label)
            if np.ptp(x) > 0:
                slope, intercept = np.polyfit(x, y, 1)
                ends = np.array([x.min(), x.max()])
                axes.plot(
                    ends, slope * ends + intercept, color=GREY if by_kind else color, linewidth=1.1,
                    label=f"all heads, {label}" if by_kind else None,
                )  # fmt: skip
        for kind in kinds if by_kind else []:
            rows, look = frame[frame["kind"] == kind], ATTENTION[kind]
            within = correlation_text(*rows[["pearson_r_in_kind", "p_value_in_kind"]].iloc[0])
            axes.scatter(
                rows["first_delta_points"], rows["second_delta_points"], s=13, color=look.color, marker=look.marker,
                alpha=0.75, linewidths=0, label=look.label + ("" if several else f": {within}"),
            )  # fmt: skip
        first, second = (str(frame[column].iloc[0]).replace("/", " ") for column in ("first", "second"))
        axes.set_xlabel(f"change on {first} (points)")
        axes.set_ylabel(f"change on\n{second} (points)")
        columns = 2 if several and not by_kind else 1
        figure.legend(loc="outside upper center", ncols=columns, columnspacing=1.2, handletextpad=0.3)
        models = "a line a model" if several else "one model"
        add_caption(figure, f"One point a head; least-squares line, {models}.")
    return figure


def correlation_text(r: float, p: float) -> str:
    """Pearson's r and its p-value, short enough for a legend.

    >>> correlation_text(0.681, 1e-9), correlation_text(0.1, 0.03)
    ('r = 0.68, p < 0.001', 'r = 0.10, p = 0.030')
    """
    if r != r:  # NaN: one of the two sides is constant
        return "r undefined"
    return f"r = {r:.2f}, " + ("p < 0.001" if p < 0.001 else f"p = {p:.3f}")

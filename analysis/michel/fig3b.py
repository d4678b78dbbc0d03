"""Fig. 3: the metric against the share of heads pruned, one curve an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.averages import average, unpruned
from analysis.data.columns import columns
from analysis.data.groups import Group, of_all_kinds, teacher_of
from analysis.data.joined import join_tables
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.michel import published
from analysis.render.curves import draw_limit, draw_series, draw_trivial, draw_unpruned
from analysis.render.output import Drawing, Item
from analysis.render.style import GREY, ORDERS, add_caption, figure_style, looks_of, metric_axis, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

POINTS = columns(
    "prune_heads", "points", "share", "heads_kept", "heads_total", "achieved_heads", "metric", "value"
)
NLI_TASKS = ("mnli", "snli", "demo")
"""Three-way inference, where the published MNLI curve has the same chance level."""
PUBLISHED_LINES = {"importance": "-", "oracle": (0, (3, 1))}


def draw(group: Group, journal: Journal, name: str = "fig3b") -> list[Item]:
    group = of_all_kinds(group)
    points = replicates(group.records, journal)
    if points is None:
        return []
    frame = curves(group.records, points)
    task = group.records[0].task
    if frame["metric"].iloc[0] == "accuracy" and task.startswith(NLI_TASKS):
        frame = with_published(frame)
    if group.records[0].translation:
        frame = with_limit(frame, "")
    return [Drawing(name, plot(frame, group.caption), frame)]


def order_of(record: Record) -> str:
    return str(record.config["order"])


def replicates(records: list[Record], journal: Journal) -> pd.DataFrame | None:
    """One row an order, teacher, seed and share, in per cent; a sweep's single-share runs are joined."""
    points = join_tables(
        records, "points", POINTS, journal, order=order_of, teacher=teacher_of, seed=lambda record: record.seed
    )
    if points is None:
        return None
    points["value"] *= 100
    # Every run of a sweep repeats the unpruned point.
    cell = ["order", "teacher", "seed", "share"]
    return points.drop_duplicates(cell).sort_values(cell, ignore_index=True)


def curves(records: list[Record], points: pd.DataFrame) -> pd.DataFrame:
    """The drawn numbers."""
    return with_unpruned(order_curves(points), records)


def with_unpruned(frame: pd.DataFrame, records: list[Record]) -> pd.DataFrame:
    """Add the series ``unpruned``: the unpruned metric with its sampling interval over the evaluation examples."""
    import pandas as pd

    dense = {"series": "unpruned", "source": "measured", "metric": frame["metric"].iloc[0], "share": 0.0}
    whole = pd.DataFrame([dense | {"pruned_percent": 0.0} | unpruned(records)])
    return pd.concat([frame, whole], ignore_index=True)


def order_curves(points: pd.DataFrame) -> pd.DataFrame:
    """A row an order (``series``) and share, with a 95 % interval of the mean where runs repeat."""
    import pandas as pd

    rows = []
    for (order, share), members in points.groupby(["order", "share"], sort=True):
        rows.append(
            {
                "series": order,
                "source": "measured",
                "metric": members["metric"].iloc[0],
                "share": share,
                "pruned_percent": 100 * members["achieved_heads"].mean(),
                **average(members),
            }
        )
    frame = pd.DataFrame(rows)
    frame["rank"] = frame["series"].map({order: number for number, order in enumerate(ORDERS)})
    return frame.sort_values(["rank", "series", "share"], ignore_index=True).drop(columns="rank")


def with_published(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the independent rerun's curves, marked ``published``."""
    import pandas as pd

    rerun = published.pruning_curves().rename(columns={"order": "series"})
    rerun = rerun.assign(source="published", metric="accuracy", pruned_percent=100 * rerun["share"])
    return pd.concat([frame, rerun], ignore_index=True)


def with_limit(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Add the share that the paper names for translation, the series ``limit``."""
    import pandas as pd

    limits = published.prunable_heads()
    return pd.concat([frame, limits[limits["kind"] == kind]], ignore_index=True)


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    measured = frame[(frame["source"] == "measured") & (frame["series"] != "unpruned")]
    limits, printed = (frame[(frame["source"] == "published") & chosen]
                       for chosen in (frame["series"] == "limit", frame["series"] != "limit"))  # fmt: skip
    looks = looks_of(ORDERS, measured["series"])
    with figure_style():
        figure = new_figure(6.2, 3.3)
        axes = figure.subplots()
        draw_unpruned(axes, frame[frame["series"] == "unpruned"].iloc[0])
        for series, rows in printed.groupby("series", sort=True):
            axes.plot(
                rows["pruned_percent"], rows["value"], color=GREY, linewidth=0.9,
                linestyle=PUBLISHED_LINES[str(series)],
                label=f"published: BERT-base, MNLI-m,\n{series} (independent rerun)",
            )  # fmt: skip
        for series, rows in measured.groupby("series", sort=False):
            look = looks[str(series)]
            runs = int(rows["runs"].max())
            label = look.label + (f" ({runs} runs)" if runs > 1 else "")
            draw_series(axes, rows, "pruned_percent", look, label=label)
        for percent in limits["pruned_percent"]:
            draw_limit(axes, percent, "published: no noticeable loss\nup to here (WMT14 En-Fr)")
        draw_trivial(axes, frame[frame["series"] == "unpruned"].iloc[0])
        axes.set_xlabel("heads pruned (%)")
        axes.set_ylabel(metric_axis(frame["metric"].iloc[0]))
        axes.set_xlim(-2, 102)
        axes.xaxis.set_ticks(range(0, 101, 10))
        handles, labels = axes.get_legend_handles_labels()
        ours_first = sorted(range(len(labels)), key=lambda i: labels[i].startswith("published"))
        figure.legend(
            [handles[i] for i in ours_first], [labels[i] for i in ours_first], loc="outside right upper",
            labelspacing=0.7, handlelength=2.6,
        )  # fmt: skip
        bands = " Bands: 95 % interval of the mean." if measured["low"].notna().any() else ""
        add_caption(figure, f"Grey strip: 95 % sampling interval of the unpruned model.{bands} {caption}")
    return figure

"""What happens while CoFi prunes: sparsity and its target, multipliers, losses, and the score on held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.cofi.runs import by_method, compared
from analysis.data.columns import DamagedRecordError
from analysis.data.groups import Group, by_condition, by_setting, teacher_of
from analysis.data.loading import Journal
from analysis.render.output import Drawing, Item, file_name
from analysis.render.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    add_caption,
    add_legend,
    figure_style,
    panel_grid,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Of the requested sparsities."""
PANELS = {
    "expected_sparsity": "expected sparsity (%)",
    "linear_multiplier": "multipliers",
    "layer_loss": "loss",
    "score": "score on selection rows (%)",
}
SECOND = {
    "expected_sparsity": "target_sparsity",
    "linear_multiplier": "quadratic_multiplier",
    "layer_loss": "prediction_loss",
}
"""Drawn dashed in the same panel; the caption says what it is."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a task, of CoFi itself; of its ablations and baselines only where there is nothing else."""
    items: list[Item] = []
    for members in by_setting(group.records).values():
        itself = [record for record in members if not compared(record)]
        for one in (one for condition in by_condition(itself or members) for one in by_method(condition)):
            frame = history(one, journal)
            if frame is not None:
                name = file_name("cofi_training", one.title)
                items.append(Drawing(name, plot(frame), frame, one.caption))
    return items


def history(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a logged step and run: requested sparsity, run, stage, and whatever of the panels was logged there."""
    import pandas as pd

    columns = [*PANELS, *SECOND.values()]
    parts = []
    for record in group.records:
        try:
            lines = record.history()
        except DamagedRecordError as error:
            journal.warn(f"skipped: {error}")
            continue
        logged = pd.DataFrame(lines).reindex(columns=["step", "stage", *columns])
        run = f"{teacher_of(record)}, {record.seed}"
        parts.append(logged.assign(requested=float(record.config["sparsity"]), run=run))
    return pd.concat(parts, ignore_index=True) if parts else None


def plot(frame: pd.DataFrame) -> Figure:
    requested = sorted(frame["requested"].unique())
    logged = {name: title for name, title in PANELS.items() if frame[name].notna().any()}
    with figure_style():
        figure, all_axes = panel_grid(len(logged))
        last = max(float(frame.loc[frame[name].notna(), "step"].max()) for name in logged)
        for axes, (name, title) in zip(all_axes, logged.items(), strict=True):
            for number, share in enumerate(requested):
                runs = frame[frame["requested"] == share].groupby("run")
                label = f"{100 * share:g} % requested" + (f" ({len(runs)} runs)" if len(runs) > 1 else "")
                for at, (_, rows) in enumerate(runs):
                    color = COLORS[number % len(COLORS)]
                    _lines(axes, rows, name, color, label if not at else "_")
            _end_of_stages(axes, frame)
            axes.set_title(title)
            axes.set_xlim(-0.02 * last, 1.02 * last)
            axes.set_xlabel("step of training")
        add_legend(figure, all_axes)
        add_caption(
            figure, "A line a run. Dashed: the target of sparsity, the multiplier of the square, the loss on "
            "predictions (solid: on layers). Upright lines: pruning begins, the pruned model is fine-tuned.",
        )  # fmt: skip
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, name: str, color: str, label: str) -> None:
    from matplotlib.ticker import LogFormatter

    factor: Any = 100 if name in ("expected_sparsity", "score") else 1
    known = rows.dropna(subset=[name])
    if name == "layer_loss":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # the default writes mathematics
        axes.yaxis.set_minor_formatter(LogFormatter())
    look: dict[str, Any] = {"color": color, "marker": "o" if name == "score" else "", "markersize": 1.8}
    axes.plot(known["step"], factor * known[name], label=label, linewidth=0.9, **look)
    if name in SECOND:
        axes.plot(known["step"], factor * known[SECOND[name]], color=color, linestyle=(0, (3, 1.5)), linewidth=0.7)


def _end_of_stages(axes: Axes, frame: pd.DataFrame) -> None:
    """Where pruning and fine-tuning begin in the first run."""
    first = frame[frame["run"] == frame["run"].iloc[0]]
    for stage in ("prune", "finetune"):
        steps = first.loc[first["stage"] == stage, "step"]
        if len(steps):
            axes.axvline(steps.min(), color="#999999", linewidth=0.6)

"""Every way to choose what goes, side by side: sparsity, MACs, measured speed-up and the metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.cofi.runs import caption, cofi_means, cofi_rows, default_runs, method, missed_text
from analysis.cofi.tables import counted, in_order, per_cent, score, signed, times
from analysis.data.averages import SCORES
from analysis.data.frames import by_device
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import beside
from analysis.data.timings import NO_SPREAD, timed_text, timings
from analysis.render.output import Item, Table, file_name
from analysis.render.style import STRUCTURES

if TYPE_CHECKING:
    import pandas as pd

FREE = ("structure", "variant", "prediction_weight")


def draw(group: Group, journal: Journal) -> list[Item]:
    """One table a machine."""
    items: list[Item] = []
    for groups in by_device(default_runs(group.records, free=FREE)):
        device = groups[0].records[0].device
        frame = baselines(groups, journal)
        starred = missed_text(frame, "Starred", lambda row: row.method)
        items.append(Table(
            name=file_name("cofi_baselines", device) if items else "cofi_baselines",
            title="CoFi and its baselines",
            frame=frame,
            display=display(frame),
            caption="Gone: of the prunable parameters, without embeddings. Speed-ups are measured over the teacher at "
            f"the smallest and the largest batch timed. {NO_SPREAD}{SCORES}; "
            f"change: points against the teacher. {timed_text(frame)}{starred}{device}. "
            f"{caption(groups)}",
        ))  # fmt: skip
    return items


def baselines(groups: list[Group], journal: Journal) -> pd.DataFrame:
    """A row a task, requested sparsity and method; shares in per cent, ``change`` in points against the teacher."""
    import pandas as pd

    rows = cofi_rows(groups, method=method)
    records = [record for group in groups for record in group.records]
    for ends, largest in (("smallest", False), ("largest", True)):
        timed = timings(records, journal, largest=largest)
        for name in ("speedup", "batch_size"):
            known = {run: timing[name] for run, timing in timed.items()}
            rows[f"{name}_{ends}"] = pd.to_numeric(rows["run_id"].map(known))
    # Every record that counts has the speed-up at its largest batch, even where its table is damaged.
    rows["speedup_largest"] = rows["speedup"]
    also = ["remaining_percent", "speedup_smallest", "speedup_largest", "batch_size_smallest", "batch_size_largest"]
    rows_by_method = cofi_means(rows, ["panel", "task", "method", "requested"], also)
    return in_order(rows_by_method, "method", [look.label for look in STRUCTURES.values()])


def display(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "task": frame["panel"],
        "requested (%)": frame["requested"].map("{:g}".format),
        "method": frame["method"],
        "gone (%)": counted(frame),
        "MACs left (%)": per_cent(frame["remaining_percent"]),
        _batch(frame, "smallest"): times(frame["speedup_smallest"]),
        _batch(frame, "largest"): times(frame["speedup_largest"]),
        "score": score(frame),
        "change": signed(frame["change"]),
        "runs": frame["runs"].map(str),
        **beside(frame),
    })  # fmt: skip


def _batch(frame: pd.DataFrame, ends: str) -> str:
    """The heading of a column of speed-ups, with the batch where there is only one such."""
    sizes = set(frame[f"batch_size_{ends}"].dropna())
    return f"speed-up, batch {sizes.pop():.0f}" if len(sizes) == 1 else f"speed-up, {ends} batch"

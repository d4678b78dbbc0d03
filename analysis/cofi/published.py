"""What Xia et al. 2022 print of CoFi and of others, as points against the teacher or against full CoFi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.published import read

if TYPE_CHECKING:
    import pandas as pd

TEACHER = "BERT-base (teacher)"
METRICS = {
    "cola": "matthews",
    "mnli": "accuracy",
    "mrpc": "accuracy",
    "qnli": "accuracy",
    "qqp": "accuracy",
    "rte": "accuracy",
    "squad": "answer_f1",
    "sst2": "accuracy",
}
"""The metric of a task; their mean of two correlations on STS-B is none of ours."""
UNITS = {"-hidden": "no hidden", "-layer": "no layers", "-layer & hidden": "no layers, no hidden"}
OBJECTIVES = {
    "fixed hidden distillation": "fixed layers",
    "-L_layer": "predictions only",
    "-L_pred, -L_layer": "none",
}
"""Their names of the ablations, and ours."""


def curve() -> pd.DataFrame:
    """CoFi's scores against speed-up: the figure's curve for MNLI, the released models for other tasks.

    Returns:
        Columns ``task``, ``method``, ``speedup``, ``change`` in points.
    """
    import pandas as pd

    drawn = read("cofi_fig_mnli_curve").rename(columns={"accuracy": "score"}).assign(task="MNLI")
    released = read("cofi_released_checkpoints")
    both = pd.concat([drawn, released[released["task"] != "MNLI"]], ignore_index=True)
    return _against_teacher(both.assign(method="CoFi"))


def others() -> pd.DataFrame:
    """Other compressed models, as :func:`curve`: Table 1 on MNLI, TinyBERT4 of Table 2 on every task."""
    import pandas as pd

    first = read("cofi_table1_mnli").rename(columns={"accuracy": "score"}).assign(task="MNLI")
    second = read("cofi_table2_vs_tinybert4")
    first = first[~first["method"].isin([TEACHER, "CoFi", *second["method"]])]
    second = second[~second["method"].isin([TEACHER, "CoFi"])]
    return _against_teacher(pd.concat([first, second], ignore_index=True))


def dense_student() -> pd.DataFrame:
    """CoFi minus TinyBERT4 without general distillation, in points: columns ``task``, ``difference``."""
    wide = read("cofi_table2_vs_tinybert4").pivot(index="task", columns="method", values="score")
    gain = wide["CoFi"] - wide["TinyBERT4 without general distillation"]
    return gain.dropna().rename("difference").reset_index()


def pruning_units() -> pd.DataFrame:
    """Table 4 against all units: columns ``units``, ``task``, ``requested`` (%), ``change``, ``speedup``."""
    frame = read("cofi_table4_pruning_units").rename(columns={"sparsity_pct": "requested"})
    whole = frame[frame["units"] == "CoFi"].rename(columns={"score": "whole"})
    both = frame.merge(whole[["task", "requested", "whole"]], on=["task", "requested"])
    both = both.assign(change=both["score"] - both["whole"], units=both["units"].map(UNITS))
    return both.dropna(subset=["units"])[["units", "task", "requested", "change", "speedup"]].reset_index(drop=True)


def distillation() -> dict[str, float]:
    """Table 5: points against full CoFi at 95 % sparsity by setting, the mean of its four tasks."""
    wide = read("cofi_table5_distillation").pivot(index="task", columns="objective", values="score_at_95pct")
    return {name: float((wide[printed] - wide["CoFi"]).mean()) for printed, name in OBJECTIVES.items()}


def _against_teacher(frame: pd.DataFrame) -> pd.DataFrame:
    second = read("cofi_table2_vs_tinybert4")
    teachers = second[second["method"] == TEACHER].set_index("task")["score"]
    frame = frame.assign(change=frame["score"] - frame["task"].map(teachers), task=frame["task"].map(_our_name))
    known = frame.dropna(subset=["change"])
    return known[["task", "method", "speedup", "change"]].reset_index(drop=True)


def _our_name(task: str) -> str:
    return task.lower().replace("-", "")

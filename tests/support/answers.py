"""What models answer; and recorded answers, held to their record: every score in it is computed from them again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from prunekit.data.batches import Batch
from prunekit.evaluation.evaluate import outputs_in_order
from prunekit.evaluation.rescoring import rescored
from prunekit.evaluation.row_answers import AnswerSheet, spelled
from prunekit.runs.schema.answer_file import FILE, answer_problems, read_answers
from prunekit.runs.schema.verbs import VERBS


def predict(model: Any, batches: Sequence[Batch], **how: Any) -> np.ndarray:
    """Logits of all examples in the order of the data, (example, label)."""
    [logits] = outputs_in_order(
        model, batches, lambda output, _: [output.logits.float()], device=torch.device("cpu"), **how
    )
    return logits.numpy()


def table(folder: Path, name: str) -> pd.DataFrame:
    """As it was written, to the last digit."""
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def assert_answered(folder: Path) -> int:
    """Every score of a record is exactly what its answers give; returns how many were looked at.

    A verb that scores nothing has no answers.
    """
    record = json.loads((folder / "result.json").read_text())
    if not VERBS[record["verb"]].answers:
        assert "answers" not in record and not (folder / FILE).exists()
        return 0
    sheets = read_answers(folder / FILE)
    assert list(answer_problems(record, sheets)) == []
    assert not (folder / "answers").exists()
    expected = list(scores(folder, record, sheets))
    for sheet, model, metric, value in expected:
        assert rescored(sheet.answers, metric, sheet.of(**model)) == value, (folder, model, metric)
    assert {spelled(model) for _, model, _, _ in expected} == {spelled(model) for model in sheets["evaluation"].models}
    return len(expected)


def scores(
    folder: Path, record: dict[str, Any], sheets: dict[str, AnswerSheet]
) -> Iterator[tuple[AnswerSheet, dict[str, Any], str, float]]:
    """Answers, a model, a metric, and what the record says of it."""
    own, metrics, verb = sheets["evaluation"], record["metrics"], record["verb"]
    names = [name for name in record["config"]["task"]["metrics"] if name in metrics]
    if verb == "finetune":
        for name in names:
            yield own, {"stage": "final"}, name, metrics[name]
    if verb == "prune_cofi":
        yield own, {"stage": "dense"}, metrics["metric"], metrics["baseline"]
        for name in names:
            yield own, {"stage": "final"}, name, metrics[name]
        assert metrics[metrics["metric"]] == metrics["value"]
    if verb in ("prune_heads", "head_dynamics"):
        keys = ["share"] if verb == "prune_heads" else ["epoch", "share"]
        for row in table(folder, "points").to_dict("records"):
            yield own, {key: row[key] for key in keys}, row["metric"], row["value"]
    if verb in ("prune_fisher", "compress", "quantize"):
        for row in table(folder, "stages").to_dict("records"):
            for name in names:
                yield own, {"stage": row["stage"]}, name, row[name]
    if verb == "ablate_heads":
        for row in table(folder, "heads").to_dict("records"):
            model = {key: row[key] for key in ("ablation", "kind", "layer", "head")}
            yield own, model, row["metric"], row["value"]
            yield own, {"ablation": "none"}, row["metric"], row["baseline"]
        for row in table(folder, "layers").to_dict("records"):
            if row["protocol"] == "train":
                assert row["head"] == best_alone(sheets["selection"], row["metric"], row["kind"], row["layer"])
    if verb == "transfer":
        for role in ("evaluation", "second"):
            name = "first" if role == "evaluation" else "second"
            baseline = metrics[f"{name}_baseline"]
            yield sheets[role], {"ablation": "none"}, metrics["metric"], baseline
            for row in table(folder, "effects").to_dict("records"):
                model = {"ablation": "one_off"} | {key: row[key] for key in ("kind", "layer", "head")}
                value = rescored(sheets[role].answers, metrics["metric"], sheets[role].of(**model))
                assert value - baseline == row[f"{name}_delta"]
                yield sheets[role], model, metrics["metric"], value


def best_alone(sheet: AnswerSheet, metric: str, kind: str, layer: int) -> int:
    """The head of a layer that scores most where all others are off."""
    alone = {"ablation": "all_but_one", "kind": kind, "layer": layer}
    heads = [model["head"] for model in sheet.models if alone.items() <= model.items()]
    values = [rescored(sheet.answers, metric, sheet.of(**alone, head=head)) for head in heads]
    return int(heads[int(np.argmax(values))])

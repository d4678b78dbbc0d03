"""``docs/extending.md`` is true: what it names is added to a copy by following it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import TINY

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("prunekit", "experiments", "analysis", "conf")

SCORE = """

def head_position(model: PreTrainedModel, seed: int) -> dict[str, Tensor]:
    exists = Masks.ones(describe(model)).heads
    order = {kind: torch.arange(mask.numel(), dtype=torch.float64).view(mask.shape) for kind, mask in exists.items()}
    return {kind: scores.masked_fill(~exists[kind], torch.nan) for kind, scores in order.items()}


OF_WEIGHTS["position"] = head_position
"""
FAMILY = """
ROWS = (
    *ROWS,
    Encoder(
        model_type="ernie",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "ernie.pooler.", "qa_outputs."),
        residual=Residual((*_TABLES, "embeddings.task_type_embeddings"), _NORM, None, ("pooler.dense",)),
        task_heads={**_TASK_HEADS, "ForNextSentencePrediction": ()},
        classify=_bert_head,
    ),
)
"""
PRESET = """defaults: [schema, _self_]
name: ernie-base
path: nghuyong/ernie-2.0-base-en
family: ernie
"""
FIGURE = """
import pandas as pd

from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.render.output import Item, Table


def draw(group: Group, journal: Journal) -> list[Item]:
    frame = pd.DataFrame({"order": sorted({str(record.config["order"]) for record in group.records})})
    return [Table("position", "Orders that were run", frame, frame, group.caption)]
"""
EXPERIMENT = """# @package _global_
# Heads by position.
preset: {verb: prune_heads, figures: [michel/position]}
hydra:
  mode: MULTIRUN
  sweeper: {params: {order: "position,random"}}
"""
OPTION = """
    highest_first: bool = False
    \"\"\"The most important heads go first.\"\"\"
"""
KIND = '''"""Classes in an order: to be one beside the right one is nearly right."""

import numpy as np

from prunekit.data.kinds.asked import ScoredAnswers
from prunekit.data.kinds.classification import Classification
from prunekit.support.statistics import accuracy_band


class Ordered(Classification):
    name = "ordered"
    pipeline = "text-ranking"

    def scores(self, task, examples, answers):
        off = np.abs(answers.argmax(-1) - examples.labels)
        near, counts = off <= 1, np.stack([off, np.full_like(off, len(task.labels) - 1)], 1)
        values = {"near": float(near.mean()), "closeness": float(closeness("closeness", counts.sum(0)))}
        given = {"near": near, "closeness": counts}
        return ScoredAnswers(values, accuracy_band(near), given, per_row=near.astype(float))

    def trivial_scores(self, task, rows):
        return {"near": float((np.abs(rows.labels - 1) <= 1).mean()), "closeness": 0.5}


def closeness(metric, sums):
    return 1 - sums[..., 0] / sums[..., 1]
'''
SETTINGS = """
    KindSettings(
        "ordered", lambda task: "near" in task.metrics, ("near", "closeness"), lambda task: len(task.labels),
        "metrics=[near]", (
            AnswerArray("near", "b", "at most one class off"),
            AnswerArray("closeness", "u", "classes off, and at most", between=2),
        ), "prunekit.data.kinds.ordered:closeness",
    ),
"""
RESCORED = """
import json
import numpy as np
from pathlib import Path
from prunekit.evaluation.rescoring import resampled, rescored, right_answers
from prunekit.runs.schema.answer_file import read_answers

[run] = Path("runs/prune_fisher").iterdir()
metrics = json.loads((run / "result.json").read_text())["metrics"]
sheet = read_answers(run / "answers.npz")["evaluation"]
answers, last = sheet.answers, len(sheet.models) - 1
assert answers.kind == "ordered" and answers.gold is None
from prunekit.runs.cards.measured import result_of, score_of
record = json.loads((run / "result.json").read_text())
assert result_of(record, score_of(run, record)).task_type == "text-ranking"
for name in ("near", "closeness"):
    assert rescored(answers, name, last) == metrics[name], name
    assert np.allclose(resampled(answers, name, last, np.ones((1, len(answers)))), metrics[name])
assert right_answers(answers, "near", last).mean() == metrics["near"] > metrics["closeness"] > 0
assert right_answers(answers, "closeness", last) is None
"""
USE = """
import torch
import prunekit
from hydra import compose, initialize_config_dir
from pathlib import Path
from analysis.catalogue.chapters import CHAPTERS
from analysis.catalogue.draw import draw_all
from analysis.render import output, style
from experiments.cli.composition import CONF, register, typed
from experiments.cli.verb import named
from prunekit.heads import orders
from prunekit.heads.curves import pruning_steps
from prunekit.models.checkpoints import build

assert Path(prunekit.__file__).is_relative_to(Path.cwd())
verb = named("prune_heads")
register("prune_heads", verb.settings)
with initialize_config_dir(str(CONF), version_base="1.3"):
    config = typed(compose("prune_heads", ["order=position"]), verb.settings)
    hydra = compose("prune_heads", ["experiment=michel_position"], return_hydra_config=True).hydra
    family = typed(compose("prune_heads", ["model=ernie-base"]), verb.settings).model.family
assert hydra.sweeper.params.order == "position,random"
assert [part.draw.__module__ for chapter in CHAPTERS for part in chapter.parts if part.name == "position"] == [
    "analysis.michel.position"
]
shape = dict(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
             max_position_embeddings=24, pad_token_id=1, type_vocab_size=1)
model = build(family, shape, 3, seed=1).double()
estimate = orders.estimator(config, None, None, None)
*_, last = pruning_steps(model, [0.0, 0.375], estimate, kinds=["self"])
assert last.removed == [(0, 0), (0, 1), (0, 2)], last.removed
with initialize_config_dir(str(CONF), version_base="1.3"):
    config = typed(compose("prune_heads", ["order=position", "highest_first=true"]), verb.settings)
*_, last = pruning_steps(model, [0.0, 0.375], orders.estimator(config, None, None, None), kinds=["self"])
assert sorted(last.removed) == [(1, 1), (1, 2), (1, 3)], last.removed
assert family == "ernie"
output.save_figure = lambda figure, frame, path, kinds: style.save_figure(figure, frame, path, ("csv",))
draw_all([Path(LOGGED)], Path("drawn"))
assert [path.read_text() for path in Path("drawn").rglob("position.csv")] == ["order\\nrandom\\n"]
layout = prunekit.describe(model)
masks = prunekit.Masks.ones(layout)
masks.heads["self"][0, 1] = False
masks.neurons[1, ::2] = False
masks.hidden[3] = False
ids = torch.arange(2, 18).view(2, 8)
batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
with torch.no_grad():
    whole = model(**batch).logits
    with prunekit.gated(model, masks):
        gated = model(**batch).logits
    small = prunekit.prune(model, masks)
    pruned = small(**batch).logits
    prunekit.save(small, "saved")
    loaded = prunekit.load("saved", dtype=torch.float64)(**batch).logits
assert (whole - gated).abs().max() > 1e-8
torch.testing.assert_close(pruned, gated, rtol=0, atol=1e-10)
assert torch.equal(loaded, pruned)
assert prunekit.cost(small, 8).parameters == sum(p.numel() for p in small.parameters())
"""


def counted() -> dict[str, int]:
    """How many files the page says that each addition touches."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return {name: int(number) for name, number in re.findall(r"^## (.+) \((\d+) files?\)$", page, flags=re.MULTILINE)}


class Copy:
    """A copy of the source, and the files that were touched in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.touched: set[str] = set()
        for part in PARTS:
            ignored = shutil.ignore_patterns("logged_runs")  # compiled files hold for all that is not touched
            shutil.copytree(ROOT / part, root / part, ignore=ignored)

    def append(self, path: str, text: str) -> None:
        """To a file, which is made if it is not there."""
        target = self.root / path
        target.write_text((target.read_text(encoding="utf-8") if target.exists() else "") + text, encoding="utf-8")
        self.touched.add(path)

    def replace(self, path: str, old: str, new: str) -> None:
        target = self.root / path
        text = target.read_text(encoding="utf-8")
        assert text.count(old) == 1, (path, old)
        target.write_text(text.replace(old, new), encoding="utf-8")
        self.touched.add(path)

    def files(self) -> int:
        """Touched since the last question."""
        number = len(self.touched)
        self.touched.clear()
        return number


@pytest.mark.slow  # a minute; of a method alone tests/prunekit/methods/test_extending.py is the quick one
def test_what_the_page_says_can_be_done(tmp_path: Path) -> None:
    copy, said = Copy(tmp_path), counted()
    copy.append("prunekit/heads/scores.py", SCORE)
    copy.replace("prunekit/heads/settings.py", '"random", "magnitude",', '"random", "magnitude", "position",')
    assert copy.files() == said["A head score"] == 2
    step = '    """Step of the curve."""\n'
    copy.replace("prunekit/heads/settings.py", step, step + OPTION.lstrip("\n"))
    ranking = "lambda model: OF_WEIGHTS[config.order](model, config.seed)"
    turned = (
        "lambda model: {k: (-s if config.highest_first else s) for k, s in OF_WEIGHTS[config.order](model, 0).items()}"
    )
    copy.replace("prunekit/heads/orders.py", ranking, turned)
    assert copy.files() == said["An option of a verb"] == 2
    copy.append("prunekit/models/families/encoders.py", FAMILY)
    copy.append("conf/model/ernie-base.yaml", PRESET)
    assert copy.files() == said["A family of encoders"] == 2
    copy.append("analysis/michel/position.py", FIGURE)
    copy.append("conf/experiment/michel_position.yaml", EXPERIMENT)
    chapters, part = "analysis/catalogue/chapters.py", '            Part("fig3b", "prune_heads", fig3b.draw),\n'
    copy.replace(chapters, "    order_agreement,\n", "    order_agreement,\n    position,\n")
    copy.replace(chapters, part, part + '            Part("position", "prune_heads", position.draw),\n')
    assert copy.files() == said["A figure"] == 3
    runs = ROOT / "analysis" / "logged_runs" / "prune_heads"
    logged = next(path for path in sorted(runs.iterdir()) if "name: minilm" in (path / "config.yaml").read_text())
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"LOGGED = {str(logged)!r}\n{USE}"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_kind_of_task_is_what_the_page_says(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.append("prunekit/data/kinds/ordered.py", KIND)
    copy.replace("prunekit/config/task_kinds.py", "\nTASK_KINDS = (\n", f"\nTASK_KINDS = ({SETTINGS}")
    assert copy.files() == counted()["A kind of task"] == 2
    words = [*TINY, "task.metrics=[near,closeness]", "constraint=0.5", "run.folder=runs"]
    for command in (["-m", "experiments.prune_fisher", *words], ["-c", RESCORED]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("addition", ["A task", "A claim"])
def test_the_page_counts_the_other_additions(addition: str) -> None:
    assert counted()[addition] == {"A task": 1, "A claim": 1}[addition]

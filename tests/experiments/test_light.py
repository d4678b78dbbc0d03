"""What a command line is refused for is known before torch is imported: in a second, and not in ten."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from experiments.cli.composition import CONF

HEAVY = ("torch", "transformers", "datasets", "pandas", "matplotlib", "wandb")
FILES = ["task.source=files", "task.files.train=a.csv", "task.files.validation=b.csv"]
REFUSED = {
    "a preset": ("finetune", ["task=mnlii"]),
    "a setting": ("prune_heads", ["order=importance", "ordr=random"]),
    "a type": ("finetune", ["train.epochs=three"]),
    "a range": ("finetune", ["train.learning_rate=-1"]),
    "no number": ("prune_cofi", ["sparsity=nan"]),
    "a size": ("finetune", ["model.shape.hidden_size=0"]),
    "an empty list": ("time_inference", ["lengths=[]"]),
    "a choice": ("prune_fisher", ["score=nosuch"]),
    "a combination": ("prune_fisher", ["score=magnitude", "rearrange=true"]),
    "a metric of another kind": ("ablate_heads", [*FILES, "task.labels=[a,b]", "task.metrics=[pearson]"]),
    "labels that were forgotten": ("ablate_heads", [*FILES, "task.labels=[]", "task.metrics=[accuracy]"]),
    "f1 of three labels": ("finetune", [*FILES, "task.labels=[a,b,c]", "task.metrics=[f1]"]),
    "a label twice": ("finetune", [*FILES, "task.labels=[x,x]"]),
    "a verb for encoders": ("latency_table", ["task=demo_translation"]),
    "a verb for translation": ("time_decoding", ["task=demo"]),
    "a verb without questions": ("head_dynamics", ["task=squad"]),
    "a path": ("finetune", ["run.folder=/proc/self/runs"]),
    "a device": ("finetune", ["run.device=gpu"]),
    "quotes": ("finetune", ["task.files.train=~/train.csv"]),
    "an option's range": ("compress", ["method=ziplm", "method.options.damping=3"]),
    "an option's choice": ("compress", ["method=kprune", "method.options.variant=press"]),
    "another method's option": ("compress", ["method.options.damping=0.1"]),
    "an option that one method lacks": ("compress", ["-m", "method=ziplm,kprune", "method.options.ratio=0.5"]),
    "a source that is not there": ("export", ["source=./nothing"]),
    "a run that leaves no model": ("export", ["source=analysis/logged_runs/transfer/8b8e08fb157b3f56"]),
    "a run that is not there": ("quantize", ["source=prune_cofi/nothing"]),
    "a teacher that is not there": ("prune_heads", ["teacher=./nothing"]),
    "a shape that is not there": ("time_inference", ["shape_of=./nothing"]),
    "several values": ("finetune", ["train.seed=0,1"]),
    "a preset of another verb": ("transfer", ["experiment=michel_fig1b"]),
}
PROGRAM = """
import io, json, runpy, sys
from contextlib import redirect_stderr, redirect_stdout
from hydra.core.global_hydra import GlobalHydra
from experiments.cli.verb import named
answers = {}
for name, (verb, overrides) in json.loads(sys.argv[1]).items():
    sys.argv, told, status = [f"experiments/{verb}.py", *overrides], io.StringIO(), 0
    GlobalHydra.instance().clear()
    with redirect_stderr(told), redirect_stdout(io.StringIO()):
        try:
            named(verb)()
        except SystemExit as end:
            status = end.code
    heavy = [module for module in json.loads(HEAVY) if module in sys.modules]
    answers[name] = [status, told.getvalue(), heavy]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, list[object]]:
    """Of one process for all, in which nothing heavy may be left by any."""
    program = f"HEAVY = {json.dumps(json.dumps(HEAVY))}\n{PROGRAM}"
    command = [sys.executable, "-c", program, json.dumps(REFUSED)]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True, check=True)
    found: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_heavy_is_imported(name: str, answers: dict[str, list[object]]) -> None:
    status, told, heavy = answers[name]
    assert status == 2 and len(str(told).strip().splitlines()) == 1, told
    assert str(told).startswith(f"{REFUSED[name][0]}: ")
    assert heavy == []

"""One step of CoFi can be read in a handful of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from prunekit.cofi.pruning import Cofi
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.checkpoints import build
from prunekit.training.loop import Context, StageRun
from tests.support.journeys import files_run
from tests.support.trainings import RECIPE, SHAPE, TASK


def test_a_step_of_pruning_goes_through_eight_files(tmp_path: Path) -> None:
    """All of it is looked up before the first step."""
    examples = encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(64))
    teacher, student = build("bert", SHAPE, 3, seed=1), build("bert", SHAPE, 3, seed=2)
    context = Context(examples=examples, device=torch.device("cpu"), folder=tmp_path)
    cofi = Cofi(teacher, student, RECIPE, lambda model: 0.0, context)
    with torch.no_grad():
        cofi.gates.log_alpha["hidden"][:4] = -40  # the stream is narrower, too
    run = StageRun(cofi.pruning_stage(0), context)
    assert files_run(lambda: run.step(np.arange(32))) == [
        "training/loop.py", "data/batches.py", "cofi/pruning.py", "cofi/learned_gates.py",
        "cofi/distillation.py", "cofi/slim.py", "cofi/teacher_outputs.py", "cofi/sparsity.py",
    ]  # fmt: skip
    assert run.state.step == 1

"""Models that each method pruned, taken away to an environment that has no prunekit."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.sparsity import PrunableSize, fitted
from prunekit.heads.scores import random_scores
from prunekit.heads.timing_subject import without_lowest
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.search.mac_search import mac_search
from prunekit.support.errors import UserError
from tests.support.families import batch_for, logits, tiny

LOAD = """
import importlib.util, json, sys
from pathlib import Path
assert importlib.util.find_spec("prunekit") is None
import onnxruntime, torch
from transformers import AutoModelForSequenceClassification
folder, batch = Path(sys.argv[1]), json.loads(sys.argv[2])
answers = {}
for path in sorted(folder.iterdir()):
    if (path / "model.onnx").exists():
        session = onnxruntime.InferenceSession(path / "model.onnx")
        inputs = {item.name: torch.tensor(batch[item.name]).numpy() for item in session.get_inputs()}
        answers[path.name] = session.run(None, inputs)[0].tolist()
    else:
        model = AutoModelForSequenceClassification.from_pretrained(path).eval()
        with torch.no_grad():
            answers[path.name] = model(**{name: torch.tensor(value) for name, value in batch.items()}).logits.tolist()
print(json.dumps(answers))
"""


def by_heads(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> PreTrainedModel:
    small, _, gone = without_lowest(model, random_scores(model, 0), ["self"], 0.5)
    assert gone == 0.5
    return small


def by_fisher(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> PreTrainedModel:
    gradients = mask_gradients(model, batches)
    masks = rearrange(gradients, mac_search(diagonal(gradients), model, 9, 0.5))
    return prunekit.prune(model, tune(model, masks, batches).masks)


def by_cofi(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> PreTrainedModel:
    """The gates as they are learned: hidden dimensions and a whole layer are among what goes."""
    gates = Gates(model)
    masks = fitted(gates, PrunableSize.of(model), 0.6).kept()
    assert masks.hidden is not None
    masks.hidden[[1, 6, 7]] = False
    masks.layers["self"][1] = masks.layers["ffn"][1] = False
    return prunekit.prune(model, masks)


def alike(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> PreTrainedModel:
    """Equally many neurons of every layer, and one layer less: what plain is for."""
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.neurons[:, 1::3] = False
    masks.layers["self"][0] = masks.layers["ffn"][0] = False
    masks.skip_norms = True
    return prunekit.prune(model, masks)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a virtual environment with the packages of this one, but not the library."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages" / "others.pth"
    packages.write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "formats", "refused"),
    [
        (by_heads, ["padded", "onnx"], "self heads"),
        (by_fisher, ["padded", "onnx"], "neurons by layer"),
        (by_cofi, ["padded", "onnx"], "hidden size 12"),
        (alike, ["plain", "padded"], None),
    ],
)
def test_models_load_without_prunekit(
    method: Callable[..., PreTrainedModel], formats: list[str], refused: str | None, elsewhere: Path, tmp_path: Path
) -> None:
    model = tiny("bert", dtype=torch.float32)
    small = method(model, [batch_for(model) | {"labels": torch.tensor([0, 1, 2, 0])}])
    batch = batch_for(small, rows=3, length=7, seed=5)
    for name in formats:
        prunekit.export(small, tmp_path / "out" / name, name)
    if refused:
        with pytest.raises(UserError, match=rf"stock bert has no such shape: .*{refused}"):
            prunekit.export(small, tmp_path / "out" / "plain", "plain")
    inputs = json.dumps({name: tensor.tolist() for name, tensor in batch.items()})
    done = subprocess.run(
        [elsewhere, "-c", LOAD, tmp_path / "out", inputs], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    expected = logits(small, batch)
    assert (logits(model, batch) - expected).abs().max() > 1e-3
    assert set(answers) == set(formats)
    for found in answers.values():
        torch.testing.assert_close(torch.tensor(found), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))

"""A pruned model runs in ONNX Runtime with the same outputs."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from prunekit.models.surgery import prune
from tests.support.families import FAMILY_NAMES, batch_for, logits, tiny
from tests.support.masks import uneven_masks


class LogitsOnly(nn.Module):
    """Positional tensors in, logits out, as exported graphs have it."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_pruned_models_run_in_onnx_runtime(family: str, tmp_path: Path) -> None:
    model = tiny(family, dtype=torch.float32)
    masks = uneven_masks(model)
    masks.layers["self"][-1] = False
    small = prune(model, masks)
    batch = batch_for(small)
    names = list(batch)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        LogitsOnly(small, names).eval(),
        tuple(batch.values()),
        tmp_path / "small.onnx",
        input_names=names,
        dynamic_shapes=(tuple(axes for _ in names),),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    for other in (batch, batch_for(small, rows=2, length=5, seed=1)):
        (found,) = session.run(None, {name: tensor.numpy() for name, tensor in other.items()})
        torch.testing.assert_close(torch.from_numpy(found), logits(small, other), rtol=0, atol=1e-5)

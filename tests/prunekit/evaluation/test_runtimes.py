"""Models in other runtimes answer alike, and what is fastest is said of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn

import prunekit
from prunekit.evaluation.runtimes import Compiled, in_runtime
from prunekit.models.export.graphs import MODEL, random_inputs, write_graphs
from prunekit.models.export.sessions import Session
from prunekit.runs.runtime_speed import served, with_fastest
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny
from tests.support.masks import uneven_masks

MEDIANS = {
    ("original", "torch"): 10.0, ("pruned", "torch"): 2.0, ("original", "onnx"): 6.0, ("pruned", "onnx"): 3.0,
}  # fmt: skip


def test_each_model_is_served_in_its_own_fastest_runtime() -> None:
    rows = with_fastest([
        {"variant": variant, "runtime": runtime, "length": 32, "median_ms": median}
        for (variant, runtime), median in MEDIANS.items()
    ])  # fmt: skip
    assert [row["fastest"] for row in rows] == [False, True, True, False]
    others = [{**row, "length": 8, "median_ms": 1.0} for row in rows]
    assert served([*others, *rows], 4, 32) == {
        "speedup_torch_batch_4": 5.0, "speedup_onnx_batch_4": 2.0, "runtime_original_batch_4": "onnx",
        "runtime_pruned_batch_4": "torch", "speedup_as_served_batch_4": 3.0,
    }  # fmt: skip


class Small(nn.Module):
    """Anything that can be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.words = SimpleNamespace(vocab_size=9), nn.Embedding(9, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.words(input_ids) * attention_mask[..., None]


def inputs_of(rows: int, length: int) -> dict[str, Tensor]:
    return {"input_ids": torch.ones(rows, length).long(), "attention_mask": torch.ones(rows, length).long()}


def test_every_shape_of_every_model_is_compiled() -> None:
    """Each once, however few of one code PyTorch compiles by itself."""
    made: list[Any] = []

    def backend(graph: Any, examples: list[Any]) -> Any:
        made.append(graph)
        return graph.forward

    shapes = [(1, 3), (1, 5), (4, 3)]
    models = [Compiled(Small(), backend) for _ in range(2)]
    with torch._dynamo.config.patch(recompile_limit=1, accumulated_recompile_limit=2):
        for rows, length in shapes * 2:
            for model in models:
                assert model(**inputs_of(rows, length)).shape == (rows, length, 2)
    assert len(made) == len(shapes) * len(models)


def test_what_is_not_compiled_is_refused() -> None:
    model = Compiled(Small(), lambda graph, examples: graph.forward)
    expected = pytest.raises(UserError, match=r"^runtime: PyTorch .* does not compile all .*; time it without")
    with torch._dynamo.config.patch(recompile_limit=0), expected as refused:
        model(**inputs_of(2, 3))
    assert "\n" not in str(refused.value)
    assert model(**inputs_of(2, 3)).shape == (2, 3, 2)  # nothing is left of the attempt


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
@pytest.mark.parametrize(("runtime", "near"), [("compile", 1e-5), ("onnx", 1e-5), ("onnx-int8", 0.5)])
def test_runtimes_answer_alike(runtime: str, near: float) -> None:
    """Padding and token types are theirs, too."""
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    other = in_runtime(small, runtime, random_inputs(model, 2, 8))
    for rows, length in ((1, 5), (3, 9)):
        batch = batch_for(small, rows, length)
        with torch.inference_mode():
            output, expected = other(**batch), small(**batch).logits
            assert not torch.allclose(expected, small(input_ids=batch["input_ids"]).logits, atol=1e-3)
        found = torch.as_tensor(output["logits"])
        torch.testing.assert_close(found, expected, rtol=0, atol=near * float(expected.abs().max()))
        assert runtime != "onnx-int8" or not torch.allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_the_graph_that_is_timed_is_the_one_that_is_exported(tmp_path: Path) -> None:
    model = tiny("bert", dtype=torch.float32)
    served = in_runtime(model, "onnx", {})
    write_graphs(model, tmp_path)
    exported = Session(tmp_path / MODEL)
    assert served._session.inputs == exported.inputs == list(random_inputs(model, 1, 1))
    assert served._session.outputs == exported.outputs == ["logits"]

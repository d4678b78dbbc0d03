"""Models in other runtimes answer alike, and what is fastest is said of each."""

from __future__ import annotations

import pytest
import torch

import prunekit
from prunekit.evaluation.runtimes import in_runtime
from prunekit.runs.runtime_speed import served, with_fastest
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


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "near"), [("compile", 1e-5), ("onnx", 1e-5), ("onnx-int8", 0.5)])
def test_runtimes_answer_alike(runtime: str, near: float) -> None:
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    other = in_runtime(small, runtime)
    for rows, length in ((1, 5), (3, 9)):
        ids = batch_for(small, rows, length)["input_ids"]
        with torch.inference_mode():
            output, expected = other(input_ids=ids), small(input_ids=ids).logits
        found = output.logits if runtime == "compile" else torch.from_numpy(output[0])
        torch.testing.assert_close(found, expected, rtol=0, atol=near * float(expected.abs().max()))
        assert runtime != "onnx-int8" or not torch.allclose(found, expected, atol=1e-6)

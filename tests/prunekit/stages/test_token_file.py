"""Hidden states on disk come back as they were, in every precision that models have."""

from __future__ import annotations

import pytest
import torch

from prunekit.stages.refit.token_file import TokenFile


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_is_written_is_read(dtype: torch.dtype) -> None:
    values = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    with TokenFile(5, dtype, torch.device("cpu")) as file:
        file.write(3, values[3:])
        file.write(0, values.T.contiguous().T[:3])  # not as it lies in memory
        assert torch.equal(file.read(0, 7), values)
        assert torch.equal(file.read(2, 3), values[2:5]) and file.read(2, 3).dtype == dtype
        file.width = 2
        file.write(0, values[:, :2])
        assert torch.equal(file.read(5, 2), values[5:, :2])

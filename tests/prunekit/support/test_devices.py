"""What a measurement was taken on."""

from __future__ import annotations

import torch

from prunekit.support.devices import describe_device


def test_device() -> None:
    device = describe_device("cpu", torch.bfloat16)
    assert device.as_dict() == {
        "type": "cpu", "name": device.name, "threads": torch.get_num_threads(), "dtype": "bfloat16"
    }  # fmt: skip
    assert device.name

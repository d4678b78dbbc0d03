"""bfloat16 on processors without its instructions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from prunekit.support import devices
from prunekit.support.devices import autocast

SHAPES = [(5, 7), (2, 5, 7), (7,)]


@pytest.fixture
def no_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_instructions", lambda: False)


def operands(shape: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, generator=generator).requires_grad_() for size in (shape, (3, 7), (3,))]


@pytest.mark.usefixtures("no_instructions")
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_float32_ones_of_rounded_operands_rounded(shape: tuple[int, ...]) -> None:
    x, weight, bias = operands(shape)
    with autocast(torch.device("cpu"), "bfloat16"):
        out = linear(x, weight, bias=bias)
    exact = [operand.detach().bfloat16().double().requires_grad_() for operand in (x, weight, bias)]
    expected = linear(*exact)
    assert out.dtype == torch.bfloat16 and out.shape == expected.shape
    # sums of seven products in float32 and float64 round to the same bfloat16 here
    assert torch.equal(out, expected.bfloat16())

    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).bfloat16()
    out.backward(upstream)
    expected.backward(upstream.double())
    for given, reference in zip((x, weight, bias), exact, strict=True):
        assert given.grad is not None and given.grad.dtype == torch.float32
        assert reference.grad is not None
        assert torch.equal(given.grad, reference.grad.bfloat16().float())


def masks(kind: str) -> Tensor | None:
    """No mask, one of booleans, one of numbers; (2, 1, 6, 6)."""
    allowed = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(4)) > 0.4
    allowed[..., 0] = True
    numbers = torch.randn(allowed.shape, generator=torch.Generator().manual_seed(5))
    lowest = torch.finfo(torch.float32).min
    return {"none": None, "boolean": allowed, "numbers": numbers.where(allowed, torch.tensor(lowest))}[kind]


@pytest.mark.usefixtures("no_instructions")
@pytest.mark.parametrize("kind", ["none", "boolean", "numbers"])
def test_attention_is_that_of_rounded_operands_rounded(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    given = [torch.randn(2, 3, 6, 8, generator=generator).requires_grad_() for _ in range(3)]
    mask = masks(kind)
    with autocast(torch.device("cpu"), "bfloat16"):
        out = scaled_dot_product_attention(given[0], given[1], given[2], attn_mask=mask, scale=0.3)
    query, key, value = exact = [operand.detach().bfloat16().double().requires_grad_() for operand in given]
    scores = 0.3 * query @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    expected = scores.softmax(-1) @ value
    assert out.dtype == torch.bfloat16 and torch.equal(out, expected.bfloat16())

    upstream = torch.randn(out.shape, generator=generator).bfloat16()
    out.backward(upstream)
    expected.backward(upstream.double())
    for operand, reference in zip(given, exact, strict=True):
        assert operand.grad is not None and operand.grad.dtype == torch.float32
        assert reference.grad is not None
        assert torch.equal(operand.grad, operand.grad.bfloat16().float())
        # rounding may fall on either side where float32 sums end near the middle of two bfloat16
        assert (operand.grad - reference.grad).abs().max() <= 2**-8 * reference.grad.abs().max()


@pytest.mark.usefixtures("no_instructions")
def test_they_are_what_pytorch_multiplies_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 8, bias=False))
    x = torch.randn(16, 32)
    losses, gradients = [], []
    for supported in (False, True):
        monkeypatch.setattr(devices, "has_instructions", lambda supported=supported: supported)
        model.zero_grad()
        with autocast(torch.device("cpu"), "bfloat16"):
            loss = model(x).float().pow(2).mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for ours, native in zip(*gradients, strict=True):
        assert (ours - native).norm() < 0.01 * native.norm()


@pytest.mark.usefixtures("no_instructions")
def test_nothing_else_changes() -> None:
    x, weight, bias = operands((5, 7))
    plain = linear(x, weight, bias)
    heads = torch.randn(1, 2, 3, 4)
    for precision in ("float32", "float64"):
        with autocast(torch.device("cpu"), precision):
            assert torch.equal(linear(x, weight, bias), plain)
            assert scaled_dot_product_attention(heads, heads, heads).dtype == torch.float32
    with autocast(torch.device("cpu"), "bfloat16"), torch.autocast("cpu", enabled=False):
        assert torch.equal(linear(x, weight, bias), plain)
        assert scaled_dot_product_attention(heads, heads, heads).dtype == torch.float32
    assert torch.equal(linear(x, weight, bias), plain)

"""bfloat16 on processors without its instructions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from prunekit.support import bfloat16, devices
from prunekit.support.devices import autocast
from tests.support.families import LAYERS, batch_for, tiny

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


@pytest.mark.usefixtures("no_instructions")
def test_a_projection_without_inputs_learns_its_bias() -> None:
    """As that of a sublayer whose heads are all off in a step of CoFi."""
    x, weight, bias = (torch.zeros(size, requires_grad=True) for size in ((2, 5, 0), (3, 0), (3,)))
    with autocast(torch.device("cpu"), "bfloat16"):
        linear(x, weight, bias=bias).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape and weight.grad is not None and weight.grad.shape == (3, 0)
    assert bias.grad is not None and bias.grad.tolist() == [10.0] * 3


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


Product = Callable[[Tensor, Tensor], Tensor]
PRODUCTS: dict[str, Product] = {
    "@": lambda a, b: a @ b, "matmul": torch.matmul, "method": lambda a, b: a.matmul(b),
    "bmm": lambda a, b: torch.bmm(a[0], b[0]), "bmm method": lambda a, b: a[0].bmm(b[0]),
}  # fmt: skip


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_products_of_matrices_are_autocast_s_own(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(6)
    results: list[list[Tensor]] = []
    start = [torch.randn(2, 3, *shape, generator=generator) for shape in ((5, 7), (7, 4))]
    for supported in (False, True):
        monkeypatch.setattr(devices, "has_instructions", lambda supported=supported: supported)
        left, right = (operand.clone().requires_grad_() for operand in start)
        with autocast(torch.device("cpu"), "bfloat16"):
            out = product(left, right)
        out.backward(torch.linspace(-1, 1, out.numel()).reshape(out.shape).bfloat16())
        assert left.grad is not None and right.grad is not None
        results.append([out, left.grad, right.grad])
    for ours, native in zip(*results, strict=True):
        assert ours.dtype == native.dtype
        # sums of few products, each exact in float32: they round alike but for ties
        assert (ours - native).abs().max() <= 2**-8 * native.abs().max()
        assert float((ours == native).float().mean()) > 0.95


@pytest.mark.usefixtures("no_instructions")
def test_products_of_matrices_are_computed_in_float32() -> None:
    a, b = torch.randn(3, 4, generator=torch.Generator().manual_seed(7)), torch.eye(4)
    with autocast(torch.device("cpu"), "bfloat16"):
        out = a @ b
        assert (a.double() @ b.double()).dtype == torch.float64
        assert torch.equal(torch.arange(4) @ torch.eye(4, dtype=torch.long), torch.arange(4))
    assert torch.equal(out, a.bfloat16())
    tracked = a.requires_grad_()
    with autocast(torch.device("cpu"), "bfloat16"):
        product = (tracked @ b).grad_fn
    assert type(product).__name__ == "ToCopyBackward0"  # of a float32 product, which autocast's own is not


@pytest.mark.usefixtures("no_instructions")
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_only_attention_that_is_written_out_has_products(attention: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers of MiniLM train with sdpa: nothing of theirs changes."""
    seen: list[tuple[int, ...]] = []

    def counted(func: Product, left: Tensor, right: Tensor) -> Tensor:
        seen.append(tuple(left.shape))
        return func(left, right)

    monkeypatch.setattr(bfloat16, "_rounded_product", counted)
    model = tiny("bert", attention, torch.float32).train()
    with autocast(torch.device("cpu"), "bfloat16"):
        loss = model(**batch_for(model), labels=torch.tensor([0, 1, 2, 0])).loss
    loss.backward()
    assert len(seen) == (2 * LAYERS if attention == "eager" else 0)


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
            assert (x @ weight.T).dtype == torch.float32
    with autocast(torch.device("cpu"), "bfloat16"), torch.autocast("cpu", enabled=False):
        assert torch.equal(linear(x, weight, bias), plain)
        assert scaled_dot_product_attention(heads, heads, heads).dtype == torch.float32
    assert torch.equal(linear(x, weight, bias), plain)

"""bfloat16 matrix products on processors that have no instructions for them.

PyTorch multiplies bfloat16 matrices in a plain loop there, some thirty times slower than float32 ones, and its fused
attention goes backward four times slower. Their products are defined by float32 sums, rounded once; so the same
arithmetic is done with float32 matrices that hold the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode


def has_instructions() -> bool:
    """Whether PyTorch's own bfloat16 products are fast on this processor."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


PRODUCTS = (torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm)
"""``@`` is one of them; of attention that writes its weights out."""


class RoundedProducts(TorchFunctionMode):
    """Within it and CPU autocast to bfloat16, linear maps, products of matrices and attention are computed in float32.

    From operands rounded to bfloat16, and their results are rounded.

    Their gradients as well, also those that are computed after it has been left.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is linear and torch.is_autocast_enabled("cpu"):
            return _rounded_linear(*args, **(kwargs or {}))
        if func is scaled_dot_product_attention and torch.is_autocast_enabled("cpu"):
            return _rounded_attention(*args, **(kwargs or {}))
        if func in PRODUCTS and not kwargs and torch.is_autocast_enabled("cpu"):
            return _rounded_product(func, *args)
        return func(*args, **(kwargs or {}))


def _rounded_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What autocast makes of a linear map: operands rounded to bfloat16, so that gradients are too."""
    operands = [None if operand is None else operand.bfloat16() for operand in (input, weight, bias)]
    return _Linear.apply(*operands)


def _rounded_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args: Any, **kwargs: Any
) -> Tensor:
    """What autocast makes of attention, but for its weights, which stay in float32; shapes as PyTorch's own.

    The casts have gradients, so the operands' are rounded to bfloat16 as well. A mask of numbers is not rounded: the
    smallest float32, a usual one for a masked position, would become minus infinity.
    """
    query, key, value = (operand.bfloat16().float() for operand in (query, key, value))
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = attn_mask.float()
    with torch.autocast("cpu", enabled=False):
        return scaled_dot_product_attention(query, key, value, attn_mask, *args, **kwargs).bfloat16()


def _rounded_product(func: Callable[..., Tensor], left: Tensor, right: Tensor) -> Tensor:
    """What autocast makes of a product of matrices; gradients of operands are rounded by the casts. float64 is left as
    it is."""
    if torch.float64 in (left.dtype, right.dtype) or not left.is_floating_point():
        return func(left, right)
    left, right = left.bfloat16().float(), right.bfloat16().float()
    with torch.autocast("cpu", enabled=False):
        return func(left, right).bfloat16()


class _Linear(torch.autograd.Function):
    """``input @ weight.T + bias`` of bfloat16 operands: (..., in), (out, in), (out,) to (..., out)."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        with torch.autocast("cpu", enabled=False):
            return linear(input.float(), weight.float(), None if bias is None else bias.float()).bfloat16()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.needs_input_grad
        with torch.autocast("cpu", enabled=False):
            rows = gradient.float().flatten(0, -2) if gradient.dim() > 1 else gradient.float()[None]
            inputs = input.float().flatten(0, -2) if input.dim() > 1 else input.float()[None]
            return (
                (rows @ weight.float()).bfloat16().reshape(input.shape) if of_input else None,
                (rows.T @ inputs).bfloat16() if of_weight else None,
                rows.sum(0).bfloat16() if of_bias else None,
            )

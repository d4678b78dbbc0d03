"""A CUDA device that is none: tensors that say they are on ``cuda:0``, computed on the CPU, which may not be mixed.

What a GPU would refuse is refused: an operation on tensors of two devices, a CPU generator for numbers on the GPU,
``numpy()`` of a tensor there. Numbers are those of the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from prunekit.models import wrappers

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
_BELOW = torch._C.DispatchKeySet(torch._C.DispatchKey.Python)
_to, _tensor, _autocast = Tensor.to, torch.tensor, torch.autocast


class OnCuda(Tensor):
    """A tensor of the CPU that says that it is on ``cuda:0``."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    device: ClassVar[torch.device] = CUDA  # type: ignore[misc]
    is_cuda: ClassVar[bool] = True  # type: ignore[misc]
    is_cpu: ClassVar[bool] = False  # type: ignore[misc]

    @staticmethod
    def of(data: Tensor) -> Tensor:
        return Tensor._make_subclass(OnCuda, data, data.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _computed(func, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copy = memo[id(self)] = self.detach().clone().requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copy._is_param = True
        return memo[id(self)]

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def new_tensor(self, data: Any, *_: Any, **__: Any) -> Tensor:
        return _made(data, device=CUDA, dtype=self.dtype)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __format__(self, form: str) -> str:
        return format(self.cpu(), form)


class _Factories(TorchDispatchMode):
    """Brings tensors that are made with ``device="cuda"`` there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, to: torch.device) -> Tensor:
        ctx.back = tensor.device
        with torch._C._ExcludeDispatchKeyGuard(_BELOW):
            data = tensor.clone()
        return OnCuda.of(data) if to.type == "cuda" else data

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Move.apply(gradient, ctx.back), None


def _moved(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``Tensor.to``."""
    to = kwargs.pop("device", None)
    if args and isinstance(args[0], Tensor):
        to, args = args[0].device, (CPU, args[0].dtype, *args[1:])
    elif args and (args[0] is None or isinstance(args[0], (str, torch.device))):
        to, args = args[0], (CPU, *args[1:])
    device = self.device if to is None else torch.device(to)
    cast = _to(self, *args, **kwargs) if args or kwargs else self
    return cast if device.type == self.device.type else _Move.apply(cast, device)


def _made(data: Any, *, device: Any = None, **options: Any) -> Tensor:
    """``torch.tensor``."""
    if device is None or torch.device(device).type != "cuda":
        return _tensor(data, device=device, **options)
    return _tensor(data, **options).to(device)


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnCuda)]
    asked = kwargs.get("device")
    # Gradient formulas ask for the device that C++ sees, the CPU; who wants to leave a GPU calls Tensor.to.
    on_cuda = bool(there) or (asked is not None and asked.type == "cuda")
    if on_cuda and torch._C._current_graph_task_id() < 0:  # formulas of gradients make zeros where C++ is, on the CPU
        _check(func, args, tensors, kwargs.get("generator"))
    with torch._C._ExcludeDispatchKeyGuard(_BELOW):
        result = func(*args, **({**kwargs, "device": CPU} if on_cuda and asked is not None else kwargs))
    return tree_map_only(Tensor, lambda one: one if isinstance(one, OnCuda) else OnCuda.of(one), result) \
        if on_cuda else result  # fmt: skip


def _check(func: Any, args: Any, tensors: list[Tensor], generator: torch.Generator | None) -> None:
    """What a GPU takes of the CPU: numbers without dimensions beside tensors with some, and indices."""
    name = func.overloadpacket.__name__
    if generator is not None:
        raise RuntimeError(f"{name}: expected a 'cuda' device type for generator but found 'cpu'")
    if name in ("copy_", "_to_copy", "set_"):
        return
    if name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"):
        tensors = [args[0], *(index for index in args[1] if isinstance(index, OnCuda)), *args[2:3]]
    there = [tensor for tensor in tensors if isinstance(tensor, OnCuda)]
    others = [tensor for tensor in tensors if not isinstance(tensor, OnCuda) and tensor.numel()]  # C++ makes empty ones
    scalars = torch.Tag.pointwise in func.tags or name in ("fill_", "index_put", "index_put_", "_index_put_impl_")
    if there and any(tensor.dim() or not scalars for tensor in others):
        shapes = [(tuple(tensor.shape), str(tensor.device)) for tensor in tensors]
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, not {shapes}")


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Within it, there is one GPU."""
    stubs: dict[str, Callable[..., Any]] = {
        "_lazy_init": lambda: None, "is_available": lambda: True, "is_initialized": lambda: True,
        "device_count": lambda: 1, "get_device_name": lambda *_: "no GPU", "is_bf16_supported": lambda *_, **__: True,
        "synchronize": lambda *_: None, "set_device": lambda *_: None, "current_device": lambda: 0,
        "reset_peak_memory_stats": lambda *_: None, "max_memory_allocated": lambda *_: 10**9,
        "memory_allocated": lambda *_: 10**8, "empty_cache": lambda: None,
        "get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8), "set_rng_state": lambda *_: None,
    }  # fmt: skip
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with pytest.MonkeyPatch.context() as patch, _Factories():
            for name, stub in stubs.items():
                patch.setattr(torch.cuda, name, stub)
            patch.setattr(Tensor, "to", _moved)
            patch.setattr(Tensor, "cpu", lambda self: _moved(self, CPU))
            patch.setattr(Tensor, "cuda", lambda self, *_, **__: _moved(self, CUDA))
            patch.setattr(torch, "tensor", _made)
            patch.setattr(torch, "autocast", lambda _device, *args, **options: _autocast("cpu", *args, **options))
            patch.setattr(wrappers, "PLAIN", (*wrappers.PLAIN, OnCuda))
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)

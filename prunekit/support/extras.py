"""Packages that only a part of the library needs, as extras of its distribution: ``pip install '.[tracking]'``.

What a module imports at its top comes with the library; what belongs to an extra is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prunekit.support.errors import UserError


@contextmanager
def of_extra(name: str) -> Iterator[None]:
    """Around the imports of an extra: ``data``, ``tags``, ``translation``, ``tracking`` or ``onnx``.

    Raises:
        UserError: a package of it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        how = f"in prunekit's checkout `make setup` or `pip install '.[{name}]'`"
        raise UserError(f"{error.name} is not installed, {how} brings it") from error

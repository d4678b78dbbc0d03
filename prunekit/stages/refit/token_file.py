"""Hidden states of a whole data set, in a temporary file rather than in memory."""

from __future__ import annotations

import tempfile
from types import TracebackType

import torch
from torch import Tensor


class TokenFile:
    """A matrix (token, width) on disk, read and written some tokens at a time; gone when closed.

    ``width`` may be set anew before everything is written anew. The file is in the system's folder for temporary
    files (``TMPDIR`` names another).
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self.width, self.dtype, self.device = width, dtype, device
        self._file = tempfile.TemporaryFile(prefix="prunekit-")  # noqa: SIM115, closed by __exit__

    def write(self, start: int, values: Tensor) -> None:
        """Put values (token, width) at token ``start``."""
        self._file.seek(self._place(start))
        self._file.write(_bytes(values.contiguous().cpu()))

    def read(self, start: int, tokens: int) -> Tensor:
        """As many tokens from ``start`` on: (token, width), on the device."""
        values = torch.empty(tokens, self.width, dtype=self.dtype)
        self._file.seek(self._place(start))
        self._file.readinto(_bytes(values))
        return values.to(self.device)

    def _place(self, token: int) -> int:
        return token * self.width * self.dtype.itemsize

    def __enter__(self) -> TokenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _bytes(values: Tensor) -> memoryview:
    """Of a matrix, also of a precision that NumPy does not have, as bfloat16."""
    return values.view(torch.uint8).numpy().data

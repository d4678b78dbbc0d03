"""Outputs that are no numbers are no answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prunekit.support.errors import UserError


def require_finite(outputs: np.ndarray, row_of: Sequence[int] | None = None) -> None:
    """Refuse what a model says where it is NaN or infinite.

    Args:
        outputs: (example,) or (example, output), in the order of the data.
        row_of: the row that each example is of; None where it is the example.

    Raises:
        UserError: some are (naming the first row).
    """
    bad = ~np.isfinite(outputs.reshape(len(outputs), -1)).all(1)
    if bad.any():
        first = int(bad.argmax())
        row = first if row_of is None else row_of[first]
        value = outputs.reshape(len(outputs), -1)[first]
        raise UserError(
            f"row {row}: the model's output is {value[~np.isfinite(value)][0]}, as of {int(bad.sum())} of "
            f"{len(bad)} examples; check its weights"
        )

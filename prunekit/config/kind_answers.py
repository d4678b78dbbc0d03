"""What the answers of models to rows are kept as, for a kind of task: arrays of ``answers.npz``."""

from __future__ import annotations

from dataclasses import dataclass

GOLD = "gold"


@dataclass(frozen=True)
class AnswerArray:
    """One array; its first axis is the row, its last one the model, but for the gold answers, which have no model."""

    name: str
    numbers: str
    """Kinds of its dtype, as NumPy's ``dtype.kind`` has them; as few bytes as they need."""
    meaning: str
    between: int | None = None
    """Length of the axis between; None where there is none."""
    optional: bool = False

    @property
    def axes(self) -> int:
        """How many."""
        return 1 if self.name == GOLD else 2 + (self.between is not None)

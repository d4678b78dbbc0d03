"""Rows of a record's table, as the templates of the pages ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.pages.words import fixed
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class TableRows:
    """Rows of a table; ``table["value"]`` is a cell where one row is left."""

    def __init__(self, frame: pd.DataFrame, what: str) -> None:
        self.frame, self.what = frame, what

    @classmethod
    def joined(cls, frames: Sequence[pd.DataFrame], what: str) -> TableRows:
        """Rows of the same table of several runs."""
        import pandas as pd

        return cls(pd.concat(frames, ignore_index=True), what)

    def where(self, settings: Mapping[str, Any] | None = None, /, **more: Any) -> TableRows:
        frame = self.frame
        for name, value in {**(settings or {}), **more}.items():
            if name not in frame:
                raise UserError(f"{self.what}: no column {name}; there are {', '.join(map(str, frame.columns))}")
            wanted = value if isinstance(value, list) else [value]
            frame = frame[frame[name].map(lambda cell, wanted=wanted: any(_same(cell, one) for one in wanted))]
        return TableRows(frame, self.what)

    def __getitem__(self, name: str) -> Any:
        """The cell of the one row that is left."""
        if len(self.frame) != 1:
            raise UserError(f"{self.what}: {len(self.frame)} rows where one is meant")
        if name not in self.frame:
            raise UserError(f"{self.what}: no column {name}; there are {', '.join(map(str, self.frame.columns))}")
        return self.frame.iloc[0][name]

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[TableRows]:
        """Row by row."""
        return (TableRows(self.frame.iloc[[number]], self.what) for number in range(len(self.frame)))

    def quartiles(self, name: str, digits: int = 2) -> str:
        """``" (1.52 to 1.61)"``, to stand behind a median; nothing of one or two rows, which have none."""
        if len(self.frame) < 3:
            return ""
        low, high = self.frame[name].quantile([0.25, 0.75])
        return f" ({fixed((float(low), float(high)), digits)})"

    def column(self, name: str) -> list[float]:
        return [float(cell) for cell in self.frame[name]]

    def correlation(self, first: str, second: str, without: int = 0) -> float:
        """Pearson's, of two columns, without the rows in which the first is farthest from 0."""
        rows = self.frame.sort_values(first, key=abs, ascending=False).iloc[without:]
        return float(rows[first].corr(rows[second]))


def _same(cell: Any, wanted: Any) -> bool:
    """Equal, shares up to rounding."""
    return bool(abs(cell - wanted) < 1e-9) if isinstance(wanted, float) else bool(cell == wanted)

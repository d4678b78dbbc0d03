"""Numbers printed in papers or logged by others, as transcribed; sources in ``published/README.md``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parents[1] / "published"


def claim(paper: str, text: str) -> str:
    """The published value of one row of ``PAPER_claims.csv``."""
    frame = read(f"{paper}_claims").set_index("claim")
    return str(frame.loc[text, "value"])


def read(name: str) -> pd.DataFrame:
    """The file ``published/NAME.csv`` as it is."""
    import pandas as pd

    return pd.read_csv(FOLDER / f"{name}.csv")

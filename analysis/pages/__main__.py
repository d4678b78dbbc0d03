"""Write README.md, the pages of docs/ with numbers and its pictures from the logged runs of this repository.

    python -m analysis.pages

The templates are in docs/templates; edit those, not the pages. Which figures are pictures in docs/ stands in
analysis/catalogue/pictures.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from prunekit.support.errors import UserError

ROOT = Path(__file__).parent.parent.parent
LOGGED = ROOT / "analysis" / "logged_runs"


def main(arguments: Sequence[str], root: Path = ROOT, source: Path = LOGGED) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    if arguments:
        print((__doc__ or "").strip())
        return 0 if arguments[0] in ("--help", "-h", "help") else 2
    from analysis.catalogue.pictures import draw_pictures
    from analysis.data.loading import Journal, load
    from analysis.pages.fill import SUFFIX, pages, place

    templates = root / "docs" / "templates"
    try:
        filled = pages(load([source], Journal()), templates)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path, text in filled.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for template in templates.rglob(f"*{SUFFIX}"):
        if (page := place(template.relative_to(templates))) not in filled:
            (root / page).unlink(missing_ok=True)  # of runs that are logged no more
    draw_pictures([source], root / "docs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

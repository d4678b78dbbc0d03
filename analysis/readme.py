"""Write the claims tables of README.md, and the pictures in docs/, from the logged runs of this repository.

    python -m analysis.readme

Everything between a pair of markers is replaced, so that the page says what the records say:
<!-- claims:michel --> ... <!-- /claims --> holds the tables of one paper for every model with scores, and nothing
where no run is logged. Which figures are pictures in docs/ stands in analysis/catalogue/pictures.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from prunekit.support.errors import UserError

README = Path(__file__).parent.parent / "README.md"
DOCS = README.parent / "docs"
LOGGED = Path(__file__).parent / "logged_runs"
SECTION = re.compile(r"(<!-- claims:(?P<paper>\w+) -->\n)(?:(?!<!-- ).*\n)*?(<!-- /claims -->)")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    if arguments:
        print(__doc__.strip())
        return 0 if arguments[0] in ("--help", "-h", "help") else 2
    from analysis.catalogue.pictures import draw_pictures

    try:
        text = README.read_text(encoding="utf-8")
        README.write_text(regenerated(text, [LOGGED]), encoding="utf-8")
        draw_pictures([LOGGED], DOCS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def regenerated(text: str, sources: Iterable[Path]) -> str:
    """The page with the tables that the records in ``sources`` give.

    Raises:
        UserError: a marker names no paper or has no end, or a source is no folder.
    """
    from analysis.catalogue.all_claims import judge
    from analysis.data.loading import Journal, load

    journal = Journal()
    tables: dict[str, list[str]] = {}
    for one in judge(load(sources, journal), journal):
        if one.tested and one.setting.weights != "random":
            tables.setdefault(one.chapter.paper, []).append(one.table.rows())
    return replaced(text, tables)


def replaced(text: str, tables: dict[str, list[str]]) -> str:
    """The page with the tables of each paper between its markers, one after another; none leaves the pair empty."""
    from analysis.catalogue.chapters import CHAPTERS

    papers = [chapter.paper for chapter in CHAPTERS if chapter.paper]
    opened = re.findall(r"<!-- claims:(\w+) -->", text)
    for paper in opened:
        if paper not in papers:
            raise UserError(f"README.md: <!-- claims:{paper} --> names no paper; there are {', '.join(papers)}")
    if len(SECTION.findall(text)) != len(opened):
        raise UserError("README.md: a line <!-- claims:PAPER --> has no line <!-- /claims --> before the next comment")

    def section(match: re.Match[str]) -> str:
        found = tables.get(match["paper"], [])
        return match[1] + "".join(f"\n{table}\n" for table in found) + ("\n" if found else "") + match[3]

    return SECTION.sub(section, text)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

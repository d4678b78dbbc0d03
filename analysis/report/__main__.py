"""Put every figure and table of run records on one HTML page that needs nothing else.

    python -m analysis.report [source=runs] [out=report.html]

source  as in python -m analysis: folders of run records, separated by commas, or wandb:ENTITY/PROJECT
out     the page: figures, tables that sort by a click, claims, what could not be drawn, and where every run came from
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.catalogue import options
from prunekit.support.errors import UserError

TITLE = "<title>prunekit: "
"""That every page of ours begins with."""
DEFAULTS = {"source": "runs", "out": "report.html"}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, or 2 after one line about bad input."""
    return options.run(write, __doc__, DEFAULTS, arguments)


def write(chosen: Mapping[str, str]) -> None:
    """Write the page and tell where it is.

    Raises:
        UserError: a source is no folder or holds no finished run, or the page cannot be written.
    """
    from analysis.catalogue.draw import load_some
    from analysis.data.loading import Journal
    from analysis.report.page import page
    from prunekit.support.files import write_text
    from prunekit.support.progress import plain_console

    out, journal = Path(chosen["out"]), Journal()
    if out.is_dir():
        raise UserError(f"out={out}: is a folder; give the page a name, as in out={out / DEFAULTS['out']}")
    if not _may_be_replaced(out):
        raise UserError(f"out={out}: is a file that is no page of ours; give the page another name, or delete the file")
    sources = options.source_folders(chosen["source"], out.parent / ".wandb")
    text = page(load_some(sources, journal, plain_console(120)), journal)
    try:
        write_text(out, text)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from None
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
    options.require_all(journal.failed)


def _may_be_replaced(out: Path) -> bool:
    """Whether nothing is there, nothing is in it, or it is a page that this program wrote."""
    try:
        with out.open("rb") as file:
            start = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise UserError(f"out={out}: cannot be read ({error.strerror or error})") from None
    return not start or TITLE.encode() in start


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

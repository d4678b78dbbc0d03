"""Text in Markdown, whatever names it holds."""

from __future__ import annotations

import re


def in_markdown(text: str) -> str:
    """Text in which our own bold and code may stand, on one line, without HTML, links and images that names bring.

    >>> in_markdown("**bold**, p < 0.05, <b>x</b>, ![x](http://host)")
    '**bold**, p < 0.05, &lt;b>x&lt;/b>, ![x\\\\](http://host)'
    """
    one_line = " ".join(text.splitlines())
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", one_line).replace("](", "\\](").replace("][", "\\][")


def cell(text: str) -> str:
    """:func:`in_markdown`, in a table.

    >>> cell("a|b")
    'a\\\\|b'
    """
    return in_markdown(text).replace("|", "\\|")

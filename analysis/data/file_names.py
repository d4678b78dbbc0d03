"""Names from records as names of files: the one place through which they pass."""

from __future__ import annotations

import hashlib
import re

LONGEST = 120
"""Bytes; endings and what tells siblings apart come on top."""


def one_name(text: str) -> str:
    """The name of one file or folder, in the folder that it is meant for and on every system.

    What could lead elsewhere, hide the file or is no letter becomes a dash; what is too long is cut, with a hash.

    >>> one_name("bert-base_mnli"), one_name("/../../x"), one_name(".."), one_name("")
    ('bert-base_mnli', '-..-..-x', '--', '-')
    """
    name = re.sub(r'[/\\<>:"|?*\x00-\x1f\x7f\ud800-\udfff]', "-", text)
    name = re.sub(r"^\.+", lambda dots: "-" * len(dots[0]), name) or "-"
    if len(name.encode()) > LONGEST:
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
        name = f"{name.encode()[:LONGEST].decode(errors='ignore')}-{digest}"
    return name

"""Which files of a package a call goes through."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("support", "config")
"""Packages that are not counted: what everything uses."""


def files_run(call: Callable[[], Any], package: str = "prunekit") -> list[str]:
    """The files whose functions run during a call, relative to the package, in the order in which they are entered.

    What a module does while it is imported does not count.
    """
    entered: dict[str, None] = {}

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            entered[frame.f_code.co_filename] = None

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    root = ROOT / package
    own = [Path(name).relative_to(root) for name in entered if Path(name).is_relative_to(root)]
    return [path.as_posix() for path in own if path.parts[0] not in LEFT_OUT]

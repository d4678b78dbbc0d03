"""How far a stage has come, where no bar can be drawn."""

from __future__ import annotations

import io

import pytest

from prunekit.support import progress


@pytest.mark.parametrize("shown", [True, False])
def test_a_file_gets_a_line_a_minute(shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    console, clock = progress.plain_console(40), iter([0.0, 59.0, 61.0, 120.0, 122.0])
    console.file = file = io.StringIO()
    monkeypatch.setattr(progress, "console", console)
    monkeypatch.setattr("prunekit.support.progress.time.monotonic", lambda: next(clock))
    with progress.bar("train [a]", 4000, shown=shown) as advance:
        for _ in range(4):
            advance(600)
    lines = ["train [a]: 1,200 of 4,000 after 1 min", "train [a]: 2,400 of 4,000 after 2 min"]
    assert file.getvalue().splitlines() == (lines if shown else [])

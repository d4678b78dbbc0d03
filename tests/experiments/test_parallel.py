"""Two processes that want the same run at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import TINY, perform, started, wait


def without_its_date(text: str) -> str:
    lines = text.splitlines(keepends=True)
    assert sum(line.startswith("  finished before, on ") for line in lines) == 1
    return "".join(line for line in lines if not line.startswith("  finished before, on "))


@pytest.mark.slow
def test_one_trains_and_the_other_returns_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This process comes soon after the other one has begun."""
    settings = [*TINY, "train.epochs=8", f"run.folder={tmp_path}", "run.threads=1"]
    with started("finetune", *settings) as process:
        assert wait(process, lambda: any(tmp_path.glob("finetune/*/config.yaml")))
        assert not list(tmp_path.glob("finetune/*/result.json"))
        capsys.readouterr()
        perform("finetune", *settings)
        told = capsys.readouterr()
        other = process.communicate()
    assert process.returncode == 0
    # the seconds too: one of them has read what the other wrote, and says when that was
    assert other[0] == without_its_date(told.out)
    # so short a training is told, by whoever trained, that it is no better than one answer
    assert all(line.endswith("so it judges no claim") for line in (other[1] + told.err).splitlines())
    assert len(list(tmp_path.glob("finetune/*/result.json"))) == 1
    assert not list(tmp_path.rglob("*.tmp"))

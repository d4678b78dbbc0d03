import shutil
from pathlib import Path

import pytest

from analysis.__main__ import main

LOGGED = Path(__file__).parents[3] / "analysis" / "logged_runs"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    shutil.copytree(LOGGED / "transfer", tmp_path / "runs" / "transfer")
    return tmp_path / "runs"


def test_a_verb_and_a_run_are_folders_of_records_too(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run, *rest) = sorted((runs / "transfer").iterdir())
    for source, number in ((runs, 1 + len(rest)), (runs / "transfer", 1 + len(rest)), (run, 1)):
        assert main(["check", f"source={source}"]) == 0
        assert capsys.readouterr().out == f"{number} records, 0 problems\n"


def test_a_problem_is_a_line_and_exit_status_2(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = sorted(runs.glob("transfer/*/tables/effects.csv"))[0]
    table.write_text(table.read_text().replace("first_delta", "delta", 1))
    assert main(["check", f"source={runs}"]) == 2
    right = "kind, layer, head, first_delta, second_delta"
    assert capsys.readouterr().out.splitlines() == [
        f"{table}: column first_delta is missing",
        f"{table}: column delta is unknown, right would be {right}",
        "2 records, 2 problems",
    ]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_source_without_records_is_bad_input(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["check", f"source={tmp_path / 'empty' / name}"]) == 2
    assert "must hold" in capsys.readouterr().err

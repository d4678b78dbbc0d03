"""``python -m analysis``: options, exit status, and what it tells the reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.report.__main__ import main as report
from tests.support.drawings import only_csv
from tests.support.records import michel
from tests.support.records.frame import BERT, DEMO, MINILM


def test_tables_files_and_missing_figures_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    michel.timing(Path("runs"), MINILM)
    michel.finetune(Path("logged"))
    assert main(["source=runs,logged"]) == 0
    text = capsys.readouterr().out
    assert "Table 4" in text and "Claims of Michel et al. 2019 (minilm-l6 on mnli, scale small)" in text
    assert "figures/minilm-l6_mnli/speed.png" in text
    assert "claims of Xia et al. 2022 are not tested by these runs; claims.md lists them with commands" in text
    assert text.count("not tested") == len([line for line in text.splitlines() if "not tested by these runs" in line])
    untested = [line for line in Path("figures/claims.md").read_text().splitlines() if "not tested" in line]
    assert len(untested) > 30 and sum(int(line.split()[0]) for line in text.splitlines()
                                      if "not tested by these runs" in line) == len(untested)  # fmt: skip
    assert (
        "minilm-l6_mnli/fig3b: no prune_heads runs; "
        "run python -m experiments.prune_heads model=minilm-l6 task=mnli scale=small" in text
    )
    assert "speed: no" not in text


def test_random_weights_are_not_asked_for_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    michel.timing(tmp_path / "runs", BERT | {"weights": "random"}, teacher=None)
    assert main([f"source={tmp_path / 'runs'}", f"out={tmp_path / 'out'}"]) == 0
    assert "not drawn" not in capsys.readouterr().out
    assert (tmp_path / "out" / "bert-base-random_mnli" / "speed.pdf").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sorce=runs"], "did you mean 'source'?"),
        (["colour=red"], "the options are source, out"),
        (["source="], "give a value"),
        (["source=nowhere"], "nowhere: no such folder"),
        (["source=empty"], "no finished run record"),
        (["foo"], "foo: unknown command, the commands are check, pair, rank, the options source=runs, out=figures"),
        (["rnak", "method=ziplm"], "rnak: unknown command, did you mean 'rank'?"),
        (["source=runs", "rank"], "rank: a command stands before all options"),
        (["out"], "out: give a value, as in out=figures"),
        (["rank"], "method: name one whose runs of compress are to be ranked, as in method=ziplm"),
        (["rank", "source=empty"], "method: name one"),
        (["rank", "method="], "method=: give a value, as in method=NAME"),
        (["rank", "Methd=ziplm"], "Methd=ziplm: unknown option, did you mean 'method'?"),
        (["rank", "ziplm"], "ziplm: options are written NAME=VALUE; there are method=NAME, source=runs"),
        (["rank", "out=figures"], "out=figures: unknown option, the options are method, source"),
        (["pair", "one"], "one: give a value, as in one=NAME"),
        (["check", "sourec=runs"], "did you mean 'source'?"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_unwritable_output_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    michel.timing(tmp_path / "runs", DEMO)
    (tmp_path / "file").write_text("")
    assert main([f"source={tmp_path / 'runs'}", f"out={tmp_path / 'file'}"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_help_loads_nothing_heavy_and_analysis_never_loads_torch() -> None:
    code = (
        "import sys, analysis.__main__ as m; m.main(['--help']); "
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules); "
        "import analysis.catalogue.draw; from analysis.claims import papers; papers.read('kwon'); "
        "import prunekit.support.statistics; assert 'torch' not in sys.modules and 'experiments' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "source=runs" in done.stdout


def test_what_cannot_be_drawn_is_told_and_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    michel.pruning(tmp_path / "runs", DEMO, "importance")
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    monkeypatch.setattr("analysis.michel.fig3b.with_unpruned", lambda *_: 1 / 0)
    assert main([f"source={tmp_path / 'runs'}", f"out={tmp_path / 'out'}"]) == 2
    written = capsys.readouterr()
    line = "could not be drawn: demo_mnli/fig3b: ZeroDivisionError: division by zero"
    assert f"warning {line}" in written.out
    assert written.err == f"error: {line} (1 of these in all, everything else was drawn)\n"
    assert (tmp_path / "out" / "demo_mnli" / "kept_heads.csv").exists()
    assert report([f"source={tmp_path / 'runs'}", f"out={tmp_path / 'page.html'}"]) == 2
    assert line in (tmp_path / "page.html").read_text() and "kept_heads" in (tmp_path / "page.html").read_text()

"""README.md and the pages with numbers are what their templates give of the logged runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.catalogue import pictures
from analysis.claims.table import OURS
from analysis.claims.verdicts import NOT_TESTED
from analysis.data.loading import Journal, load
from analysis.pages import claims
from analysis.pages.__main__ import LOGGED, ROOT, main
from analysis.pages.claims import headline, in_brief, paper_table
from analysis.pages.fill import SUFFIX, TEMPLATES, pages, place
from prunekit.config.choices import STRUCTURES
from prunekit.support.errors import UserError
from tests.support.records import michel
from tests.support.records.frame import BERT, MINILM


def test_the_committed_pages_are_what_the_logged_runs_give() -> None:
    """Where this fails, `make readme` writes the pages anew."""
    filled = pages(load([LOGGED], Journal()))
    templates = {place(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob(f"*{SUFFIX}")}
    assert len(templates) == 9
    left_out = set() if (LOGGED / "quantize").is_dir() else {Path("docs/results/quantization.md")}
    assert templates - set(filled) == left_out and not any((ROOT / path).exists() for path in left_out)
    for path, text in filled.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is stale"


def test_times_of_presets_are_those_of_the_logged_runs() -> None:
    records = [record for record in load([LOGGED], Journal()) if record.verb == "prune_cofi"]
    for preset, structures, task in (("sparsity", ("learned",), None), ("baselines", STRUCTURES, "sst2")):
        text = (ROOT / "conf" / "experiment" / f"cofi_{preset}.yaml").read_text(encoding="utf-8")
        minutes = [
            record.seconds["total"] / 60
            for record in records
            if record.config["structure"] in structures and task in (None, record.task)
            and (task is None or record.config["sparsity"] == 0.9)
            and len(record.config["units"]) == 4 and record.config["learn_from"] == "teacher"
        ]  # fmt: skip
        assert f"small {min(minutes):.0f} to {max(minutes):.0f} minutes a cell (one core)" in text
    hours = sum(record.seconds["total"] for record in records) / len(records) * 24 / 3600
    scale = (ROOT / "conf" / "scale" / "demo.yaml").read_text(encoding="utf-8")
    assert f"MNLI and RTE; about {round(2 * hours) / 2} hours on one core" in scale


def test_in_brief_no_range_of_numbers_looks_like_an_interval() -> None:
    claim: Any = SimpleNamespace(digits=1, unit="points", over="tasks", side="above", once=False)
    cells = {
        OURS: "a: 1.5 (rows alone 0.5 to 2.5) points (a note)", "n": "a: 3 seeds, 9 rows", "verdict": "undecided: only",
    }  # fmt: skip
    assert in_brief(cells, {"estimate": "1.5", "low": "0", "high": "2"}, claim) == cells
    many = {
        "estimate": "a: 1; b: -8; c: 2; d: 0.25", "low": "a: 0; b: -9; c: -1; d: 0", "high": "a: 2; b: 3; c: 4; d: 1",
    }  # fmt: skip
    assert in_brief(cells, many, claim)[OURS] == "b: -8.0 (-9.0 to 3.0) points (worst of 4 tasks)"
    failing = {**cells, "verdict": "does not hold (holds for 1 of 4 tasks)"}
    assert in_brief(failing, many, claim)[OURS] == "d: 0.2 (0.0 to 1.0) points (worst of 4 tasks)", "by its upper end"
    claim.once = True
    assert in_brief(cells, many, claim)[OURS] == "a: 1.0 (0.0 to 2.0) points (best of 4 tasks)", "by its lower end"
    claim.side = "below"
    assert in_brief(cells, many, claim)[OURS] == "d: 0.2 (0.0 to 1.0) points (best of 4 tasks)"
    endless = many | {"low": "a: 0; b: -inf; c: -1; d: 0"}
    assert in_brief(cells, endless, claim) == cells, "what rows alone say has words of its own"
    own_margins = many | {"margin": "a: above -1; b: above -1; c: above 2; d: above -1"}
    assert in_brief(cells, own_margins, claim) == cells, "the lowest is not the one that fails"


def row_on(model: str, claim: str = "Heads can go", ours: str = "1.0 points") -> claims.ClaimRow:
    cells = {"claim": claim, "where": "Fig. 1", "published": "40 %", OURS: ours, "n": "3 seeds", "verdict": "open: x"}
    return claims.ClaimRow("michel", "Michel et al. 2019", model, cells, cells, "above 0", (model, "one thread"), "")


def test_the_first_model_is_the_headline_and_every_model_has_a_table() -> None:
    both = [row_on("mpnet-base"), row_on("minilm-l6", ours="2.0 points")]
    assert headline(both, [["michel", "Heads can"]]).splitlines()[2:] == [
        "| Heads can go (Michel 2019; mpnet-base) | 40 % | 1.0 points | 3 seeds | **open**: x |"
    ]
    assert "(Michel 2019) | 40 % | 2.0 points" in headline(both[1:], [["michel", "Heads can"]])
    with pytest.raises(UserError, match="2 tested claims of michel begin with 'Heads'"):
        headline([row_on("minilm-l6"), row_on("minilm-l6", "Heads cannot go")], [["michel", "Heads"]])
    text = paper_table(both, "michel")
    assert text.index("**On mpnet-base**") < text.index("1.0 points") < text.index("**On minilm-l6**")
    assert text.count("| claim | where |") == 2 and "**On" not in paper_table(both[:1], "michel")
    assert "Not tested" not in text


def test_claims_that_no_run_tests_are_named_below_the_table() -> None:
    untested = [row_on(model, "Heads are fast") for model in ("mpnet-base", "minilm-l6")]
    for row in untested:
        row.cells["verdict"] = NOT_TESTED
    text = paper_table([row_on("minilm-l6"), *untested], "michel")
    assert text.endswith("\n\nNot tested: *Heads are fast* (mpnet-base; one thread).") and text.count("Heads are") == 1
    untested[0] = replace(untested[0], setting=("not in the records",))
    text = paper_table([row_on("minilm-l6"), *untested], "michel")
    assert text.endswith("Not tested: *Heads are fast* (minilm-l6; one thread).")
    with pytest.raises(UserError, match="0 tested claims of michel begin with 'Heads are'"):
        headline(untested, [["michel", "Heads are"]])


def written(folder: Path, text: str, name: str = "README.md") -> Path:
    path = folder / "docs" / "templates" / f"{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.parent


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for teacher, value in enumerate((0.7, 0.71, 0.75)):
        michel.pruning(tmp_path / "runs", MINILM, "importance", teacher, values={0.0: value, 0.4: value - 0.02})
    michel.timing(tmp_path / "runs", MINILM)
    return tmp_path / "runs"


def test_a_template_asks_for_numbers_and_tables(tmp_path: Path, runs: Path) -> None:
    text = (
        '{% set own = runs("prune_heads", order="importance") %}\n'
        '{{ own.cells("points", "value", share=0.4).each | percent }}, {{ own["baseline"].mean | points }}\n'
        '{{ headline([["michel", "Attention holds", "a remark"]]) }}\n{{ claims("michel") }}\n'
        '{{ table("table4", model="minilm", task="mnli") }}\n'
    ).replace('"minilm"', f'"{MINILM["name"]}"')
    [(path, filled)] = pages(load([runs], Journal()), written(tmp_path, text)).items()
    assert path == Path("README.md")
    lines = filled.splitlines()
    assert lines[0] == "68.0, 69.0 and 73.0 %, 72.0"
    assert lines[3].startswith("| Attention holds about a third of all parameters (Michel 2019) | about 1/3 | ")
    assert lines[3].endswith(" | counted | **does not hold** (a remark) |")
    assert "1. change of the score with 40 % of the heads removed by importance: above -1 (" in filled
    assert "`python -m experiments.prune_heads -m experiment=michel_fig3b order=importance" in filled
    assert "| 3 teachers, 2,000 rows | **undecided**: needs " in filled
    assert "| heads removed | length | batch |" in filled


def test_a_page_has_what_is_logged_alone(tmp_path: Path, runs: Path) -> None:
    text = (
        'a\n{% for order in ["importance", "chance"] if logged("prune_heads", order=order) %}\n{{ order }}\n'
        "{% endfor %}\n"
        '{% if logged("quantize") %}\nno\n{% endif %}\nb\n'
    )
    assert list(pages(load([runs], Journal()), written(tmp_path, text)).values()) == ["a\nimportance\nb\n"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n{{ nothing }}", r"README.md.jinja, line 2: 'nothing' is undefined"),
        ("{{ runs('prune_heads', order='chance')['value'] }}", "line 1: prune_heads order=chance: no such run"),
        ("{{ runs('prune_heads')['values'].mean }}", "has no values"),
        ("{{ runs('prune_heads')['baseline'].only }}", "3 runs where one is meant"),
        ("{{ runs('prune_heads').table('points', share=0.4)['value'] }}", "3 runs where the table of one is meant"),
        ("{{ runs('time_inference').table('timings', depth=1) }}", "no column depth; there are variant, share"),
        ("{{ claims('cofi') }}", "no run tests a claim of it; papers with runs are michel"),
        ("{{ headline([['michel', 'Beyond all']]) }}", "0 tested claims of michel begin with 'Beyond all'"),
        ("{{ table('fig9', model='minilm-l6', task='mnli') }}", "'fig9' of minilm-l6 mnli: the records give 0 of it"),
        ("a {% if %}", "line 1: Expected an expression"),
    ],
)
def test_what_the_records_do_not_say_is_an_error(tmp_path: Path, runs: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        pages(load([runs], Journal()), written(tmp_path, text))


def test_random_weights_are_no_result_against_a_paper(tmp_path: Path) -> None:
    michel.timing(tmp_path / "runs", BERT | {"weights": "random"}, teacher=None)
    with pytest.raises(UserError, match="papers with runs are none"):
        pages(load([tmp_path / "runs"], Journal()), written(tmp_path, "{{ claims('michel') }}"))


def test_the_command_writes_pages_and_answers_bad_input_in_one_line(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "draw_pictures", lambda sources, folder: [])
    written(tmp_path, "{{ runs('prune_heads') | length }} runs\n", "results/own.md")
    assert main([], tmp_path, runs) == 0
    assert (tmp_path / "docs" / "results" / "own.md").read_text() == "3 runs\n"
    written(tmp_path, "{{ runs('finetune') }}\n", "results/own.md")
    assert main([], tmp_path, runs) == 2
    told = "error: templates/results/own.md.jinja, line 1: finetune: no such run in the records\n"
    assert capsys.readouterr().err == told
    assert (tmp_path / "docs" / "results" / "own.md").read_text() == "3 runs\n"
    assert main(["out=x"]) == 2
    assert "python -m analysis.pages" in capsys.readouterr().out

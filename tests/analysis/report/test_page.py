"""``python -m analysis.report``: everything is on the page once, nothing is loaded, nothing from a record runs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from analysis.catalogue.draw import Made
from analysis.data.loading import Journal, load
from analysis.render.output import Drawing, Table
from analysis.report.__main__ import main
from analysis.report.grid import number
from analysis.report.page import ordered, page
from analysis.report.titles import TITLES
from tests.support.records import cofi, kwon, methods, michel, translation
from tests.support.records.frame import DEMO, MINILM

VOID = {"meta", "link", "img", "input", "br"}
HOSTILE = '<script>alert("task")</script>'


@dataclass
class Row:
    cells: list[str] = field(default_factory=list)
    values: list[str | None] = field(default_factory=list)


class Page(HTMLParser):
    """The elements of a page; fails where a tag is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[Row]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        assert len(found) == len(attributes), f"an attribute of {tag} is there twice"
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(Row())
        elif tag in ("td", "th"):
            self.tables[-1][-1].cells.append("")
            self.tables[-1][-1].values.append(found.get("data-value"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.words.setdefault(tag, []).append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1].cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of all three papers, one with a name that wants to be a script, one unfinished, one damaged."""
    root = tmp_path_factory.mktemp("report") / "runs"
    michel.everything(root, MINILM)
    kwon.everything(root, MINILM, seeds=1)
    kwon.latency_table(root, MINILM)
    cofi.everything(root, MINILM, seeds=1)
    translation.everything(root)
    methods.contest(root, MINILM, {"fisher": [44, 46], "ziplm": [40, 41], "random": [120, 110]}, constraint=0.3)
    michel.benchmark(root, MINILM)
    hostile = michel.timing(root, DEMO | {"name": 'demo" onload="x'}, task=HOSTILE)
    result = json.loads((hostile / "result.json").read_text())
    result["versions"] |= {"torch": "2<b>"}
    result |= {"seconds": {"total": 1234.56}, "finished": "2026-11-22T06:45:04+00:00"}
    result["git"] = {"commit": "0123456789abcdef", "dirty": True}
    (hostile / "result.json").write_text(json.dumps(result))
    (michel.finetune(root, seed=1) / "result.json").unlink()
    (michel.finetune(root, seed=2) / "result.json").write_text("{")
    return root


@dataclass
class Filled:
    """The page, what it was made of in its order, and the captions, which its pictures no longer have."""

    text: str
    made: list[Made]
    captions: list[str]


@pytest.fixture(scope="module")
def filled(runs: Path) -> Filled:
    journal, made, captions = Journal(), list[Made](), list[str]()

    def noting(items: Iterable[Made]) -> list[Made]:
        made.extend(ordered(items))
        captions.extend(one.item.caption for one in made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.page.ordered", noting)
        return Filled(page(load([runs], journal), journal), made, captions)


@pytest.fixture(scope="module")
def text(filled: Filled) -> str:
    return filled.text


@pytest.fixture(scope="module")
def parsed(text: str) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def made(filled: Filled) -> list[Made]:
    return filled.made


def test_the_readme_names_the_page() -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert text.count("\npython -m analysis.report source=runs out=report.html ") == 1


def test_every_figure_and_table_is_there_once(parsed: Page, made: list[Made], filled: Filled) -> None:
    figures = [caption for one, caption in zip(made, filled.captions, strict=True) if isinstance(one.item, Drawing)]
    images = parsed.all("img")
    assert len(images) == len(figures) > 20
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    assert len({image["alt"] for image in images}) == len(images)
    for image, caption in zip(images, figures, strict=True):
        assert image["alt"].endswith(f". {caption}") and len(caption) > 40
    tables = [one.item for one in made if isinstance(one.item, Table)]
    shown = parsed.tables[:-1]  # the last one lists the runs
    assert len(shown) == len(tables) > 8
    for rows, table in zip(shown, tables, strict=True):
        expected = [list(map(str, table.display.columns)), *(list(map(str, row)) for row in table.display.to_numpy())]
        assert [row.cells for row in rows] == [[cell.replace("**", "") for cell in line] for line in expected]
    claims = {one.chapter for one in made if one.part == "claims"}
    assert claims == {
        "Michel et al. 2019", "Michel et al. 2019 (translation)", "Kwon et al. 2022", "Xia et al. 2022",
        "Methods against one another", "All claims",
    }  # fmt: skip
    downloads = [link for link in parsed.all("a") if "download" in link]
    assert len(downloads) == len(made) and len({link["download"] for link in downloads}) == len(made)


def test_claims_come_first_and_random_weights_last(parsed: Page) -> None:
    chapters = [text for text in parsed.words["h2"] if text.strip()]
    assert chapters[0] == "All claims" and chapters[1:4] == ["Michel et al. 2019", "Michel et al. 2019 (translation)",
                                                             "Kwon et al. 2022"]  # fmt: skip
    [contents, *_] = parsed.all("details")
    assert "open" not in contents


def test_models_with_weights_come_before_random_ones() -> None:
    table = Table("x", "x", pd.DataFrame(), pd.DataFrame(), "")
    made = [Made(chapter, setting, "", setting, table, random_weights=setting == "random")
            for chapter in ("Michel", "Kwon", "All claims") for setting in ("random", "trained", "other")]  # fmt: skip
    found = [(one.chapter, one.setting) for one in ordered(made)]
    papers = [(chapter, setting) for chapter in ("Michel", "Kwon") for setting in ("trained", "other", "random")]
    assert found[3:] == papers


def test_every_figure_has_a_title(made: list[Made]) -> None:
    drawn = {one.part for one in made if isinstance(one.item, Drawing)}
    assert set(TITLES) - drawn == {"quantized"}  # of runs that are not among these
    assert drawn < set(TITLES)


def test_the_numbers_of_a_figure_are_the_csv_of_its_file(parsed: Page, made: list[Made], tmp_path: Path) -> None:
    [one] = [one for one in made if one.item.name == "fig3b"]
    assert isinstance(one.item, Drawing)
    [path] = one.item.save(tmp_path, kinds=("csv",))
    [link] = [link for link in parsed.all("a") if link.get("download", "").endswith("mnli_fig3b.csv")]
    assert base64.b64decode(link["href"].split(",")[1]) == path.read_bytes()


def test_nothing_is_loaded_from_elsewhere(parsed: Page, text: str) -> None:
    assert all(source.startswith("data:") for source in parsed.values("src"))
    assert all(link.startswith(("#", "data:")) for link in parsed.values("href"))
    style = "".join(parsed.words["style"])
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in parsed.all("meta")[1]["content"]
    assert not re.search(r"https?://", text)
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.elements}


def test_ids_are_unique_and_links_lead_somewhere(parsed: Page) -> None:
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    targets = [link[1:] for link in parsed.values("href") if link.startswith("#")]
    assert set(targets + parsed.values("aria-labelledby") + parsed.values("for")) <= set(ids)
    entries = [attributes["id"] for tag, attributes in parsed.elements if tag in ("h2", "h3", "h4")]
    assert set(entries) <= set(targets), "everything is in the contents"


def test_the_page_says_what_it_is(parsed: Page) -> None:
    assert parsed.all("html")[0]["lang"] == "en"
    papers = "Michel et al. 2019, Michel et al. 2019 (translation), Kwon et al. 2022, Xia et al. 2022"
    assert papers in "".join(parsed.words["title"])
    assert {"nav", "main", "header", "h1"} <= {tag for tag, _ in parsed.elements}
    boxes = [found for tag, found in parsed.elements if "scroll" in found.get("class", "")]
    assert boxes and all(box["tabindex"] == "0" and box["aria-label"] for box in boxes), "keys can scroll them"
    assert len(parsed.all("button")) == sum(len(rows[0].cells) for rows in parsed.tables)


def test_names_in_records_stay_text(parsed: Page, text: str) -> None:
    assert len(parsed.all("script")) == 1 and HOSTILE not in text
    assert any(HOSTILE in words for words in parsed.words["h3"])
    assert not parsed.values("onload") and "b" not in {tag for tag, _ in parsed.elements}


def test_runs_are_listed_with_where_they_came_from(parsed: Page, runs: Path) -> None:
    header, *rows = parsed.tables[-1]
    named = [dict(zip(header.cells, row.cells, strict=True)) for row in rows]
    folders = [path for path in runs.glob("*/*") if path.is_dir()]
    assert sorted((row["verb"], row["run"]) for row in named) == sorted((f.parent.name, f.name) for f in folders)
    assert sorted(row["status"] for row in named)[:2] == ["damaged", "finished"]
    assert [row["status"] for row in named].count("unfinished") == 1
    [hostile] = [row for row in named if row["task"] == HOSTILE]
    assert hostile["model"] == 'demo" onload="x' and hostile["libraries"] == "python 3.11.9, torch 2<b>"
    assert (hostile["commit"], hostile["tree"], hostile["seconds"]) == ("0123456789", "dirty", "1234.6")
    assert (hostile["device"], hostile["threads"]) == ("AMD EPYC 7B13 (cpu)", "2")
    assert hostile["finished (UTC)"] == "2026-11-22T06:45:04"
    seconds = header.cells.index("seconds")
    assert {row.values[seconds] for row in rows} == {"1.0", "1234.6", None}


def test_what_is_missing_or_was_left_out_is_told(parsed: Page) -> None:
    lines = "".join(parsed.words["li"])
    assert "/fig3b: no prune_heads runs" in lines
    assert "not used: 1 unfinished run(s)" in lines and "skipped: " in lines


def test_numbers_sort_as_numbers_and_words_as_words(parsed: Page, made: list[Made]) -> None:
    tables = [one.item for one in made if isinstance(one.item, Table)]
    shown = {table.name: rows for table, rows in zip(tables, parsed.tables, strict=False)}
    benchmark = shown["benchmark"]
    ratio = benchmark[0].cells.index("ratio (least to most)")
    assert [row.values[ratio] for row in benchmark[1:]] == ["4.5", "2.0"]
    assert all(row.values[benchmark[0].cells.index("comparison")] is None for row in benchmark)
    layer = [row.values[1] for row in shown["table1"][1:]]
    assert all(value is not None for value in layer), "signed, without a zero before the point, with daggers"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5 ± 2", 1234.5), ("**12 %** of heads", 12.0), ("+.20\u2020", 0.2), ("\u22120.5", -0.5), ("1e-05", 1e-5),
        ("2.1x", 2.1), ("4.50 (4.40 to 4.60)", 4.5), ("seed 1", None), ("2026-11-22T06:45:04", None), ("2.13.0", None),
        ("88b2db1fa7", None), ("", None), ("e5", None), ("p < 0.01", None),
    ],
)  # fmt: skip
def test_the_number_that_a_cell_sorts_by(text: str, value: float | None) -> None:
    assert number(text) == value


def test_equal_records_give_an_equal_page(tmp_path: Path) -> None:
    michel.pruning(tmp_path / "runs", DEMO, "importance")
    for name in ("a", "b"):
        assert main([f"source={tmp_path / 'runs'}", f"out={tmp_path / 'new' / name}.html"]) == 0
    assert (tmp_path / "new" / "a.html").read_bytes() == (tmp_path / "new" / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["source=nowhere"], "nowhere: no such folder"),
        (["source=runs", "out=runs"], "is a folder"),
        (["source=runs", "out=file/report.html"], "cannot be written"),
        (["report=x"], "the options are source, out"),
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
    michel.benchmark(Path("runs"), DEMO)
    Path("file").write_text("")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_only_a_page_of_ours_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    michel.finetune(tmp_path / "runs")
    page_file, other = tmp_path / "page.html", tmp_path / "thesis.tex"
    other.write_text("years of work")
    assert main([f"source={tmp_path / 'runs'}", f"out={other}"]) == 2
    assert capsys.readouterr().err == (
        f"error: out={other}: is a file that is no page of ours; give the page another name, or delete the file\n"
    )
    assert other.read_text() == "years of work"
    page_file.touch()
    for _ in range(2):
        assert main([f"source={tmp_path / 'runs'}", f"out={page_file}"]) == 0

"""The page on pruning and 8 bits is there as soon as there are runs of `quantize`, and so are the links to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.catalogue import pictures
from analysis.data.loading import Journal, load
from analysis.pages import fill
from analysis.pages.__main__ import main
from analysis.pages.fill import TEMPLATES, pages
from prunekit.support.errors import UserError
from tests.support.records import quantization
from tests.support.records.frame import DEMO, MINILM

PAGE = Path("docs/results/quantization.md")


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Those of the page, and of the table of README.md that leads to it."""
    folder = tmp_path / "docs" / "templates"
    (folder / "results").mkdir(parents=True)
    shutil.copy(TEMPLATES / "results" / "quantization.md.jinja", folder / "results")
    readme = (TEMPLATES / "README.md.jinja").read_text(encoding="utf-8")
    table = readme[readme.index("| results | about this") :].partition("\n\n")[0]
    (folder / "README.md.jinja").write_text(f"{table}\n", encoding="utf-8")
    return folder


def test_without_runs_there_is_neither_page_nor_link(templates: Path, tmp_path: Path) -> None:
    quantization.run(tmp_path / "runs", DEMO, "demo")  # of generated data there is no page
    filled = pages(load([tmp_path / "runs"], Journal()), templates)
    assert list(filled) == [Path("README.md")]
    assert "quantization.md" not in filled[Path("README.md")] and "\n\n" not in filled[Path("README.md")]


def test_the_page_of_a_few_runs(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "caption", lambda records, name: f"Caption of {name}.")
    for teacher in range(3):
        for remaining in (1.0, 0.5):
            quantization.run(tmp_path / "runs", MINILM, remaining=remaining, teacher=teacher, of_product=0.93)
    filled = pages(load([tmp_path / "runs"], Journal()), templates)
    link = "| [Pruning and 8 bits](docs/results/quantization.md) | [What others load](docs/export.md) |"
    assert link in filled[Path("README.md")].splitlines()
    text = filled[PAGE]
    assert text.startswith("# Pruning and 8 bits\n")
    assert "Logged: 6 runs of MiniLM on mrpc, with 50 and 100 % of the MACs\n" in text
    assert "(dynamic; 3 teachers of mrpc)" in text
    assert "\n## MRPC\n" in text and "\n## SST-2\n" not in text
    assert "\n![Score, speed and size of pruned models in 8 bits](../quantized_mrpc_minilm.png)\n" in text
    assert "\nCaption of quantized_mrpc_minilm.\n" in text
    beside = "f1 88.3 (88.1 to 88.5) | 16.9 | 2.54 | 3.38 | quiet | 3 | 40.0 (accuracy 35.0) |  |"
    assert f"\n| 50 % | int8, after training | {beside}\n" in text
    headings = [line for line in text.splitlines() if line.startswith("| ---")]
    assert len(headings) == 2, "the table of sizes, and that of claims"
    [claim] = [line for line in text.splitlines() if line.startswith("| The gains in speed of pruning and of 8 bits ")]
    assert "mrpc: 7 (7 to 7) %" in claim and "| **holds** <sup>" in claim


def test_a_table_of_one_task_is_asked_for_by_its_file(tmp_path: Path) -> None:
    for task in ("mrpc", "sst2"):
        quantization.run(tmp_path / "runs", MINILM, task)
    records = load([tmp_path / "runs"], Journal())
    assert "evaluated on sst2 validation" in fill.table(fill.Parts(records), "sizes_sst2", "minilm-l6")
    with pytest.raises(UserError, match="'sizes' of minilm-l6 : the records give 2 of it, one is meant"):
        fill.table(fill.Parts(records), "sizes", "minilm-l6")


@pytest.mark.slow
def test_its_picture_is_drawn_and_has_a_caption(tmp_path: Path) -> None:
    quantization.run(tmp_path / "runs", MINILM)
    [picture] = pictures.draw_pictures([tmp_path / "runs"], tmp_path)
    assert picture.name == "quantized_mrpc_minilm.png"
    words = fill.caption(fill.Parts(load([tmp_path / "runs"], Journal())), picture.stem)
    assert "Speed-ups are over the whole model in float32" in words and "size is of the graph's file" in words


def test_the_page_of_runs_that_are_logged_no_more_goes(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "draw_pictures", lambda sources, folder: [])
    monkeypatch.setattr(fill, "caption", lambda records, name: name)
    quantization.run(tmp_path / "runs", MINILM)
    assert main([], tmp_path, tmp_path / "runs") == 0
    assert (tmp_path / PAGE).read_text(encoding="utf-8").startswith("# Pruning and 8 bits\n")
    quantization.run(tmp_path / "others", DEMO, "demo")
    assert main([], tmp_path, tmp_path / "others") == 0
    assert not (tmp_path / PAGE).exists() and (tmp_path / "README.md").exists()

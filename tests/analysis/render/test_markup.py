"""Names, values and paths are shown as they are, whatever they hold: each medium has one place that sees to it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.text import Text as Words
from rich.console import Console

from analysis.catalogue.draw import draw_all, draw_run
from analysis.render.output import Table
from analysis.render.style import add_caption, add_legend, figure_style, panel_grid, save_figure
from experiments.cli import announce, sweep
from prunekit.support.markdown import in_markdown
from prunekit.support.progress import plain_console
from tests.support.drawings import without_pdf
from tests.support.records import michel
from tests.support.records.frame import DEMO
from tests.support.settings import finetune

ODD = ["[/red] [bold]x[/bold]", "kinds=[self]", ":bug:", "a $x_1^{$ b", "<script>alert(1)</script>", "![x](http://h)"]


def in_a_terminal(console: Console) -> io.StringIO:
    console.file = io.StringIO()
    return console.file


@pytest.mark.parametrize("name", ODD)
def test_the_terminal_shows_names_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    console = plain_console(300)
    shown = in_a_terminal(console)
    monkeypatch.setattr(announce, "console", console)
    monkeypatch.setattr("prunekit.support.progress.console", console)
    config = finetune(tmp_path / "a[b]")
    record: dict[str, Any] = {
        "verb": "verb", "run_id": "1", "model": {"name": name}, "metrics": {"metric": name, name: 0.25},
        "sparsity": {"achieved_[x]": 0.5},
        "data": [{"role": "r", "name": name, "split": "[dev]", "rows": 3}], "teacher": None, "seconds": {"total": 1.0},
    }  # fmt: skip
    announce.announce(record, config)
    text = shown.getvalue()
    assert (
        text.count(name) == 3 and "gone [x]" in text and "[dev] (3 rows)" in text and f"{tmp_path}/a[b]/verb/1" in text
    )
    with sweep.watched(tmp_path, [name, "plain"]):
        sweep.report(0, sweep.FAILED, 1.0, f"reason {name}")
        sweep.report(1, sweep.DONE, 1.0)
    assert shown.getvalue().count(name) == 6  # its row, and beside its reason


@pytest.mark.parametrize("own", [True, False], ids=["own", "plain"])
@pytest.mark.parametrize("name", ODD)
def test_tables_in_any_terminal(name: str, own: bool) -> None:
    console = Console(width=200, emoji=False) if own else plain_console(200)
    shown = in_a_terminal(console)
    frame = pd.DataFrame({name: [f"**{name}**", "1"]})
    Table("t", name, frame, frame, f"on {name}.").show(console)
    assert shown.getvalue().count(name) == 4 and "**" not in shown.getvalue()


def test_markdown_brings_no_html_and_no_links() -> None:
    frame = pd.DataFrame({"a<b>": ["<img src=x onerror=y>", "p < 0.05 | <!-- x", "**bold** [a](javascript:b)"]})
    text = Table("t", "<script>", frame, frame, "line\n<b>").markdown()
    assert text.splitlines() == [
        "**&lt;script>**", "", "| a&lt;b> |", "| --- |", "| &lt;img src=x onerror=y> |",
        r"| p < 0.05 \| &lt;!-- x |", r"| **bold** [a\](javascript:b) |", "", "line &lt;b>",
    ]  # fmt: skip
    assert in_markdown("[a][b] 3<4 a <- b <= c") == r"[a\][b] 3<4 a <- b <= c"


def test_figures_take_no_dollar_for_mathematics(tmp_path: Path) -> None:
    with figure_style():
        figure, [axes] = panel_grid(1)
        axes.plot([1], [2], label="a $x_1^{$ b")
        axes.set_title("$\\nothing$")
        axes.set_xticks([1], ["$}$"])
        add_legend(figure, [axes])
        add_caption(figure, "cost $5 or $\\6$.")
    [png] = save_figure(figure, pd.DataFrame(), tmp_path / "f", ("png",))
    assert png.stat().st_size > 1000
    assert not any(words.get_parse_math() for words in figure.findobj(Words))


def test_a_legend_without_entries_is_none() -> None:
    with figure_style():
        figure, axes = panel_grid(1)
        add_legend(figure, axes)
    assert not figure.legends


def test_all_of_an_odd_model_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.render.output.save_figure", without_pdf)
    name = "m$x_1^{$ <b>[/red]"
    run = michel.timing(tmp_path / "runs", {**DEMO, "name": name}, task="a[b]$^{$")
    console = plain_console(200)
    shown = in_a_terminal(console)
    drawn = draw_all([tmp_path / "runs"], tmp_path / "out", console)
    assert drawn.figures and "<b>[/red]" in shown.getvalue()
    assert all("<b>" not in path.read_text() for path in (tmp_path / "out").rglob("*.md"))
    assert draw_run(run, tmp_path / "one")


@pytest.mark.parametrize("terminal", [True, False])
def test_captions_say_nothing_of_what_is_not_shown(terminal: bool) -> None:
    frame = pd.DataFrame({"task": ["rte"], "score": ["**70.1**"], "seconds": ["3"]})
    caption = "Cells: scores. Bold: the best of a task, never the oracle. Seconds: of pruning. minilm-l6."
    table = Table(
        "t", "T", frame, frame, caption, narrow=("task", "score"), of_other_columns=("Seconds: of pruning. ",)
    )
    console = Console(width=200, file=io.StringIO(), force_terminal=terminal, no_color=True)
    table.show(console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Cells: scores. " in shown and "minilm-l6." in shown and "Seconds" not in shown
    assert ("Bold: the best" in shown) == terminal
    assert caption in table.markdown()

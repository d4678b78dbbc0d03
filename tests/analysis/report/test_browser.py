"""The report page in a real browser: it fits a phone, follows light and dark, sorts and filters, and logs no error."""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from analysis.data.loading import Journal, load
from analysis.report.page import page
from tests.support.records import michel
from tests.support.records.frame import MINILM

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
VISIT = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective));
addEventListener("load", () => {
  const header = document.querySelector(".filtered th button").parentElement;
  const rows = () => [...document.querySelectorAll(".filtered tbody tr")];
  const column = () => rows().map((row) => row.cells[0].textContent.trim());
  const sorted = [0, 1].map(() => { header.firstElementChild.click(); return [header.ariaSort, column()]; });
  const filter = document.getElementById("runs-filter");
  filter.value = "time_inference";
  filter.dispatchEvent(new Event("input"));
  parent.postMessage({
    width: innerWidth, errors, sorted,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    shown: document.getElementById("runs-shown").value,
    images: [...document.images].map((image) => image.naturalWidth > 0),
    paper: getComputedStyle(document.body).backgroundColor,
    columns: getComputedStyle(document.body).display,
  }, "*");
});
</script>"""
FRAME = """<title>waiting</title>
<script>addEventListener("message", (event) => {{ document.title = JSON.stringify(event.data); }});</script>
<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of a few runs, which tells what it is like once it is loaded."""
    root = tmp_path_factory.mktemp("browser") / "runs"
    michel.pruning(root, MINILM, "importance")
    michel.pruning(root, MINILM, "oracle")
    michel.timing(root, MINILM)
    journal = Journal()
    return page(load([root], journal), journal).replace("<head>", f"<head>{VISIT}", 1)


def visited(text: str, folder: Path, width: int, dark: bool) -> dict[str, Any]:
    """What the page says of itself in a window of this width."""
    outer = folder / "frame.html"
    outer.write_text(FRAME.format(width=width, page=html.escape(text)), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=10000", "--dump-dom",
         outer.as_uri()],
        env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    found: dict[str, Any] = json.loads(html.unescape(title))
    return found


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
@pytest.mark.parametrize(
    ("width", "dark", "paper", "display"),
    [(1280, False, "rgb(255, 255, 255)", "grid"), (360, True, "rgb(22, 24, 27)", "block")],
)
def test_the_page_in_a_browser(text: str, tmp_path: Path, width: int, dark: bool, paper: str, display: str) -> None:
    found = visited(text, tmp_path, width, dark)
    assert (found["width"], found["overflow"], found["errors"]) == (width, 0, [])
    assert (found["paper"], found["columns"]) == (paper, display)
    assert len(found["images"]) >= 3 and all(found["images"])
    (rising, first), (falling, second) = found["sorted"]
    assert (rising, falling) == ("ascending", "descending")
    assert sorted(first) == first and first == second[::-1]
    assert found["shown"] == "1 of 3"

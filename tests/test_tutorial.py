"""``docs/tutorial.md`` runs as it is written, as the notebook made of it, up to a model on a Hub of this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from tests.support.hub_server import TOKEN, hub

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
VERDICT = "(entailment|neutral|contradiction)"


def test_the_notebook_has_the_code_of_the_page() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "bash"}
    cells = [cell.source for cell in jupytext.reads(PAGE, fmt="md").cells if cell.cell_type == "code"]
    assert cells == [("%%bash\n" * (language == "bash") + code).rstrip("\n") for language, code in BLOCKS]
    verbs = set(re.findall(r"python -m experiments\.(\w+)", PAGE))
    assert verbs == {"finetune", "prune_heads", "prune_fisher", "prune_cofi", "export"}


def test_the_notebook_lies_beside_the_packages() -> None:
    """Its kernel starts where it lies, and imports them from there."""
    written = re.findall(r"--output (\S+) docs/tutorial\.md", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert written == ["tutorial.ipynb"] and f"`{written[0]}`" in PAGE
    assert "/tutorial.ipynb" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what runs notebooks
def test_the_tutorial(tmp_path: Path) -> None:
    notebook = jupytext.reads(PAGE, fmt="md")
    for cell in notebook.cells:  # any command that fails is to be seen, not the last one alone
        cell.source = re.sub(r"^%%bash\n", "%%bash\nset -e\n", cell.source)
    for name in ("prunekit", "experiments", "analysis"):
        (tmp_path / name).symlink_to(ROOT / name)
    with hub() as server:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        client = NotebookClient(
            notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute(env=environment)
        assert "README.md" in server.repositories["me/verdicts"]
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert len(re.findall(rf" \| {VERDICT}$", printed, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"\| its teacher \|", printed)) == 3
    assert re.search(rf"'label': '{VERDICT}'", printed)
    scores = [float(value) for value in re.findall(r"\| this model \| (0\.\d+) \|", printed)]
    assert len(scores) == 3 and all(score > 0.4 for score in scores)  # one answer to all rows has a third

"""``docs/tutorial.md`` runs as it is written, from a CSV to a model on a Hub of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub_server import TOKEN, hub

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def script() -> str:
    """The page as one shell script."""
    parts = ["set -e"]
    for language, code in BLOCKS:
        parts.append(code if language == "bash" else f"python - <<'BLOCK'\n{code}BLOCK\n")
    return "\n".join(parts)


def test_the_page_is_python_and_commands() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "bash"}
    verbs = set(re.findall(r"python -m experiments\.(\w+)", PAGE))
    assert verbs == {"finetune", "prune_heads", "prune_fisher", "prune_cofi", "export"}


@pytest.mark.slow
def test_the_tutorial(tmp_path: Path) -> None:
    with hub() as server:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", script()], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "README.md" in server.repositories["me/verdicts"]
    answers = re.findall(r" \| (entailment|neutral|contradiction)$", done.stdout, flags=re.MULTILINE)
    assert len(answers) == 3
    assert len(re.findall(r"\| its teacher \|", done.stdout)) == 3
    assert re.search(r"'label': '(entailment|neutral|contradiction)'", done.stdout)

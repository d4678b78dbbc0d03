"""What W&B's own client says of a project that is not there or without a key becomes one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

VIEWER = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}


class NoProject(BaseHTTPRequestHandler):
    """A server that knows a user, and no project of any name."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps({"data": {"viewer": VIEWER, "project": None, "serverInfo": {}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """Its address, on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NoProject) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def refused(home: Path, **environment: str) -> str:
    """The one line with which the project ``me/runs`` is refused."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "source=wandb:me/runs", f"out={home}/figures"],
        env={**known, "HOME": str(home), **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    return line


def test_a_project_that_is_not_there(tmp_path: Path, server: str) -> None:
    line = refused(tmp_path, WANDB_BASE_URL=server, WANDB_API_KEY="0" * 40)
    assert line == "error: source=wandb:me/runs: Could not find project runs"


def test_a_project_that_needs_a_key(tmp_path: Path, server: str) -> None:
    line = refused(tmp_path, WANDB_BASE_URL=server)
    assert line == "error: source=wandb:me/runs: No API key configured. Use `wandb login` to log in."

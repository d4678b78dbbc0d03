"""An HTTP server with the face of the Hugging Face Hub, as far as models are created, uploaded and downloaded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "a" * 34
FILE = re.compile(r"^/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
API = re.compile(r"^/api/models/([^/]+/[^/]+)(?:/(preupload|commit|revision|tree)/([^/?]+)(?:/([^?]*))?)?(?:\?.*)?$")


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with files by name; in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hub() -> Iterator[Hub]:
    """A server on a free port of this machine, until the block ends."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name in self.server.repositories:
                self._answer(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
                return
            self.server.repositories[name] = {}
            self._answer(200, {"url": f"{self.server.url}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif (asked_for := API.match(self.path)) and asked_for[1] in self.server.repositories:
            files = self.server.repositories[asked_for[1]]
            if asked_for[2] == "preupload":
                names = [item["path"] for item in json.loads(body)["files"]]
                modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
                self._answer(200, {"files": modes})
                return
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.url}/{asked_for[1]}/commit/{_sha(files)}"
            self._answer(200, {"success": True, "commitOid": _sha(files), "commitUrl": url})
        else:
            self._missing("RepoNotFound")

    def _get(self) -> None:
        self._note()
        if (asked := FILE.match(self.path)) and asked[1] in self.server.repositories:
            files = self.server.repositories[asked[1]]
            if asked[3] not in files:
                self._missing("EntryNotFound")
                return
            content = files[asked[3]]
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": _sha(files)}
            self._send(200, content, headers)
        elif (known := API.match(self.path)) and known[1] in self.server.repositories:
            files = self.server.repositories[known[1]]
            if known[2] == "tree":
                if known[4]:
                    self._missing("EntryNotFound")
                    return
                self._answer(200, [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in files.items()
                ])  # fmt: skip
                return
            siblings = [{"rfilename": name} for name in files]
            self._answer(200, {"id": known[1], "sha": _sha(files), "siblings": siblings, "private": False, "tags": []})
        else:
            self._missing("RepoNotFound")

    def _note(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def _missing(self, code: str) -> None:
        self._send(404, b'{"error": "not found"}', {"X-Error-Code": code})

    def _answer(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _sha(files: dict[str, bytes]) -> str:
    digest = hashlib.sha1()
    for name in sorted(files):
        digest.update(name.encode() + files[name])
    return digest.hexdigest()

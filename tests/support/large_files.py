"""Where a Hub keeps large files: another server, which takes and gives contents at signed addresses, and knows no
tokens. An upload is one PUT, or several of parts and a POST that joins them (Git LFS, ``basic`` and ``multipart``)."""

from __future__ import annotations

import hashlib
import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Requests are noted by the server, answers have their length."""

    server: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def note(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def body(self) -> bytes:
        """What was sent, of a known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def answer(self, status: int, content: Any) -> None:
        self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class LargeFiles(ThreadingHTTPServer):
    """Contents by their SHA-256; in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.part = 2**20
        """Bytes of a part; what is larger comes in several."""
        self._secret = secrets.token_hex()

    def signed(self, path: str) -> str:
        """The address at which whoever has it may do one thing."""
        return f"http://127.0.0.1:{self.server_port}{path}?signature={self.signature(path)}"

    def signature(self, path: str) -> str:
        return hashlib.sha256(f"{self._secret}{path}".encode()).hexdigest()

    def upload(self, oid: str, size: int) -> dict[str, Any]:
        """How a content is to be uploaded, as the batch endpoint says it."""
        if size <= self.part:
            return {"href": self.signed(f"/whole/{oid}")}
        numbers = range(1, -(-size // self.part) + 1)
        parts = {f"{number:05d}": self.signed(f"/part/{oid}/{number}") for number in numbers}
        return {"href": self.signed(f"/joined/{oid}"), "header": {"chunk_size": str(self.part), **parts}}


class _Handler(Answering):
    server: LargeFiles

    def do_GET(self) -> None:
        if asked := self._asked():
            self.send(200, self.server.contents[asked[1]], {})

    def do_PUT(self) -> None:
        content = self.body()
        if asked := self._asked():
            if asked[0] == "part":
                self.server.parts[self.path.partition("?")[0]] = content
                self.send(200, b"", {"ETag": f'"{hashlib.md5(content).hexdigest()}"'})
            else:
                self._keep(asked[1], content)

    def do_POST(self) -> None:
        given = json.loads(self.body())
        if asked := self._asked():
            content = b""
            for number, part in enumerate(given["parts"], 1):
                own = self.server.parts.pop(f"/part/{asked[1]}/{number}")
                assert part == {"partNumber": number, "etag": f'"{hashlib.md5(own).hexdigest()}"'}
                content += own
            self._keep(asked[1], content)

    def _asked(self) -> list[str] | None:
        """What is asked for; None, and refused, without the right signature or with a token of the Hub."""
        self.note()
        path, _, signature = self.path.partition("?signature=")
        if signature != self.server.signature(path) or "Authorization" in self.headers:
            self.answer(400, {"error": "one way to say who asks, the signature"})
            return None
        return path.strip("/").split("/")

    def _keep(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            self.answer(400, {"error": "another content than was announced"})
            return
        self.server.contents[oid] = content
        self.send(200, b"", {})

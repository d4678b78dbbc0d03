"""An HTTP server with the face of the Hugging Face Hub, as far as models are created, uploaded and downloaded; weights
and graphs by Git LFS, as there."""

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

from tests.support.large_files import Answering, LargeFiles

TOKEN = "hf_" + "a" * 34
OTHERS = "others"
"""An organization in which the token may write nothing."""
FILE = re.compile(r"^/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
BATCH = re.compile(r"^/([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify)$")
LARGE = (".safetensors", ".onnx", ".bin")
"""What a new repository keeps by Git LFS, of what is uploaded here."""
API = re.compile(
    r"^/api/models/([^/]+/[^/]+)(?:/(preupload|commit|revision|tree|branch)/([^/?]+)(?:/([^?]*))?)?(?:\?.*)?$"
)


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with files by name; in memory.

    Branches are beside them, as NAME@BRANCH, and so are pull requests, of which a repository has one.
    """

    large: LargeFiles

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.pointers: dict[str, dict[str, str]] = {}
        """SHA-256 of the contents of large files, by repository and name."""
        self.private: dict[str, bool] = {}
        self.commits: list[tuple[str, str, str]] = []
        """Repository, summary and description of each."""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hub() -> Iterator[Hub]:
    """A server on a free port of this machine, and its store of large files on another, until the block ends."""
    server = Hub()
    server.large = LargeFiles()
    both = (server, server.large)
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True) for one in both]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one, thread in zip(both, threads, strict=True):
            one.shutdown()
            one.server_close()
            thread.join()


class _Handler(Answering, BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def do_POST(self) -> None:
        self.note()
        body = self.body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create" and json.loads(body).get("organization") == OTHERS:
            self.answer(403, {"error": f"You don't have the rights to create a model under the namespace {OTHERS}"})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name in self.server.repositories:
                self.answer(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
                return
            self.server.repositories[name], self.server.pointers[name] = {}, {}
            self.server.private[name] = asked.get("visibility") == "private"
            self.answer(200, {"url": f"{self.server.url}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif (asked_for := API.match(self.path)) and asked_for[1] in self.server.repositories:
            if asked_for[2] == "branch":
                self._start(f"{asked_for[1]}@{asked_for[3]}")
                self.answer(200, {})
                return
            proposed = "create_pr=1" in self.path
            target = f"{asked_for[1]}@pr" if proposed else self._at(asked_for[1], asked_for[3])
            if asked_for[2] == "preupload":
                names = [item["path"] for item in json.loads(body)["files"]]
                mode = {name: "lfs" if name.endswith(LARGE) else "regular" for name in names}
                modes = [{"path": name, "uploadMode": mode[name], "shouldIgnore": False} for name in names]
                self.answer(200, {"files": modes})
                return
            lines = [(line["key"], line["value"]) for line in map(json.loads, body.splitlines())]
            if any(key == "file" and value["path"].endswith(LARGE) for key, value in lines):
                self.answer(400, {"error": "large files go by Git LFS"})
                return
            files = self._start(target)
            for key, value in lines:
                if key == "header":
                    self.server.commits.append((target, value["summary"], value["description"]))
                elif key == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif key == "lfsFile":
                    files[value["path"]] = self.server.large.contents[value["oid"]]
                    self.server.pointers[target][value["path"]] = value["oid"]
                elif key == "deletedFile":
                    del files[value["path"]]
                    self.server.pointers[target].pop(value["path"], None)
            url = f"{self.server.url}/{asked_for[1]}/commit/{_sha(files)}"
            more = {"pullRequestUrl": f"{self.server.url}/{asked_for[1]}/discussions/1"} if proposed else {}
            self.answer(200, {"success": True, "commitOid": _sha(files), "commitUrl": url, **more})
        elif (large := BATCH.match(self.path)) and large[1] in self.server.repositories:
            self._large(large[2], json.loads(body))
        else:
            self._missing("RepoNotFound")

    def _at(self, name: str, revision: str | None) -> str:
        """Under which name the files of a revision are kept; commits are of the main branch."""
        branch = f"{name}@{revision}"
        return branch if branch in self.server.repositories else name

    def _start(self, branch: str) -> dict[str, bytes]:
        """The files of a branch, which has those of the main one when it is new."""
        name = branch.partition("@")[0]
        self.server.pointers.setdefault(branch, dict(self.server.pointers[name]))
        return self.server.repositories.setdefault(branch, dict(self.server.repositories[name]))

    def _large(self, what: str, asked: dict[str, Any]) -> None:
        """Say where contents are to be uploaded, those that are not there; or whether one is."""
        store = self.server.large
        if what == "verify":
            there = len(store.contents.get(asked["oid"], b"")) == asked["size"]
            self.answer(200 if there else 404, {})
            return
        assert asked["operation"] == "upload" and asked["hash_algo"] == "sha256"
        verify = {"href": f"{self.server.url}{self.path.removesuffix('batch')}verify"}
        objects = [
            one if one["oid"] in store.contents else
            {**one, "actions": {"upload": store.upload(**one), "verify": verify}}
            for one in asked["objects"]
        ]  # fmt: skip
        self.answer(200, {"transfer": "basic", "objects": objects})

    def _get(self) -> None:
        self.note()
        if (asked := FILE.match(self.path)) and asked[1] in self.server.repositories:
            files = self.server.repositories[asked[1]]
            if asked[3] not in files:
                self._missing("EntryNotFound")
                return
            content = files[asked[3]]
            if oid := self.server.pointers[asked[1]].get(asked[3]):
                self.send(302, b"", {
                    "Location": self.server.large.signed(f"/whole/{oid}"), "X-Linked-Size": str(len(content)),
                    "X-Linked-ETag": f'"{oid}"', "X-Repo-Commit": _sha(files),
                })  # fmt: skip
                return
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": _sha(files)}
            self.send(200, content, headers)
        elif (known := API.match(self.path)) and known[1] in self.server.repositories:
            files = self.server.repositories[self._at(known[1], known[3])]
            if known[2] == "tree":
                if known[4]:
                    self._missing("EntryNotFound")
                    return
                self.answer(200, [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in files.items()
                ])  # fmt: skip
                return
            siblings = [{"rfilename": name} for name in files]
            self.answer(200, {"id": known[1], "sha": _sha(files), "siblings": siblings, "private": False, "tags": []})
        else:
            self._missing("RepoNotFound")

    def _missing(self, code: str) -> None:
        self.send(404, b'{"error": "not found"}', {"X-Error-Code": code})


def _sha(files: dict[str, bytes]) -> str:
    digest = hashlib.sha1()
    for name in sorted(files):
        digest.update(name.encode() + files[name])
    return digest.hexdigest()

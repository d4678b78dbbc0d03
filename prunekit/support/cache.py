"""The one cache: results that runs share, found again by the content of everything that changes them.

An entry lies in ``cache/KIND/KEY`` of a folder of runs. Its key is a hash of the kind and its revision, of the machine,
and of an *identity*: whole configuration sections and fingerprints of contents
(:mod:`prunekit.support.fingerprints`), so that a setting that nobody thought of makes another entry rather than a wrong
one. What comes out is what computing it here would give, to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prunekit.support.devices import describe_device
from prunekit.support.files import atomic_path, locked, remove, remove_leftovers
from prunekit.support.fingerprints import fingerprint

T = TypeVar("T")

DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)
"""What reading an entry raises that is not there, cut off, or of another form."""


@dataclass(frozen=True)
class EntryKind:
    """A kind of results."""

    name: str
    """Of its folder."""
    revision: int
    """Raised whenever the same identity has another value."""
    alone: bool = False
    """Whether two that are computed at once disturb each other, as measured times do."""


class Codec(Protocol[T]):
    """How values of a kind are files."""

    @property
    def suffix(self) -> str: ...

    def write(self, path: Path, value: T) -> None: ...

    def read(self, path: Path) -> T:
        """What was written; one of :data:`DAMAGED` for anything else."""
        ...


@dataclass(frozen=True)
class Json(Generic[T]):
    """Values as JSON, not-a-number and infinities included."""

    encode: Callable[[T], Any]
    """To dictionaries, lists, strings and numbers."""
    decode: Callable[[Any], T]
    """Back; raises one of :data:`DAMAGED` for what does not fit."""
    suffix: str = ".json"

    def write(self, path: Path, value: T) -> None:
        path.write_text(json.dumps(self.encode(value)), encoding="utf-8")

    def read(self, path: Path) -> T:
        return self.decode(json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Tensors(Generic[T]):
    """Values as named tensors on the CPU, with notes."""

    encode: Callable[[T], tuple[Mapping[str, Tensor], Mapping[str, str]]]
    """To tensors and notes."""
    decode: Callable[[dict[str, Tensor], dict[str, str]], T]
    """Back; raises one of :data:`DAMAGED` for what does not fit."""
    suffix: str = ".safetensors"

    def write(self, path: Path, value: T) -> None:
        tensors, notes = self.encode(value)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=dict(notes))

    def read(self, path: Path) -> T:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            return self.decode(tensors, file.metadata() or {})


class Cache:
    """Of a folder of runs, for results that are computed on a device."""

    def __init__(self, folder: str | Path, device: torch.device) -> None:
        self._root, self._device = Path(folder), device

    def get(
        self,
        kind: EntryKind,
        identity: Mapping[str, Any],
        compute: Callable[[], T],
        codec: Codec[T],
        *,
        fresh: bool = False,
    ) -> T:
        """A result, computed unless it is there; processes that want the same one wait for each other.

        Args:
            identity: everything that changes the value, by name; what :func:`fingerprint` takes.
            compute: called at most once. What a killed process left half-written is gone by then.
            fresh: compute it again.
        """
        key = self.key(kind, identity)
        entry = self._root / "cache" / kind.name / f"{key}{codec.suffix}"
        with self._locked(kind, key):
            remove(*entry.parent.glob(f".{entry.name}.*"))
            if not fresh:
                try:
                    return codec.read(entry)
                except DAMAGED:
                    pass
            value = compute()
            with atomic_path(entry) as temporary:
                codec.write(temporary, value)
        return value

    @contextmanager
    def folder(self, kind: EntryKind, identity: Mapping[str, Any]) -> Iterator[Path]:
        """The folder of an entry that is written bit by bit, as a training with its checkpoints.

        Nobody else is in it until the block ends. What a killed process left half-written is gone, and so are damaged
        files of tensors.
        """
        key = self.key(kind, identity)
        entry = self._root / "cache" / kind.name / key
        with self._locked(kind, key):
            entry.mkdir(parents=True, exist_ok=True)
            remove_leftovers(entry)
            remove(*[path for path in entry.glob("*.safetensors") if _damaged(path)])
            yield entry

    def key(self, kind: EntryKind, identity: Mapping[str, Any]) -> str:
        return fingerprint({
            "kind": kind.name, "revision": kind.revision, "identity": identity, "machine": machine(self._device)
        })  # fmt: skip

    @contextmanager
    def _locked(self, kind: EntryKind, key: str) -> Iterator[None]:
        path = self._root / ".locks" / f"cache-{kind.name}{'' if kind.alone else f'-{key}'}.lock"
        with locked(path, f"cache/{kind.name}/{key}"):
            yield


def machine(device: torch.device) -> dict[str, Any]:
    """What of the machine decides a number to its last digit, the same for all kinds of results.

    Type and product name of the device, which say what code a library runs on it; CPU threads, over which sums are
    shared out (a training is another after a thousand steps); and the versions of torch and transformers.
    """
    own = describe_device(device)
    return {
        "type": own.type, "name": own.name, "threads": own.threads,
        "torch": torch.__version__, "transformers": version("transformers"),
    }  # fmt: skip


def _damaged(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt"):
            return False
    except DAMAGED:
        return True

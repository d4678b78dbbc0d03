"""The one cache: computed once by however many, whole or not there, and computed again where it is damaged."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from prunekit.config.task import TaskConfig
from prunekit.support.cache import Cache, EntryKind, Json, Tensors
from prunekit.support.fingerprints import fingerprint

CPU = torch.device("cpu")
NUMBERS = EntryKind("numbers", revision=1)
PLAIN: Json[Any] = Json(lambda value: value, lambda content: content)
ARRAYS: Tensors[Any] = Tensors(lambda value: ({"x": value}, {"unit": "ms"}), lambda tensors, notes: (tensors, notes))


def never() -> Any:
    raise AssertionError("computed again")


def in_process(work: Callable[[], None]) -> int:
    """The process that does it; 0 is its status if that went well."""
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return process


def status(process: int) -> int:
    return os.waitpid(process, 0)[1]


def test_a_value_is_computed_once_and_found_as_it_was(tmp_path: Path) -> None:
    cache, value = Cache(tmp_path, CPU), {"a": [1, 0.1, None, float("inf"), "ä"]}
    assert cache.get(NUMBERS, {"of": 1}, lambda: value, PLAIN) == value
    assert Cache(tmp_path, CPU).get(NUMBERS, {"of": 1}, never, PLAIN) == value
    assert np.isnan(cache.get(NUMBERS, {"of": 2}, lambda: float("nan"), PLAIN))
    assert np.isnan(cache.get(NUMBERS, {"of": 2}, never, PLAIN))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", "cache"]
    assert sorted(path.suffix for path in (tmp_path / "cache" / "numbers").iterdir()) == [".json", ".json"]


def test_tensors_need_not_be_contiguous_and_keep_their_notes(tmp_path: Path) -> None:
    cache, value = Cache(tmp_path, CPU), torch.arange(6.0, dtype=torch.float64).view(2, 3).T
    cache.get(NUMBERS, {}, lambda: value, ARRAYS)
    tensors, notes = cache.get(NUMBERS, {}, never, ARRAYS)
    assert torch.equal(tensors["x"], value) and tensors["x"].dtype == torch.float64
    assert notes == {"unit": "ms"}


def test_kind_revision_and_identity_are_in_the_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CPU)
    keys = [
        cache.key(NUMBERS, {"a": 1, "b": 2}), cache.key(replace(NUMBERS, name="others"), {"a": 1, "b": 2}),
        cache.key(replace(NUMBERS, revision=2), {"a": 1, "b": 2}), cache.key(NUMBERS, {"a": 2, "b": 1}),
        cache.key(NUMBERS, {"a": 1}),
    ]  # fmt: skip
    assert len({*keys}) == len(keys)
    assert cache.key(NUMBERS, {"b": 2, "a": 1}) == keys[0] == Cache("elsewhere", CPU).key(NUMBERS, {"a": 1, "b": 2})


def test_fresh_is_computed_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CPU)
    cache.get(NUMBERS, {}, lambda: 1, PLAIN)
    assert cache.get(NUMBERS, {}, lambda: 2, PLAIN, fresh=True) == 2
    assert cache.get(NUMBERS, {}, never, PLAIN) == 2


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CPU)
    with pytest.raises(AssertionError, match="computed again"):
        cache.get(NUMBERS, {}, never, PLAIN)
    assert cache.get(NUMBERS, {}, lambda: 1, PLAIN) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]"])
@pytest.mark.parametrize("codec", [Json(lambda value: value, lambda content: content["x"]), ARRAYS])
def test_a_damaged_entry_is_computed_again(content: bytes, codec: Any, tmp_path: Path) -> None:
    cache, value = Cache(tmp_path, CPU), {"x": 1} if isinstance(codec, Json) else torch.ones(3)
    cache.get(NUMBERS, {}, lambda: value, codec)
    [entry] = (tmp_path / "cache" / "numbers").iterdir()
    whole = entry.read_bytes()
    for damaged in (content, whole[:-1]):
        entry.write_bytes(damaged)
        assert cache.get(NUMBERS, {}, lambda: value, codec) is value
        assert entry.read_bytes() == whole


def test_two_processes_get_one_computation(tmp_path: Path) -> None:
    (inside, entered), (release, released) = os.pipe(), os.pipe()
    (asks, asked) = os.pipe()

    def compute() -> int:
        with (tmp_path / "computed").open("a") as file:
            file.write("x")
        os.write(entered, b"1")
        os.read(release, 1)
        return 7

    def first() -> None:
        assert Cache(tmp_path, CPU).get(NUMBERS, {}, compute, PLAIN) == 7

    def second() -> None:
        os.write(asked, b"1")
        assert Cache(tmp_path, CPU).get(NUMBERS, {}, never, PLAIN) == 7

    one = in_process(first)
    os.read(inside, 1)
    [lock] = (tmp_path / ".locks").iterdir()
    with pytest.raises(filelock.Timeout), filelock.FileLock(lock, timeout=0):
        pass
    other = in_process(second)
    os.read(asks, 1)
    os.write(released, b"1")
    assert [status(one), status(other)] == [0, 0]
    assert (tmp_path / "computed").read_text() == "x"
    assert [*(tmp_path / ".locks").iterdir()] == [lock]  # the same for both


def test_a_process_killed_while_it_writes_leaves_nothing_bad(tmp_path: Path) -> None:
    class Dying(Json[Any]):
        def write(self, path: Path, value: Any) -> None:
            path.write_text("[half")
            os.kill(os.getpid(), signal.SIGKILL)

    def die() -> None:
        Cache(tmp_path, CPU).get(NUMBERS, {}, lambda: [1], Dying(PLAIN.encode, PLAIN.decode))

    assert os.WTERMSIG(status(in_process(die))) == signal.SIGKILL
    [left] = (tmp_path / "cache" / "numbers").iterdir()
    assert left.name.endswith(".tmp")
    cache = Cache(tmp_path, CPU)
    other = left.with_name(".another.json.1.tmp")
    other.write_text("of an entry that somebody else writes just now")

    def compute() -> list[int]:
        assert not left.exists()
        return [1]

    assert cache.get(NUMBERS, {}, compute, PLAIN) == [1]
    assert sorted(path.name for path in left.parent.iterdir()) == [other.name, f"{cache.key(NUMBERS, {})}.json"]


def test_entries_of_a_kind_are_computed_side_by_side(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(Cache(tmp_path, CPU).get, NUMBERS, {"of": number}, both.wait, PLAIN) for number in range(2)
        ]
        assert sorted(job.result() for job in jobs) == [0, 1]


def test_what_is_measured_is_measured_alone(tmp_path: Path) -> None:
    kind = EntryKind("times", revision=1, alone=True)

    def measured() -> int:
        [lock] = (tmp_path / ".locks").iterdir()
        with pytest.raises(filelock.Timeout), filelock.FileLock(lock, timeout=0):
            pass
        return 1

    for number in range(2):
        assert Cache(tmp_path, CPU).get(kind, {"of": number}, measured, PLAIN) == 1
    assert len(list((tmp_path / ".locks").iterdir())) == 1


def test_a_folder_is_one_process_at_a_time_and_clean(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CPU)
    with cache.folder(NUMBERS, {"of": 1}) as folder:
        assert folder == tmp_path / "cache" / "numbers" / cache.key(NUMBERS, {"of": 1})
        save_file({"x": torch.ones(2)}, folder / "whole.safetensors")
        (folder / "damaged.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:-1])
        (folder / ".whole.safetensors.1.tmp").write_text("half")
        (folder / "notes.json").write_text(json.dumps(1))
        [lock] = (tmp_path / ".locks").iterdir()
        with pytest.raises(filelock.Timeout), filelock.FileLock(lock, timeout=0):
            pass
    with cache.folder(NUMBERS, {"of": 1}) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["notes.json", "whole.safetensors"]


class TestFingerprints:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ([1, 2], [12]), ("1", 1), (True, 1), (None, "null"), ({"a": 1}, {"b": 1}), (0.1, 0.1 + 2e-17),
            (torch.zeros(2), torch.zeros(2, dtype=torch.int32)), (torch.zeros(2, 3), torch.zeros(3, 2)),
            (torch.zeros(2), np.zeros(2, np.float32)), (torch.zeros(1), -torch.zeros(1)), ([[1], [2]], [[1, 2], []]),
            (torch.float32, torch.float64), (TaskConfig(), TaskConfig(answer_length=31)),
        ],
    )  # fmt: skip
    def test_other_contents(self, one: Any, other: Any) -> None:
        assert fingerprint(one) != fingerprint(other)
        assert fingerprint({"x": [one]}) != fingerprint({"x": [other]})

    def test_the_same_content(self) -> None:
        tensor = torch.arange(6.0).view(2, 3)
        for one, other in (
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ((1, 2), [1, 2]), (np.float64(0.1), 0.1),
            (tensor.T.contiguous(), tensor.T), (tensor.clone().requires_grad_(), tensor),
            (torch.zeros(0), torch.ones(0)),
        ):  # fmt: skip
            assert fingerprint(one) == fingerprint(other)

    def test_a_place_is_no_content(self) -> None:
        with pytest.raises(TypeError, match="PosixPath is no content"):
            fingerprint({"folder": Path("runs")})

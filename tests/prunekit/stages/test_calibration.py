"""Drawing calibration data, and gradients that are taken once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from prunekit.data.batches import Examples, evaluation_batches
from prunekit.data.checked_rows import Rows
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.stages import calibration
from prunekit.stages.calibration import cached_gradients, draw
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.errors import UserError
from tests.support.families import LABELS, PAD, VOCABULARY, tiny


def rows_for(count: int) -> Rows:
    texts: list[tuple[str, ...]] = [(f"text {number}",) for number in range(count)]
    labels = np.random.default_rng(0).integers(0, LABELS, count)
    return Rows(cast(Any, None), "train", texts, labels, count)


def examples_for(count: int = 40) -> Examples:
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 30, count)
    ids = [generator.integers(PAD + 1, VOCABULARY, length).tolist() for length in lengths]
    return Examples(rows_for(count), ids, None, PAD)


def teacher_for(family: str = "distilbert") -> Teacher:
    return Teacher(tiny(family), None, {}, {})


def run_in(folder: Path) -> Run:
    config: Any = SimpleNamespace(run=SimpleNamespace(folder=str(folder), progress=False))
    return Run("prune_fisher", folder, config, cast(Any, None), torch.device("cpu"))


def numbers(rows: Rows) -> list[int]:
    return [int(text.split()[1]) for (text,) in rows.texts]


def test_paper_draws_without_replacement_in_the_original_order() -> None:
    drawn = numbers(draw(rows_for(100), 40, seed=3))
    assert len(drawn) == 40 and drawn == sorted(set(drawn))
    assert drawn == numbers(draw(rows_for(100), 40, seed=3)) != numbers(draw(rows_for(100), 40, seed=4))
    assert numbers(draw(rows_for(30), 2048, seed=3)) == list(range(30))


def test_released_draws_with_replacement_in_the_order_drawn() -> None:
    drawn = draw(rows_for(50), 64, seed=3, variant="released")
    assert numbers(drawn) == np.random.default_rng(3).choice(50, 64).tolist()
    assert len(set(numbers(drawn))) < 50
    assert drawn.labels.tolist() == rows_for(50).labels[numbers(drawn)].tolist()


def test_too_little_data_is_refused() -> None:
    with pytest.raises(UserError, match="calibration_examples: 31 is less than one batch of 32"):
        draw(rows_for(100), 31, seed=0, variant="released")
    for variant in ("paper", "released"):
        with pytest.raises(UserError, match="calibration_examples: 64 of 0 training rows"):
            draw(rows_for(0), 64, seed=0, variant=variant)


def test_gradients_are_taken_once_and_tell_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, examples = teacher_for(), examples_for()
    first = run_in(tmp_path)
    gradients = cached_gradients(teacher, examples, first)
    expected = mask_gradients(teacher.model, evaluation_batches(examples, 40))
    torch.testing.assert_close(gradients.heads, expected.heads, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients.neurons, expected.neurons, rtol=1e-9, atol=1e-12)

    monkeypatch.setattr(calibration, "mask_gradients", None)
    second = run_in(tmp_path)
    again = cached_gradients(teacher_for(), examples_for(), second)
    assert torch.equal(again.heads, gradients.heads) and torch.equal(again.neurons, gradients.neurons)
    assert second.seconds == first.seconds and first.seconds["gradients"] > 0
    cached_gradients(teacher_for(), examples_for(), second)
    assert second.seconds["gradients"] == 2 * first.seconds["gradients"]


def test_another_content_is_another_entry(tmp_path: Path) -> None:
    def entries() -> int:
        return len(list(tmp_path.glob("cache/gradients/*.safetensors")))

    teacher, examples, run = teacher_for(), examples_for(), run_in(tmp_path)
    cached_gradients(teacher, examples, run)
    cached_gradients(teacher, examples, run, "predicted")
    assert entries() == 2
    cached_gradients(teacher, examples, run_in(tmp_path / "other"), padded_group=8)
    assert len(list(tmp_path.glob("other/cache/gradients/*.safetensors"))) == 1
    assert not {path.name for path in tmp_path.glob("cache/gradients/*")} & {
        path.name for path in tmp_path.glob("other/cache/gradients/*.safetensors")
    }
    cached_gradients(teacher, examples.take(range(39, -1, -1)), run)
    assert entries() == 3
    examples.labels[0] = (examples.labels[0] + 1) % LABELS
    cached_gradients(teacher, examples, run)
    assert entries() == 4
    with torch.no_grad():
        teacher.model.get_parameter("classifier.bias")[0] += 1
    cached_gradients(teacher, examples, run)
    assert entries() == 5


def test_padding_of_the_released_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consecutive rows, each group as wide as its longest."""
    given: list[tuple[list[int], int]] = []

    def watched(model: Any, batches: list[Any], *, padding: bool, **others: Any) -> Any:
        assert padding
        given.extend((batch["index"].tolist(), batch["input_ids"].shape[1]) for batch in batches)
        return mask_gradients(model, batches, padding=padding, **others)

    monkeypatch.setattr(calibration, "mask_gradients", watched)
    examples = examples_for(25)
    cached_gradients(teacher_for(), examples, run_in(tmp_path), padded_group=12)
    groups = [list(range(12)), list(range(12, 24)), [24]]
    assert given == [(group, int(examples.lengths[group].max())) for group in groups]


def test_a_damaged_entry_and_what_a_killed_process_left_are_replaced(tmp_path: Path) -> None:
    expected = cached_gradients(teacher_for(), examples_for(), run_in(tmp_path))
    [entry] = tmp_path.glob("cache/gradients/*.safetensors")
    entry.write_bytes(entry.read_bytes()[:100])
    leftover = entry.with_name(f".{entry.name}.123.tmp")
    leftover.write_bytes(b"half")
    found = cached_gradients(teacher_for(), examples_for(), run_in(tmp_path))
    assert torch.equal(found.neurons, expected.neurons)
    assert not leftover.exists()
    assert torch.equal(load_file(entry)["neurons"], expected.neurons)


def test_two_at_once_take_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return mask_gradients(*args, **kwargs)

    monkeypatch.setattr(calibration, "mask_gradients", counted)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(cached_gradients, teacher_for(), examples_for(), run_in(tmp_path)) for _ in range(2)
        ]
        first, second = (job.result() for job in jobs)
    assert torch.equal(first.heads, second.heads)
    assert len(calls) == 1

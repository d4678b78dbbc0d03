"""Windows cover their contexts, and point at the gold answer wherever they have it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from prunekit.data.batches import evaluation_batches, model_inputs, training_order
from prunekit.data.kinds import encode
from prunekit.data.kinds.questions import Windows
from prunekit.data.rows import load_rows
from prunekit.support.errors import UserError
from tests.support.squad_data import generated, squad_task, tokenizer, written


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = written(tmp_path_factory.mktemp("squad"), generated(300))
    found = encode(load_rows(squad_task(files={"train": str(path)}), "train"), tokenizer(), positions=24)
    assert isinstance(found, Windows)
    return found


def of_question(windows: Windows, row: int) -> list[int]:
    return np.flatnonzero(windows.question == row).tolist()


def test_windows_cover_the_whole_context_and_overlap_by_the_stride(windows: Windows) -> None:
    several = 0
    for row, (_, context) in enumerate(windows.rows.texts):
        own = [windows.offsets[window] for window in of_question(windows, row)]
        several += len(own) > 1
        tokens = np.unique(np.concatenate(own), axis=0)
        assert "".join(context[low:high] for low, high in tokens) == context.replace(" ", "")
        for earlier, later in pairwise(own):
            assert np.array_equal(earlier[-5:], later[:5])
    assert 100 < several < 300
    assert windows.question.tolist() == sorted(windows.question)
    assert windows.lengths.max() == 24


def test_the_answer_is_at_its_positions_in_every_window_that_has_it(windows: Windows) -> None:
    found = 0
    for window, row in enumerate(windows.question):
        context, answer = windows.rows.texts[row][1], windows.rows.labels[row][0]
        places, first = windows.offsets[window], windows.first[window]
        start, end = windows.start[window], windows.end[window]
        if places[0, 0] <= answer.start and answer.start + len(answer.text) <= places[-1, 1]:
            assert context[places[start - first, 0] : places[end - first, 1]] == answer.text
            found += 1
        else:
            assert (start, end) == (0, 0)
    assert set(windows.question[windows.start > 0]) == set(range(300))
    assert 300 < found < len(windows)


def test_questions_are_cut_and_stand_in_front(windows: Windows) -> None:
    separator = tokenizer().sep_token_id
    longest = max(ids.index(separator) - 1 for ids in windows.input_ids)
    assert longest == 6
    assert all(ids.index(separator) + 1 == first for ids, first in zip(windows.input_ids, windows.first, strict=True))
    assert windows.token_type_ids is not None
    assert all(types[first] == 1 for types, first in zip(windows.token_type_ids, windows.first, strict=True))


def test_batches_carry_positions_and_places(windows: Windows) -> None:
    batches = evaluation_batches(windows, 16)
    places = torch.cat([batch["index"] for batch in batches])
    assert sorted(places.tolist()) == list(range(len(windows)))
    assert torch.cat([batch["start_positions"] for batch in batches]).tolist() == windows.start[places].tolist()
    assert torch.cat([batch["end_positions"] for batch in batches]).tolist() == windows.end[places].tolist()
    assert set(model_inputs(batches[0])) == {"input_ids", "attention_mask", "token_type_ids"}
    assert sorted(np.concatenate(training_order(windows, 16, 0, 0)).tolist()) == list(range(len(windows)))


def test_taken_windows_bring_their_rows(windows: Windows) -> None:
    chosen = [*of_question(windows, 7), *of_question(windows, 2)]
    few = windows.take(chosen)
    assert few.rows.texts == [windows.rows.texts[2], windows.rows.texts[7]]
    assert [few.rows.texts[row] for row in few.question] == [windows.rows.texts[windows.question[i]] for i in chosen]
    assert few.input_ids == [windows.input_ids[i] for i in chosen]
    assert few.start.tolist() == windows.start[chosen].tolist()


def test_answers_inside_words_take_the_whole_token(tmp_path: Path) -> None:
    rows = [{"question": "w1", "context": "w2 w33w34. w5", "answers": {"text": ["3w34"], "answer_start": [5]}}]
    found = encode(load_rows(squad_task(files={"train": str(written(tmp_path, rows))}), "train"), tokenizer())
    assert isinstance(found, Windows)
    assert (found.start[0] - found.first[0], found.end[0] - found.first[0]) == (1, 1)


def test_no_answer_points_at_the_first_token(tmp_path: Path) -> None:
    rows = [*generated(1), {"question": "w1", "context": "w2", "answers": {"text": [], "answer_start": []}}]
    task = squad_task(files={"train": str(written(tmp_path, rows))}, no_answer=0.0)
    found = encode(load_rows(task, "train"), tokenizer())
    assert isinstance(found, Windows)
    assert (found.start[-1], found.end[-1]) == (0, 0) and found.start.max() > 0


def test_windows_longer_than_the_model_are_refused(windows: Windows) -> None:
    with pytest.raises(UserError, match=r"task\.max_length: 24 is more than the 20 positions of this model"):
        encode(windows.rows, tokenizer(), positions=20)

"""Answers from start and end scores, and their exact match and F1 as SQuAD defines them.

Rajpurkar et al. 2016, Sec. 6.1 (exact match and F1, over all gold answers), and 2018 (questions without an answer).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from prunekit.data.checked_rows import Rows

if TYPE_CHECKING:
    from prunekit.data.kinds.questions import Windows

CANDIDATES = 20
"""Starts and ends of a window that are combined, the most likely ones of the context."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True)
class Spans:
    """The best span of each window, (window,) each."""

    score: Tensor
    """Start score plus end score; -inf where no candidates make a span."""
    start: Tensor
    """First token of the span in the window."""
    end: Tensor
    """Last token."""
    nothing: Tensor
    """Score of no answer: that of the first token, [CLS], as start and as end."""


def best_spans(start: Tensor, end: Tensor, context: Tensor, longest: int) -> Spans:
    """The best span of every window among the most likely starts and ends.

    Args:
        start: scores, (window, token).
        end: scores, (window, token).
        context: bool, (window, token): tokens that an answer may have.
        longest: tokens of an answer, at most.
    """
    count = min(CANDIDATES, start.shape[1])
    starts, first = start.masked_fill(~(context & start.isfinite()), -torch.inf).topk(count)
    ends, last = end.masked_fill(~(context & end.isfinite()), -torch.inf).topk(count)
    length = last[:, None, :] - first[:, :, None] + 1
    scores = (starts[:, :, None] + ends[:, None, :]).masked_fill((length < 1) | (length > longest), -torch.inf)
    score, best = scores.flatten(1).max(1)
    return Spans(
        score,
        first.gather(1, best[:, None] // count)[:, 0],
        last.gather(1, best[:, None] % count)[:, 0],
        start[:, 0] + end[:, 0],
    )


def answers(examples: Windows, spans: Spans) -> list[str]:
    """The text of :func:`answer_places`, one a question."""
    return texts_at(examples.rows, answer_places(examples, spans))


def texts_at(rows: Rows, places: np.ndarray) -> list[str]:
    """What the contexts have there; ``places`` as :func:`answer_places` returns them."""
    pairs = zip(rows.texts, places.tolist(), strict=True)
    return [context[low:high] for (_, context), (low, high) in pairs]


def answer_places(examples: Windows, spans: Spans) -> np.ndarray:
    """One answer a question: the best span over its windows, or nothing.

    Args:
        spans: of all windows, in their order.

    Returns:
        its first character in the context and the one after its last, (question, 2), without spaces around it; equal
        ones where there is no answer.
    """
    score, nothing = spans.score.double().numpy(), spans.nothing.double().numpy()
    best: dict[int, int] = {}
    no_answer = np.full(len(examples.rows), np.inf)
    np.fmin.at(no_answer, examples.question, nothing)
    for window, question in enumerate(examples.question.tolist()):
        if question not in best or score[window] > score[best[question]]:
            best[question] = window
    threshold = examples.rows.task.no_answer
    found = np.zeros((len(examples.rows), 2), np.int64)
    for question, (_, context) in enumerate(examples.rows.texts):
        window = best[question]
        refused = threshold is not None and no_answer[question] - score[window] > threshold
        if refused or score[window] == -np.inf:
            continue
        places = examples.offsets[window]
        low = places[int(spans.start[window]) - examples.first[window], 0]
        high = places[int(spans.end[window]) - examples.first[window], 1]
        text = context[low:high]
        start = int(low) + len(text) - len(text.lstrip())
        found[question] = start, start + len(text.strip())
    return found


def question_scores(rows: Rows, texts: list[str]) -> dict[str, np.ndarray]:
    """``exact_match`` and ``answer_f1`` of every question, (question,) in [0, 1], best over its gold answers."""
    exact, f1 = np.zeros(len(rows)), np.zeros(len(rows))
    for place, (answer, gold) in enumerate(zip(texts, rows.labels, strict=True)):
        references = {normalised(text) for text, _ in gold} or {""}
        own = normalised(answer)
        exact[place] = own in references
        f1[place] = max(_f1(own.split(), reference.split()) for reference in references)
    return {"exact_match": exact, "answer_f1": f1}


def normalised(text: str) -> str:
    """Lower case without punctuation (ASCII), articles and superfluous spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = (Counter(answer) & Counter(reference)).total()
    return 2 * common / (len(answer) + len(reference))


def resampled_mean(scores: np.ndarray, _labels: Any, counts: np.ndarray) -> np.ndarray:
    """Mean score on resampled questions, in the form of :data:`prunekit.support.statistics.ResampledMetric`."""
    return counts @ scores / counts.sum(1)

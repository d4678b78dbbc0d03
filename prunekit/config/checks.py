"""Checks of single settings. Each yields the problem it finds, named and with what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prunekit.config.choices import RUNTIMES

LARGEST_SIZE = 10**7
"""Far above every model's, and far below what a table of floats fits into memory for."""
MEANT = 4
"""Letters of a word that an option has inside, from which it is a part of its name and no accident."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SIZES = re.compile(r"(_size|_dim|_layers|_heads|_embeddings|_groups|_num)$|^(dim|d_model|hidden_dim)$")


def near(word: str, options: Iterable[str], otherwise: str | None = None) -> str:
    """A hint with the closest of the options, in whatever case: ``did you mean 'mnli'?`` Where none is close, the one
    or two that contain the word, or else all of them, or what is given for that."""
    options = [str(option) for option in options]
    close = difflib.get_close_matches(str(word), options, n=2, cutoff=0.6)
    if not close:
        lower, plain = {option.casefold(): option for option in reversed(options)}, str(word).casefold()
        found = [plain] if plain in lower else difflib.get_close_matches(plain, lower, n=2, cutoff=0.6)
        close = [lower[match] for match in found]
        if not close and len(plain) >= MEANT:
            close = [option for option in options if plain in option.casefold()]
    if 0 < len(close) <= 2:
        return "did you mean " + " or ".join(repr(option) for option in close) + "?"
    return "choose from " + ", ".join(sorted(options)) if otherwise is None else otherwise


class UnknownChoice(str):
    """The problem of a setting that is not one of its choices, which come with it: ``--help`` lists them."""

    name: str
    options: tuple[str, ...]


def one_line(text: str) -> str:
    """With escapes for what would break the line: names in a message are the user's."""
    return _BREAKS.sub(lambda match: repr(match[0])[1:-1], text)


def one_of(name: str, value: str, options: Iterable[str]) -> Iterator[str]:
    options = tuple(map(str, options))
    if value not in options:
        problem = UnknownChoice(f"{name}: {value!r} is unknown, {near(value, options)}")
        problem.name, problem.options = name, options
        yield problem


def twice(name: str, values: Sequence[Any]) -> Iterator[str]:
    """What stands twice in a list would be measured twice and counted as two."""
    for place, value in enumerate(values):
        if value in values[:place]:
            yield f"{name}: {value} stands twice in {values}, once is enough"


def runtime_problems(name: str, runtimes: Sequence[str], dtype: str, device: str) -> Iterator[str]:
    """Of the runtimes that models are timed in, a setting of ``name``."""
    for runtime in runtimes:
        yield from one_of(name, runtime, RUNTIMES)
    if any("onnx" in runtime for runtime in runtimes) and (dtype != "float32" or "cuda" in device):
        yield f"{name}: ONNX Runtime is timed on CPUs, from float32; use dtype=float32 and run.device=cpu"


def shares_threads(runtimes: Sequence[str], threads: int | str | None) -> bool:
    """Whether models are timed in turn in ONNX Runtime with several threads, or as many as there are. Verbs are at a
    revision more then: the threads of one graph that wait have left the CPUs to what is timed next only since."""
    return threads != 1 and any("onnx" in runtime for runtime in runtimes)


def shape_problems(shape: Mapping[str, Any]) -> Iterator[str]:
    """Sizes of a model under whatever names a configuration of transformers has for them."""
    for name, value in shape.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if _SIZES.search(str(name)):
            if not (isinstance(value, int) and 1 <= value <= LARGEST_SIZE):
                yield f"shape.{name}: {value} is no size, give a whole number of 1 to {LARGEST_SIZE:,}"
        elif "dropout" in str(name) or "layerdrop" in str(name):
            if not 0 <= value <= 1:
                yield f"shape.{name}: {value} is outside [0, 1]"
        elif not 0 <= value <= LARGEST_SIZE:
            yield f"shape.{name}: {value} is outside [0, {LARGEST_SIZE:,}]"

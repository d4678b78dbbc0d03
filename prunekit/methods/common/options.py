"""The options of a method as its file declares them: read and not imported, which takes torch."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prunekit import methods
from prunekit.config import choices, ranges
from prunekit.config.checks import near
from prunekit.config.ranges import argument
from prunekit.support.errors import UserError

BASES = ("Method", "ScoredMethod")
"""Classes without options; what others have is seen when the method is made."""
RULES = ("within", "chosen_from")
"""That a field is declared by, of :mod:`prunekit.config.ranges`."""


def unknown_option(method: str, option: str, known: Iterable[str]) -> str:
    """What is said of an option that a method does not have, with those that it has."""
    known = list(known)
    return f"there is no such option of {method}, {near(option, known) if known else f'{method} has none'}"


def option_problems(method: str, options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the options of a method, as far as its file alone says: names, types, ranges."""
    declared = declared_options(method)
    if declared is None:
        return
    for option, value in options.items():
        if option not in declared:
            yield f"options.{option}: {unknown_option(method, option, declared)}"
        elif (item := declared[option]) is not None:
            try:
                argument(item, value, "options.")
            except UserError as error:
                yield str(error)


def declared_options(method: str) -> dict[str, dataclasses.Field[Any] | None] | None:
    """The fields of a method's class, without those whose default or range is more than names and numbers (None); None
    for a class with other bases, and where there is no one class."""
    own = class_of(method)
    if own is None or any(not isinstance(base, ast.Name) or base.id not in BASES for base in own.bases):
        return None
    return {
        name: _field(name, node.value)
        for name, node in _annotated(own) if not ast.unparse(node.annotation).startswith("ClassVar")
    }  # fmt: skip


def declared_flag(method: str, name: str) -> bool | None:
    """What a method's class says of itself by yes or no, as ``labels``; None where its file alone does not say it."""
    own = class_of(method)
    value = next((node.value for key, node in _annotated(own) if key == name), None) if own else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else None


def label_problems(method: str, labels: str) -> Iterator[str]:
    """Of a method that uses no labels: whose they are would make another run of the same model."""
    if labels == "predicted":
        yield f"labels: method={method} looks at no label, use labels=gold"


def file_of(method: str) -> str:
    """The file of a method, as messages name it."""
    return f"prunekit/methods/{method}.py"


def class_of(method: str) -> ast.ClassDef | None:
    """The class of a method, which names its paper, as its file has it; None where there is not exactly one.

    Raises:
        UserError: a file that is no Python.
    """
    path = next((file for folder in methods.__path__ if (file := Path(folder, f"{method}.py")).is_file()), None)
    try:
        body = [] if path is None else ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UserError(f"{file_of(method)}{line}: {error.msg}") from error
    except ValueError as error:
        raise UserError(f"{file_of(method)}: {error}") from error
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    own = [node for node in classes if any(name == "paper" for name, _ in _annotated(node))]
    return own[0] if len(own) == 1 else None


def _annotated(owner: ast.ClassDef) -> Iterator[tuple[str, ast.AnnAssign]]:
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def _field(name: str, node: ast.expr | None) -> dataclasses.Field[Any] | None:
    if node is None:
        return None
    try:
        item = _ruled(node) if isinstance(node, ast.Call) else dataclasses.field(default=ast.literal_eval(node))
    except (ValueError, TypeError, AttributeError):
        return None
    item.name = name
    return item if isinstance(item.default, bool | int | float | str) else None


def _ruled(node: ast.Call) -> dataclasses.Field[Any]:
    """A field with the range that it is declared with."""
    if not isinstance(node.func, ast.Name) or node.func.id not in RULES:
        raise ValueError
    keywords = {str(word.arg): _value(word.value) for word in node.keywords}
    item: dataclasses.Field[Any] = getattr(ranges, node.func.id)(*map(_value, node.args), **keywords)
    return item


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return getattr(ranges if hasattr(ranges, node.id) else choices, node.id)
    return ast.literal_eval(node)

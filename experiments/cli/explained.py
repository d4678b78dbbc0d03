"""Settings with their meaning, for ``--help``, completion and docs/settings.md: read from the dataclasses themselves.

A field's meaning is the text below it in the source, its choices are what its class checks it against.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from prunekit.config.checks import UnknownChoice
from prunekit.methods.common.options import class_of
from prunekit.methods.common.settings import MethodConfig

WORDS = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
NO_CHOICE = "\0"
"""A text that no setting may have, so that a check says what it may."""


@dataclass(frozen=True)
class ExplainedSetting:
    """One setting of a configuration."""

    name: str
    """With its section, for example ``task.files``."""
    kind: str
    """Its type in words."""
    value: Any
    meaning: str
    choices: tuple[str, ...]
    """What it may be, in the order of its check; none where it is not chosen from a list."""
    owner: str
    """Class whose field it is."""

    @property
    def text(self) -> str:
        """Its meaning, and its choices unless the meaning names them all."""
        if all(f"``{choice}``" in self.meaning for choice in self.choices):
            return self.meaning
        return f"{self.meaning} One of {', '.join(self.choices)}."


@dataclass(frozen=True)
class SettingsSection:
    """Settings with a common prefix."""

    name: str
    """The prefix without its dot; empty for those of a verb itself."""
    owner: str
    """The section's class."""
    meaning: str
    settings: tuple[ExplainedSetting, ...]


def sections(config: Any, name: str = "", meaning: str = "") -> Iterator[SettingsSection]:
    """The sections of a configuration: its own settings first, those of nearer classes before inherited ones.

    Args:
        config: an instance of a dataclass; its values are those that the settings have.
    """
    prefix = f"{name}." if name else ""
    fields = {field.name: field for field in dataclasses.fields(config)}
    below, settings = [], []
    for owner in type(config).__mro__[:-1]:
        for key, text in meanings(owner).items():
            if (field := fields.pop(key, None)) is None:
                continue
            value = getattr(config, key)
            if dataclasses.is_dataclass(value):
                below.append((f"{prefix}{key}", value, text))
            else:
                kind = in_words(str(field.type))
                found = choices(config, key)
                settings.append(ExplainedSetting(f"{prefix}{key}", kind, value, text, found, owner.__name__))
    if settings:
        yield SettingsSection(name, type(config).__name__, meaning, tuple(settings))
    if isinstance(config, MethodConfig):
        yield from method_options(config.name, config.options, name)
    for section in below:
        yield from sections(section[1], section[0], section[2])


def method_options(method: str, given: Mapping[str, Any], name: str = "method") -> Iterator[SettingsSection]:
    """The options of a method; nothing where it has none. Its file is read and not imported, which takes torch.

    Args:
        given: values, in place of the defaults.
        name: of the section of settings that chooses the method.
    """
    if (own := class_of(method)) is None:
        return
    settings = tuple(
        ExplainedSetting(
            f"{name}.options.{key}", in_words(ast.unparse(field.annotation)), given.get(key, _default(field)), text, (),
            own.name,
        )
        for key, (field, text) in _declared(own).items()
    )  # fmt: skip
    if settings:
        yield SettingsSection(f"{name}.options", own.name, f"Options of {name}={method}.", settings)


@cache
def meanings(owner: type) -> dict[str, str]:
    """Of each field that a class itself declares, the text below it on one line; empty where there is none."""
    path = getattr(sys.modules[owner.__module__], "__file__", None)
    if path is None or not dataclasses.is_dataclass(owner):
        return {}
    body = ast.parse(Path(path).read_text(encoding="utf-8")).body
    [own] = [node for node in body if isinstance(node, ast.ClassDef) and node.name == owner.__name__]
    return {name: text for name, (_, text) in _declared(own).items()}


def _declared(owner: ast.ClassDef) -> dict[str, tuple[ast.AnnAssign, str]]:
    """The fields of a class, each with the text below it on one line."""
    found = {}
    for node, after in zip(owner.body, [*owner.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or ast.unparse(node.annotation).startswith("ClassVar"):
            continue
        if isinstance(node.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[node.target.id] = (node, " ".join(str(text).split()))
    return found


def _default(field: ast.AnnAssign) -> Any:
    """A field's own, also where it is the first argument of a range: ``within(0.01, 0, 1)``; as it is written where it
    is no literal."""
    value = field.value or ast.Constant(None)
    if isinstance(value, ast.Call) and value.args:
        value = value.args[0]
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def choices(config: Any, key: str) -> tuple[str, ...]:
    """What a check of the configuration's class allows for a setting; none where it allows any text or number."""
    value, probe = getattr(config, key), copy.copy(config)
    setattr(probe, key, [NO_CHOICE] if isinstance(value, list) else NO_CHOICE)
    try:
        for problem in probe.problems():
            if isinstance(problem, UnknownChoice) and problem.name == key:
                return problem.options
    except (AttributeError, TypeError, ValueError):
        pass  # a check of a number does not take a text
    return ()


def in_words(kind: str) -> str:
    """A type as a user of YAML would say it.

    >>> in_words("list[int] | None")
    'list of integers or null'
    >>> in_words("int | str | None")
    'integer, text or null'
    >>> in_words("list[list[Any]]")
    'list of lists'
    """
    if re.fullmatch(r"\w+( \| \w+)+", kind):
        *others, last = ("null" if one == "None" else WORDS.get(one, one) for one in kind.split(" | "))
        return f"{', '.join(others)} or {last}"
    plain = kind.removesuffix(" | None")
    null = " or null" if plain != kind else ""
    if plain == "list[Any]":
        return f"list{null}"
    if found := re.fullmatch(r"list\[(.+)\]", plain):
        inner = in_words(found[1])
        return f"list of {inner.replace('list', 'lists', 1) if inner.startswith('list') else inner + 's'}{null}"
    return ("mapping" if plain.startswith("dict[") else WORDS.get(plain, plain)) + null


def shown(value: Any) -> str:
    """A value as it is written on a command line.

    >>> shown({"a": [None, True, 0.5]})
    '{a: [null, true, 0.5]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if str(value) else "''"

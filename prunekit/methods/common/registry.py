"""The methods that there are: a method is registered by its file in ``prunekit/methods/``."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit import methods
from prunekit.config.checks import near
from prunekit.config.ranges import argument
from prunekit.methods.common.contract import contract_problems
from prunekit.methods.common.options import class_of, file_of, unknown_option
from prunekit.support.errors import UserError, first_line

if TYPE_CHECKING:
    from prunekit.methods.common.method import Method


def names() -> tuple[str, ...]:
    """Of all methods, as their files are called."""
    files = (path for folder in methods.__path__ for path in Path(folder).glob("*.py"))
    return tuple(sorted({path.stem for path in files if not path.stem.startswith("_")}))


def method_class(name: str) -> type[Method]:
    """The class of ``prunekit/methods/NAME.py``.

    Raises:
        UserError: an unknown name (with near ones), a file that cannot be imported, or one that is not what
            :func:`prunekit.methods.common.contract.contract_problems` holds it to.
    """
    from prunekit.methods.common.method import Method
    from prunekit.models.families.table import ENCODERS

    if name not in names():
        raise UserError(f"method: {name!r} is unknown, {near(name, names())}")
    class_of(name)  # what cannot be read is said with its line
    where = file_of(name)
    try:
        module = importlib.import_module(f"prunekit.methods.{name}")
    except Exception as error:  # whatever a file of others does while it is imported
        raise UserError(f"{where}: it cannot be imported, {type(error).__name__}: {first_line(error)}") from error
    own = [
        one for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Method) and one.__module__ == module.__name__
    ]  # fmt: skip
    if len(own) != 1:
        raise UserError(f"{where}: it has {len(own)} classes that are a Method, one is needed")
    [found] = own
    for problem in contract_problems(found, ENCODERS):
        raise UserError(f"{where}: {problem}")
    return found


def method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """A method with its options.

    Raises:
        UserError: as :func:`method_class`, an unknown option (with near ones), or one outside its range.
    """
    found: Any = method_class(name)
    known = {item.name: item for item in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
    if not isinstance(options, Mapping | None):
        raise UserError(f"method.options: {options!r} is a {type(options).__name__}, give options by name")
    chosen = {}
    for option, value in (options or {}).items():
        if option not in known:
            raise UserError(f"method.options.{option}: {unknown_option(name, option, known)}")
        chosen[option] = argument(known[option], value, "method.options.")
    made: Method = found(**chosen)
    return made

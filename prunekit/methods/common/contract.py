"""What a method's class has to say of itself, and what is wrong where it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from prunekit.config.checks import near
from prunekit.config.choices import ALL_BUDGETS, REFINEMENTS, REFITS

if TYPE_CHECKING:
    from prunekit.methods.common.method import Method

PARTS = {"paper": str, "labels": bool, "gradients": bool}
"""That every method names."""
FLAGS = ("training", "uniform")
UNITS = ("heads", "neurons")
OPTIONS = (bool, int, float, str)
"""Types of the defaults of options, by which values are read."""


def contract_problems(own: type[Method], families: Collection[str]) -> Iterator[str]:
    """What is wrong with a class, a line each.

    Args:
        families: all that there are.
    """
    missing = [
        *(f"{part} ({kind.__name__})" for part, kind in PARTS.items() if type(getattr(own, part, None)) is not kind),
        *(f"{part}()" for part in sorted(own.__abstractmethods__)),
    ]
    if missing:
        yield f"{own.__name__} lacks {', '.join(missing)}"
    for flag in FLAGS:
        if type(getattr(own, flag)) is not bool:
            yield f"{flag}: {getattr(own, flag)!r} is neither True nor False"
    yield from _choice_problems("budgets", own.budgets, ALL_BUDGETS)
    yield from _choice_problems("refinements", own.refinements, REFINEMENTS)
    yield from _choice_problems("refits", own.refits, REFITS)
    yield from _choice_problems("units", own.units, UNITS)
    if own.families is not None:
        yield from _choice_problems("families", own.families, families, "None where it can prune all")
    yield from _option_problems(own)


def _choice_problems(name: str, given: Any, known: Collection[str], otherwise: str = "") -> Iterator[str]:
    """Of a tuple of some names among those that there are."""
    some = f"{name} = ({next(iter(known))!r},)"
    if not isinstance(given, tuple):
        written = f"({given!r},)" if isinstance(given, str) else "a tuple of names"
        yield f"{name}: {given!r} is no tuple, write {written}"
    elif not given:
        yield f"{name}: it is empty, name one at least, as in {some}{f', or {otherwise}' * bool(otherwise)}"
    else:
        for one in given:
            if one not in known:
                yield f"{name}: {one!r} is unknown, {near(one, known)}"
            elif given.count(one) > 1:
                yield f"{name}: {one!r} stands twice, once is enough"


def _option_problems(own: Any) -> Iterator[str]:
    """Of options: a default tells the type."""
    if "__dataclass_fields__" not in vars(own):  # a base class may have them
        bare = [name for name, kind in vars(own).get("__annotations__", {}).items() if "ClassVar" not in str(kind)]
        if bare:
            yield f"option {bare[0]}: it is none without @dataclass(frozen=True, kw_only=True) above {own.__name__}"
        return
    for item in dataclasses.fields(own):
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            yield f"option {item.name}: it has no default, give it a number, a text, True or False"
        elif not isinstance(item.default, OPTIONS):
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            yield f"option {item.name}: its default {default!r} tells no type, give it a number, a text, True or False"

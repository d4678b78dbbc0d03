"""The cells of a sweep: what a preset sweeps and what the command line says of it.

A preset's sweep is Hydra's ``hydra.sweeper.params``, a product of settings with values as on the command line. Where
one product does not do, ``hydra.sweeper.parts`` lists several, each beside ``params``; and a key may join settings that
go together, with a row of values for each cell: ``seed, train.seed: [[0, 0], [1, 1]]``. A part has no cells where a
setting has no values: a scale may have none for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from prunekit.methods.common import registry
from prunekit.support.errors import UserError

Cell = dict[str, str]
"""Settings of one run and their values, as text."""
Row = tuple[str, ...]
Part = dict[Row, list[Row]]
"""A product: settings that go together, most of them alone, and their values."""


def cells_of(parts: Sequence[Part]) -> list[Cell]:
    """Every cell once, in the order of Hydra's own sweeper."""
    cells: list[Cell] = []
    for part in parts:
        for rows in itertools.product(*part.values()):
            cell = dict(pair for keys, row in zip(part, rows, strict=True) for pair in zip(keys, row, strict=True))
            if cell not in cells:
                cells.append(cell)
    return cells


def parts_of(sweeper: DictConfig) -> list[Part]:
    """What ``hydra.sweeper`` of a composed configuration sweeps; none where it has no ``params`` and no ``parts``."""
    common: dict[str, Any] = _plain(sweeper.get("params")) or {}
    parts: list[dict[str, Any]] = _plain(sweeper.get("parts")) or ([{}] if common else [])
    return [{_keys(key): _rows(key, value) for key, value in {**common, **own}.items()} for own in parts]


def narrowed(parts: Sequence[Part], given: Sequence[str]) -> list[Part]:
    """The parts with the values that a command line gives.

    Of a setting that the sweep names, a value goes to the parts that have it, and where none has it to all that name
    the setting; a part that is left without values goes. Of joined settings the rows with such values stay, and where
    all of them are given, the product of these. A setting that a part does not name is added to it.

    Args:
        given: overrides; with commas a sweep of its own.
    """
    wanted: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(given)):
        wanted[override.get_key_element()] = _values(override)  # given twice: the last, at the place of the first
    apart = [dict(_taken_apart(part, wanted.keys())) for part in parts]
    had = {key: [{row[keys.index(key)] for keys, rows in part.items() if key in keys for row in rows} for part in apart]
           for key in wanted}  # fmt: skip
    for key, values in wanted.items():
        known = set().union(*had[key])
        for part, own in zip(apart, had[key], strict=True):
            keys = next((keys for keys in part if key in keys), (key,))
            taken = [value for value in values if not own or value in own or value not in known]
            part[keys] = _with(part[keys], keys.index(key), taken) if len(keys) > 1 else [(value,) for value in taken]
    return [part for part in apart if all(part.values())]


def names_of(cells: Sequence[Cell]) -> list[str]:
    """What tells every cell from the others, for example ``constraint=0.3 seed=1``."""
    keys = dict.fromkeys(key for cell in cells for key in cell)
    differ = {key for key in keys if len({cell.get(key) for cell in cells}) > 1}
    return [" ".join(f"{key}={value}" for key, value in cell.items() if key in differ) for cell in cells]


def shown(part: Part) -> str:
    """A part on one line, without the preset's name."""

    def text(rows: list[Row]) -> str:
        return ",".join(row[0] if len(row) == 1 else f"[{','.join(row)}]" for row in rows)

    return " ".join(f"{','.join(keys)}={text(rows)}" for keys, rows in part.items() if keys != ("experiment",))


def register_resolvers() -> None:
    """What presets take from lists of the scale."""
    resolvers: dict[str, Callable[..., Any]] = {
        "sweep": _sweep, "first": _first, "spread": _spread, "pairs": _pairs, "alone": _alone,
        "methods": _methods,
    }  # fmt: skip
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _sweep(values: Sequence[Any], otherwise: str = "") -> str:
    """``${sweep:${scale.tasks}}``: every value of a list."""
    return ",".join(map(_text, values)) or otherwise


def _first(values: Sequence[Any] | str | None, otherwise: str = "") -> str:
    """``${first:${scale.tasks},demo}``: the first value of a list, or a single one; else another."""
    several = [values] if isinstance(values, str) and values else list(values or [])
    return _text(several[0] if several else otherwise)


def _spread(many: Sequence[Any], few: Sequence[Any]) -> list[list[Any]]:
    """``${spread:${scale.random_seeds},${scale.teacher_seeds}}``: each of many beside one of few, in turn."""
    return [[value, few[number % len(few)]] for number, value in enumerate(many)]


def _pairs(mapping: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
    """``${pairs:${scale.sparsities}}``: each key beside each of its values."""
    return [[key, value] for key, values in mapping.items() for value in values]


def _alone(mapping: Mapping[str, Any]) -> list[list[Any]]:
    """``${alone:${scale.alone}}``: each key as a list of one beside its value."""
    return [[[key], value] for key, value in mapping.items()]


def _methods() -> str:
    """``${methods:}``: every method that there is a file of."""
    return ",".join(registry.names())


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _keys(key: str) -> Row:
    return tuple(name.strip() for name in key.split(","))


def _rows(key: str, value: Any) -> list[Row]:
    names = _keys(key)
    if len(names) > 1:
        return [tuple(map(_text, row)) for row in value or []]
    text = _text(value)
    [override] = OverridesParser.create().parse_overrides([f"{key}={text}"]) if text else [None]
    return [(value,) for value in _values(override)] if override else []


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: an interval has no values, write them out or as range(a,b)")
    return list(override.sweep_string_iterator())


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _taken_apart(part: Part, given: Iterable[str]) -> Iterator[tuple[Row, list[Row]]]:
    """The part with settings by themselves that are joined in it and are all given."""
    for keys, rows in part.items():
        if len(keys) > 1 and set(keys) <= set(given):
            for place, key in enumerate(keys):
                yield (key,), [(value,) for value in dict.fromkeys(row[place] for row in rows)]
        else:
            yield keys, rows


def _with(rows: list[Row], place: int, values: Sequence[str]) -> list[Row]:
    """The rows with one of the values at a place; those with a value that none has there, put into every row."""
    known = {row[place] for row in rows}
    wider = [row if value in known else (*row[:place], value, *row[place + 1 :])
             for value in values for row in rows if row[place] == value or value not in known]  # fmt: skip
    return list(dict.fromkeys(wider))

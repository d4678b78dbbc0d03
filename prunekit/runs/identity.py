"""Which run it is: a hash of what changes the result. The same configuration is never run twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import MISSING
from typing import Any, cast

from prunekit.config.sections import Settings
from prunekit.support.files import plain

NOT_IDENTITY = ("run", "scale")
"""Sections that change no number: where and how to run, and the sizes that other sections were resolved from."""

FORMER_NAMES = {"time_decoding": "time_inference"}
"""What a verb was called when its first runs were made: their ids, and so all of its ids, are of that name."""


def run_id(
    verb: str,
    revision: int,
    config: Settings,
    hardware: dict[str, Any] | None = None,
    content: dict[str, str] | None = None,
) -> str:
    """Hash of what changes the result, whatever the order of the keys.

    Settings at their default are left out: a new setting whose default keeps the old behaviour makes no old run
    another one. (Whoever changes a default raises the verb's revision.)

    Args:
        revision: of the verb, raised whenever its numbers change for the same configuration.
        hardware: given by verbs that measure time or memory: another machine is another run.
        content: of local input, as :func:`prunekit.runs.local_input.local_input` says it; none where there is none.
    """
    kept = {name: value for name, value in chosen(config).items() if name not in NOT_IDENTITY}
    identity = {"verb": FORMER_NAMES.get(verb, verb), "revision": revision, "config": kept, "hardware": hardware}
    if content:  # only then: ids without are as they were
        identity["input"] = content
    return hashlib.sha256(json.dumps(plain(identity), sort_keys=True).encode()).hexdigest()[:16]


def chosen(config: Any) -> dict[str, Any]:
    """The settings of a configuration that differ from their defaults, section by section."""
    settings = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            if inner := chosen(value):
                settings[item.name] = inner
        else:
            default = item.default if item.default is not MISSING else cast(Any, item.default_factory)()
            if value != default:
                settings[item.name] = value
    return settings

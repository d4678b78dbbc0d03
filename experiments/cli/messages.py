"""One line for every failure that a user can mend.

Hydra and OmegaConf say in many lines, and in prose alone, what was wrong with a command line: the expressions here read
it, and each has a test against the real error.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from prunekit.config.checks import near
from prunekit.support.errors import UserError

ONE_PRESET = "experiment: each preset has a sweep of its own, so one at a time; `reproduce` runs several"
UNWRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)

NO_PRESET = re.compile(r"Could not find '(?P<group>[^']+)/(?P<choice>[^'/]+)'")
"""Hydra: a file of a group that is not there."""
NO_GROUP = re.compile(r"Could not override '(?P<name>[^']+)'")
"""Hydra: neither a group nor a setting."""
NO_KEY = re.compile(r"Key '(?P<name>[^']+)' (?:is not in struct|not in '\w+')")
"""OmegaConf: a setting that the schema does not have."""
FULL_KEY = re.compile(r"full_key: (?P<name>\S+)")
"""OmegaConf: the dotted name of the setting that it speaks of, on a line of its own."""
AMBIGUOUS = re.compile(r"Ambiguous value for argument '(?P<override>[^']+)'")
"""Hydra: several values without a sweep."""
NEEDS_SWEEP = re.compile(r"Sweep parameters '(?P<override>[^']+)' requires --multirun")
"""The same for a range or a choice."""


Settings = Callable[[], list[str]]
Choices = Callable[[str], list[str]]


def user_line(error: BaseException, settings: Settings, choices: Choices) -> str | None:
    """One line for an error that the user can mend, None for a defect of ours.

    Args:
        settings: all dotted names, asked for near matches.
        choices: the files of a group, likewise.
    """
    for link in chain(error):
        if isinstance(link, UserError):
            return str(link)
    for link in chain(error):
        if "No space left on device" in str(link) or "Disk quota exceeded" in str(link):
            return f"the disk is full ({first_line(link)}); free space, the same command goes on from here"
        if isinstance(link, OSError) and link.errno in UNWRITABLE:
            why = os.strerror(link.errno or 0)
            return f"run.folder: cannot write {link.filename} ({why}); choose another run.folder"
        if isinstance(link, BrokenExecutor):
            return (
                "a worker was killed, and the sweep with it (out of memory? hydra.launcher.n_jobs=1 runs one cell at a "
                "time); the same command runs what is missing"
            )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return composition_line(error, settings, choices)
    return None


def composition_line(error: BaseException, settings: Settings, choices: Choices) -> str:
    """Hydra's message about a wrong override in one line, with near matches for a mistyped name."""
    text = "\n".join(str(link) for link in chain(error))
    key = FULL_KEY.search(text)
    if match := NO_PRESET.search(text):
        group, choice = match["group"], match["choice"]
        return f"{group}={choice}: there is no such preset, {near(choice, choices(group))}"
    if match := NO_KEY.search(text):
        name = key["name"] if key else match["name"]
        return f"{name}: there is no such setting, {near(name, settings())}"
    if match := NO_GROUP.search(text):
        return f"{match['name']}: there is no such setting, {near(match['name'], settings())}"
    if match := AMBIGUOUS.search(text) or NEEDS_SWEEP.search(text):
        name, _, values = match["override"].partition("=")
        if name == "experiment":
            return ONE_PRESET
        return f"{name}: {values} are several values; -m runs each of them, and a list is written [{values}]"
    line = next(text for link in reversed(chain(error)) if (text := first_line(link)) != "None")
    return f"{key['name']}: {line}" if key and key["name"] not in line else line


def chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it came of."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def first_line(error: BaseException) -> str:
    """Of its message, or its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

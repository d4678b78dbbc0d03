"""One line for every failure that a user can mend.

Hydra and OmegaConf say in many lines, and in prose alone, what was wrong with a command line: the expressions here read
it, and each has a test against the real error.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from prunekit.config.checks import near
from prunekit.methods.common.options import file_of
from prunekit.methods.common.registry import names
from prunekit.support.errors import UserError, first_line

ONE_PRESET = "experiment: each preset has a sweep of its own, so one at a time; `reproduce` runs several"
UNWRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)

NO_PRESET = re.compile(r"Could not find '(?P<group>[^']+)/(?P<choice>[^'/]*)'")
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
MERGING = re.compile(r"Error merging override \S+?=(?P<value>.*)")
"""Hydra: the value as it was given."""
NOT_A_NUMBER = re.compile(r"Value '(?P<value>[^']*)' of type '\w+' could not be converted to (?P<type>Integer|Float)")
"""OmegaConf: another type in a field of numbers."""
NOT_A_BOOL = re.compile(r"Value '(?P<value>[^']*)' is not a valid bool")
"""OmegaConf: neither true nor false."""
NOT_A_LIST = re.compile(r"Invalid value assigned: \w+ is not a ListConfig")
"""OmegaConf: one value for a list."""
NOT_A_MAPPING = re.compile(r"Cannot assign \w+ to Dict")
"""OmegaConf: one value for a mapping."""
NOT_OPTIONAL = re.compile(r"field '[\w.]+' is not Optional")
"""OmegaConf: null where a value is needed."""
NOT_A_NAME = re.compile(r"Config group override must be a string or a list")
"""Hydra: null or a number where a preset is named."""
NO_MEMORY = re.compile(r"not enough memory|out of memory|Unable to allocate|Cannot allocate memory", re.IGNORECASE)
"""Torch, CUDA, NumPy and the system."""
UNRECOGNIZED = re.compile(r"unrecognized arguments: (?P<arguments>.*)")
"""argparse: an option that is not there, or settings on both sides of an option."""


Settings = Callable[[], list[str]]
Choices = Callable[[str], list[str]]
IsList = Callable[[str], bool]
Hint = Callable[[str], str | None]


def user_line(
    error: BaseException, settings: Settings, choices: Choices, is_list: IsList = lambda name: True,
    hint: Hint = lambda name: None,
) -> str | None:
    """One line for an error that the user can mend, None for a defect of ours.

    Args:
        settings: all dotted names, asked for near matches.
        choices: the files of a group, likewise.
        is_list: whether the setting of a name may be a list.
        hint: what is said of a name that is no setting; None where near matches say it.
    """
    for link in chain(error):
        if isinstance(link, UserError):
            return str(link)
    for link in chain(error):
        if isinstance(link, MemoryError) or (isinstance(link, RuntimeError | OSError) and NO_MEMORY.search(str(link))):
            return f"the memory is full ({first_line(link)}); a smaller batch, length or model takes less"
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
        return composition_line(error, settings, choices, is_list, hint)
    if NOT_A_NAME.search(str(error)):
        return "a preset (of experiment, model, task, scale and so on) is chosen by its name, as in task=mnli"
    return None


def argument_line(message: str, arguments: Sequence[str], options: Sequence[str], settings: Settings) -> str:
    """What argparse says of the options of a command line, without its lines of usage.

    Args:
        arguments: of the command line.
        options: all that there are.
        settings: all dotted names.
    """
    match = UNRECOGNIZED.search(message)
    if match is None:
        return message
    first = match["arguments"].split()[0]
    if first.startswith("-"):
        name, equals, value = first.lstrip("-").partition("=")
        if (setting := name.replace("-", "_")) in settings():
            after = next(iter(arguments[arguments.index(first) + 1 :]), "=")
            value = value if equals else "VALUE" if after.startswith("-") or "=" in after else after
            return f"{first}: settings are written without dashes and with =, write {setting}={value}"
        return f"{first}: there is no such option, {near(first.partition('=')[0], options)}"
    given = [text for text in arguments if text.startswith("-")]
    ordered = [*given, *(text for text in arguments if text not in given)]
    return f"{first}: options go before all settings, write {shlex.join(ordered)}"


def syntax_line(override: str) -> str:
    """An override that Hydra cannot read, and how it is written."""
    name, equals, value = override.partition("=")
    if not equals:
        return f"{override}: it has no value, write {override}=VALUE"
    if value.startswith("~/"):
        return f"{name}: no shell puts your home folder for ~ there, write {name}=$HOME{value[1:]}"
    if value[:1] in ("[", "{"):
        return f"{name}: {value} does not close its brackets or has an odd character, a list is written [a,b]"
    quotes = "a value with such characters needs quotes"
    if value[:1] in ("'", '"'):
        quotes, value = "its quotes do not match", value.strip(value[0])
    quoted = value.replace('"', '\\"')
    written = shlex.quote(f'{name}="{quoted}"')
    return f"{name}: {quotes}, write {written}"


def value_line(text: str, name: str) -> str | None:
    """A value of the wrong type, and what would be right; None for all other messages."""
    given = match["value"] if (match := MERGING.search(text)) else ""
    if match := NOT_A_NUMBER.search(text):
        value, whole = match["value"], match["type"] == "Integer"
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if whole and number.is_integer() and abs(number) < 10**18:
            return f"{name}: {given or value} is no whole number as it is written, write {int(number)}"
        return f"{name}: {given or value!r} is no {'whole number' if whole else 'number'}"
    if match := NOT_A_BOOL.search(text):
        return f"{name}: {match['value']!r} is neither true nor false"
    if NOT_A_LIST.search(text):
        return f"{name}: it is a list, write {name}=[{given}]"
    if NOT_A_MAPPING.search(text):
        return f"{name}: its entries are set one by one, as in {name}.NAME=VALUE"
    if NOT_OPTIONAL.search(text):
        return f"{name}: it cannot be null"
    return None


def composition_line(
    error: BaseException, settings: Settings, choices: Choices, is_list: IsList, hint: Hint
) -> str:
    """Hydra's message about a wrong override in one line, with near matches for a mistyped name."""
    for link in chain(error):
        if isinstance(link, OverrideParseException):
            return syntax_line(str(link.override))
    text = "\n".join(str(link) for link in chain(error))
    key = FULL_KEY.search(text)
    if match := NO_PRESET.search(text):
        group, choice = match["group"], match["choice"]
        if group == "method" and choice in names():
            return f"method={choice}: {file_of(choice)} is there, and conf/method/{choice}.yaml is missing; write it"
        return f"{group}={choice}: there is no such preset, {near(choice, choices(group))}"
    if match := NO_KEY.search(text):
        name = key["name"] if key else match["name"]
        return f"{name}: {hint(name) or f'there is no such setting, {near_setting(name, settings())}'}"
    if match := NO_GROUP.search(text):
        return f"{match['name']}: there is no such setting, {near_setting(match['name'], settings())}"
    if match := AMBIGUOUS.search(text) or NEEDS_SWEEP.search(text):
        name, _, values = match["override"].partition("=")
        if name == "experiment":
            return ONE_PRESET
        if not is_list(name):
            return f"{name}: {values} are several values, which is a sweep: add -m, which runs each of them"
        return f"{name}: {values} are several values; -m runs each of them, and a list is written [{values}]"
    if key and (said := value_line(text, key["name"])):
        return said
    line = next(text for link in reversed(chain(error)) if (text := first_line(link)) != "None")
    return f"{key['name']}: {line}" if key and key["name"] not in line else line


def near_setting(name: str, settings: Sequence[str]) -> str:
    """A hint with the closest settings; where none is close, their list is too long for a line."""
    hint = near(name, settings)
    return hint if hint.startswith("did you mean") else "--help lists them all"


def chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it came of."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links

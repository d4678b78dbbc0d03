"""Command lines of analysis: ``name=value`` options, W&B sources, and one line about bad input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from prunekit.config.checks import near, one_line
from prunekit.support.errors import UserError


def run(
    action: Callable[[Mapping[str, str]], None],
    usage: str,
    defaults: Mapping[str, str],
    arguments: Sequence[str],
    commands: Collection[str] = (),
) -> int:
    """Do ``action`` with the parsed options; returns the exit status: 0, or 2 after one line about bad input.

    Arguments:
        commands: what may stand in place of the first option, for the message about a word that is none of them.
    """
    if any(argument in ("--help", "-h", "help") for argument in arguments):
        print(usage.strip())
        return 0
    try:
        action(parse(arguments, defaults, commands))
    except UserError as error:
        if os.environ.get("PRUNEKIT_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def require_all(failed: Sequence[str]) -> None:
    """Make the exit status tell that something could not be drawn, after everything else was.

    Raises:
        UserError: something could not be.
    """
    if failed:
        raise UserError(f"{failed[0]} ({len(failed)} of these in all, everything else was drawn)")


def parse(arguments: Sequence[str], defaults: Mapping[str, str], commands: Collection[str] = ()) -> dict[str, str]:
    """``name=value`` arguments over the defaults.

    Raises:
        UserError: an unknown name, an argument without ``=``, or an empty value.
    """
    options = dict(defaults)
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        if name not in defaults:
            raise UserError(_unknown(one_line(argument), name if equals else "", defaults, commands))
        if not equals or not value.strip(","):
            raise UserError(f"{argument}: give a value, as in {name}={defaults[name] or 'NAME'}")
        options[name] = value
    return options


def _unknown(argument: str, name: str, defaults: Mapping[str, str], commands: Collection[str]) -> str:
    """What is wrong with an argument, and what would be right: of words without ``=`` the commands, if there are any.
    """
    if name:
        return f"{argument}: unknown option, {near(name, defaults, 'the options are ' + ', '.join(defaults))}"
    usual = ", ".join(f"{option}={value or 'NAME'}" for option, value in defaults.items())
    if argument in commands:
        return f"{argument}: a command stands before all options, as in python -m analysis {argument}"
    if not commands:
        return f"{argument}: options are written NAME=VALUE; there are {usual}"
    all_of_them = f"the commands are {', '.join(commands)}, the options {usual}"
    return f"{argument}: unknown command, {near(argument, commands, all_of_them)}"


def source_folders(sources: str, fetched: Path) -> list[Path]:
    """The folders of a ``source=`` option; W&B projects are fetched into folders below ``fetched``.

    Raises:
        UserError: a project cannot be fetched.
    """
    return [_folder(source, fetched) for source in sources.split(",") if source]


def _folder(source: str, fetched: Path) -> Path:
    from analysis.data.file_names import one_name
    from analysis.data.wandb_source import PREFIX, fetch

    if not source.startswith(PREFIX):
        return Path(source)
    project = source.removeprefix(PREFIX)
    return fetch(project, fetched / one_name(project.replace("/", "_")))

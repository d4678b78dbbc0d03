"""What ``--help`` prints: a verb, its presets, and every setting with its meaning, type, value and choices.

Beside it, what completion in a shell offers after ``SETTING=``: Hydra itself completes names and presets.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf, open_dict

from experiments.cli.composition import CONF, files_of, presets_of
from experiments.cli.explained import ExplainedSetting, sections, shown

WIDEST = 100
OPTIONS = (
    ("-m", "a sweep: settings may have several values with commas, and every combination is run"),
    ("--cfg job", "print the configuration of one run, and what a preset sweeps"),
    ("--help", "this list, with the values that the other words of the command line give"),
    ("--hydra-help", "what Hydra itself understands"),
)
CHOSEN_TOGETHER = "scale=NAME chooses them together; --cfg job prints them, docs/settings.md says what each is"


def show(verb: str, schema: type[Any], overrides: Sequence[str]) -> None:
    """Print the help of a verb; settings have the values that the overrides give them."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    config = composed(verb, overrides)
    try:
        print("\n".join(lines(verb, schema, config, width)), flush=True)
    except BrokenPipeError:  # `--help | head`: what it wanted it has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def composed(verb: str, overrides: Sequence[str]) -> Any:
    """The configuration of a command line as its dataclass, unchecked: what is asked about may still be wrong.

    Of settings that are swept, and of a preset that sweeps them, it has what one run without the sweep would have.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    single = [one.input_line or "" for one in parsed if not one.is_sweep_override()]
    running = GlobalHydra.instance().is_initialized()  # a verb asks, which Hydra has started with the same folder
    with nullcontext() if running else hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(verb, single)
    with open_dict(config):
        config.pop("preset", None)
    OmegaConf.resolve(config)
    return OmegaConf.to_object(config)


def lines(verb: str, schema: type[Any], config: Any, width: int) -> Iterator[str]:
    """The help, line by line, at most as wide as words allow."""
    source = (CONF.parent / "experiments" / f"{verb}.py").read_text(encoding="utf-8")
    yield (ast.get_docstring(ast.parse(source)) or "").replace("``", "")
    yield ""
    yield f"python -m experiments.{verb} [-m] [SETTING=VALUE ...]"
    for option, meaning in OPTIONS:
        yield from _wrapped(f"  {option:<14}{meaning}", width, 16)
    yield ""
    yield "Presets, each of which gives several settings a value:"
    for group, names in presets(verb, schema):
        yield from _wrapped(f"  {group}=  {', '.join(names)}", width, 6)
    for section in sections(config):
        yield ""
        yield f"{section.name}: {section.meaning}" if section.name else f"Settings of {verb}:"
        if section.name.partition(".")[0] == "scale":
            sizes = ", ".join(setting.name.removeprefix("scale.") for setting in section.settings)
            yield from _wrapped(f"  {sizes}: {CHOSEN_TOGETHER}", width, 2)
            continue
        for setting in section.settings:
            yield from _wrapped(f"  {setting.name}={shown(setting.value)}  ({setting.kind})", width, 6)
            yield from _wrapped(f"      {setting.text.replace('``', '')}", width, 6)


def presets(verb: str, schema: type[Any]) -> Iterator[tuple[str, list[str]]]:
    """Groups of ``conf/`` that a command line of the verb chooses from, and what is in them."""
    own_groups = [group for group in ("method", "second") if group in schema.__dataclass_fields__]
    for group in ["model", "task", "scale", *own_groups]:
        yield group, files_of(group)
    if own := presets_of(verb):
        yield "experiment", own
    yield "hydra/launcher", files_of("hydra/launcher")


def completions(verb: str, line: str) -> list[str]:
    """What the last word of a command line may become, if that is a setting with choices and ``=``; else nothing.

    Args:
        line: with the program as its first word, as a shell hands it on.
    """
    words = line.split()[1:]
    name, equals, begun = (words[-1] if words and not line[-1].isspace() else "").partition("=")
    if not equals:
        return []
    earlier = [word for word in words[:-1] if not word.startswith("-") and "," not in word]
    settings = [one for section in sections(composed(verb, earlier)) for one in section.settings if one.name == name]
    return [f"{name}={before}{choice}" for choice, before in _offered(settings, begun)]


def _offered(settings: Iterable[ExplainedSetting], begun: str) -> Iterator[tuple[str, str]]:
    """Choices, each with what stands before it: values of a sweep, or the bracket and other members of a list."""
    for setting in settings:
        several = setting.kind.startswith("list")
        before, comma, last = begun.rpartition(",")
        before += comma
        if several and last.startswith("["):
            before, last = "[", last[1:]
        choices = ("true", "false") if setting.kind.startswith("true") else setting.choices
        yield from ((choice, before or ("[" if several else "")) for choice in choices if choice.startswith(last))


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)

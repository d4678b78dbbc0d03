"""What every entry point does around its procedure: compose, check, run once, print, and answer bad input in one line.

Nothing heavy is imported here before ``--help`` or ``--cfg`` is answered.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, get_type_hints

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.cli import help, messages
from experiments.cli.cells import cells_of, shown
from experiments.cli.composition import CONF, REGISTERED, files_of, presets_of, register, typed
from experiments.cli.outcome import outcome
from experiments.cli.sweep import DONE, FAILED, SKIPPED, cell_name, report
from experiments.cli.sweeper import require_one_process, require_verb, sweep_of, sweeps
from prunekit.config.checks import near
from prunekit.methods.common.options import declared_options, unknown_option
from prunekit.methods.common.settings import MethodConfig
from prunekit.support.errors import UserError, first_line

Perform = Callable[[Any, str | None], dict[str, Any] | None]
"""From a configuration, and the name of its cell where it is one of a sweep, to the record of its run if it has one."""


def run_main(verb: str, schema: type[Any], perform: Perform) -> None:
    """Compose ``conf/VERB.yaml`` with the command line and call ``perform`` with the typed configuration.

    In a sweep every cell is a call; a failing one does not stop the others, and makes the exit status 2.
    """
    register(verb, schema)
    failures: list[Exception] = []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to us instead of printing and exiting with 1

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=verb)
    def main(composed: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _cell(verb, schema, perform, composed)
            return
        try:
            _require_whole(composed)
            perform(typed(composed, schema, HydraConfig.get().overrides.task), None)
        except Exception as error:
            failures.append(error)  # raised below: Hydra would print lines of its own about it

    def composed_main() -> None:
        arguments = _options(verb)
        if arguments.help:
            help.show(verb, schema, arguments.overrides)
            return
        if arguments.shell_completion and (found := help.completions(verb, os.environ.get("COMP_LINE", ""))):
            print(" ".join(found))
            return
        if verb != "finetune":
            require_one_process()
        main()
        if failures:
            raise failures[0]
        if arguments.cfg == "job":
            _show_sweep(verb, arguments.overrides)

    answered(verb, composed_main)


def _require_whole(composed: DictConfig) -> None:
    """Refuse a preset of another verb, and one run of a preset that has several."""
    own = HydraConfig.get()
    require_verb(composed, own)
    _require_recipes()
    if sweeps(own.sweeper):
        name = own.runtime.choices["experiment"]
        raise UserError(f"hydra.mode=RUN: experiment={name} sweeps, one run would leave what it sweeps unset")


def _options(verb: str) -> argparse.Namespace:
    """Hydra's options. What is none of them is refused in one line: argparse has a dozen about its usage."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        options = [text for text in parser._option_string_actions if text.startswith("--")]
        raise UserError(messages.argument_line(message, sys.argv[1:], options, lambda: settings_of(verb)))

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args()


def _require_recipes() -> None:
    """Refuse a recipe that is asked for and is not there: Hydra passes over it, as most models and tasks have none."""
    for override in HydraConfig.get().overrides.task:
        group, _, names = override.lstrip("+").partition("=")
        for name in names.strip("[]").split(",") if group.startswith("recipe/") else []:
            known = files_of(group)
            if name.strip("\"' ") not in ("null", *known):
                raise UserError(f"{group}={name}: there is no such preset, {near(name, known)}")


def _cell(verb: str, schema: type[Any], perform: Perform, composed: DictConfig) -> None:
    """Run one cell of a sweep and report what became of it."""
    number, start = HydraConfig.get().job.num, time.perf_counter()
    try:
        _require_recipes()
        config = typed(composed, schema, HydraConfig.get().overrides.task)
        if HydraConfig.get().runtime.choices["hydra/launcher"] != "basic":
            config.run.progress = False  # bars of several processes would write over each other
            config.run.threads = config.run.threads or HydraConfig.get().launcher.get("cpus_per_task")
        record = perform(config, cell_name(number))
    except Exception as error:  # none may stop the other cells, so it is told here and now
        line = _user_line(error, verb)
        reason = line or f"{type(error).__name__}: {first_line(error)}"
        report(number, FAILED, time.perf_counter() - start, reason)
        if line is None or _traceback_wanted():
            traceback.print_exc()
        else:
            print(f"{verb}: {line}", file=sys.stderr)
        return
    from experiments.cli.announce import ahead_in_words  # not for --help
    from prunekit.runs.finished import FinishedRecord
    from prunekit.runs.schema.seconds import seconds_ahead

    seconds = time.perf_counter() - start
    result = outcome(record, config) if record else None
    if isinstance(record, FinishedRecord):
        report(number, SKIPPED, seconds, result=result)
    else:
        ahead = seconds_ahead(record["seconds"]) if record else {}
        report(number, DONE, max(0.0, seconds - sum(ahead.values())), ahead_in_words(ahead), result)


def _show_sweep(verb: str, overrides: list[str]) -> None:
    """What a preset sweeps, below what ``--cfg job`` has printed: that has one run's settings only."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(verb, overrides, return_hydra_config=True)
    if sweeps(config.hydra.sweeper):
        parts = sweep_of(config, list(config.hydra.overrides.task))
        runs = len(cells_of(parts))
        print(f"# {runs} run{'s' * (runs != 1)}:")
        for part in parts:
            print(f"#   {shown(part)}")


def answered(verb: str, main: Callable[[], None]) -> None:
    """Call ``main`` and turn every failure that a user can mend into one line and exit status 2."""
    _quiet()
    try:
        main()
    except KeyboardInterrupt:
        print(f"\n{verb}: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if _traceback_wanted():
            raise
        line = _user_line(error, verb)
        if line is None:
            raise
        if os.environ.get("RANK", "0") == "0":  # torchrun's processes all find the same
            print(f"{verb}: {line}", file=sys.stderr)
        sys.exit(2)


def _user_line(error: BaseException, verb: str) -> str | None:
    return messages.user_line(
        error, lambda: settings_of(verb), partial(choices_of, verb), lambda name: is_list(verb, name), option_hint
    )


def option_hint(name: str) -> str | None:
    """What is said of an option that a chosen method does not have; None of any other setting, and where a preset may
    have chosen the method."""
    section, dot, option = name.partition(".options.")
    words = [text.lstrip("+").partition("=") for text in sys.argv[1:]]
    chosen = [value for key, _, value in words if key in (section, f"{section}.name")]
    if not chosen and "experiment" not in [key for key, _, _ in words]:
        chosen = [MethodConfig().name]
    for method in chosen[-1].split(",") if dot and chosen else []:
        declared = declared_options(method)
        if declared is not None and option not in declared:
            return unknown_option(method, option, declared)
    return None


def choices_of(verb: str, group: str) -> list[str]:
    """The files of a group of ``conf/``; of presets of runs those of the verb, where it has some."""
    if group == "experiment" and (own := presets_of(verb)):
        return own
    return files_of(group)


def settings_of(verb: str) -> list[str]:
    """All dotted names of a verb's configuration."""
    schema = ConfigStore.instance().load(f"{verb}_schema.yaml").node

    def names(node: Any, path: str) -> list[str]:
        dotted = []
        for key in node:
            dotted.append(f"{path}{key}")
            value = node._get_node(key)
            if isinstance(value, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(value)):
                dotted += names(value, f"{path}{key}.")
        return dotted

    return [name for name in names(schema, "") if name.partition(".")[0] != "preset"]


def is_list(verb: str, name: str) -> bool:
    """Whether a setting of a verb may be a list."""
    kind: Any = REGISTERED[verb]
    for part in name.lstrip("+").split("."):
        kind = get_type_hints(kind).get(part) if dataclasses.is_dataclass(kind) else None
    return "list[" in str(kind)


def _traceback_wanted() -> bool:
    return os.environ.get("PRUNEKIT_TRACEBACK", "0") not in ("", "0")


def _quiet() -> None:
    """Libraries say what users of this project cannot act on; our own messages say what they can."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # what it logs as an error it also raises

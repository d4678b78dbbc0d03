"""What every entry point does around its story: compose, check, run once, print, and answer bad input in one line.

Nothing heavy is imported here before Hydra has answered ``--help`` or ``--cfg``.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.cli.launchers import register_presets
from experiments.cli.sweep import DONE, FAILED, SKIPPED, report, watched
from prunekit.checks import near
from prunekit.config import ModelConfig, check
from prunekit.errors import UserError
from prunekit.task_config import TaskConfig

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
UNWRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
Config = TypeVar("Config")


def register(verb: str, schema: type[Any]) -> None:
    """Make a verb's dataclass the schema of ``conf/VERB.yaml``: types and unknown names are checked on composition."""
    store = ConfigStore.instance()
    store.store(name=f"{verb}_schema", node=schema)
    store.store(group="model", name="schema", node=ModelConfig)
    store.store(group="task", name="schema", node=TaskConfig)
    register_presets()


def typed(composed: DictConfig, schema: type[Config]) -> Config:
    """The composed configuration as a checked dataclass.

    Raises:
        UserError: a required value is missing, or values are out of range; all of them are listed at once.
    """
    try:
        OmegaConf.resolve(composed)
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise UserError(_first_line(error)) from error
    assert isinstance(config, schema)
    problems = check(config)
    if problems:
        raise UserError("; ".join(problems))
    return config


def run_main(verb: str, schema: type[Any], perform: Callable[[Any], dict[str, Any] | None]) -> None:
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
            perform(typed(composed, schema))
        except Exception as error:
            failures.append(error)  # raised below: Hydra would print lines of its own about it

    def composed_main() -> None:
        sweeping = bool({"-m", "--multirun"} & set(sys.argv))
        if os.environ.get("WORLD_SIZE", "1") != "1" and (sweeping or verb != "finetune"):
            raise UserError(
                "torchrun shares a training out over processes: it takes `finetune` alone, without -m; "
                "all other verbs find the teacher that it has trained"
            )
        if sweeping:
            with watched(sys.argv[1:]) as sweep:
                main()
            if sweep.failed:
                sys.exit(2)
            return
        main()
        if failures:
            raise failures[0]

    answered(verb, composed_main)


def _cell(verb: str, schema: type[Any], perform: Callable[[Any], dict[str, Any] | None], composed: DictConfig) -> None:
    """Run one cell of a sweep and report what became of it."""
    from prunekit.runs import Found

    number, start = HydraConfig.get().job.num, time.perf_counter()
    try:
        config = typed(composed, schema)
        if HydraConfig.get().runtime.choices["hydra/launcher"] != "basic":
            config.run.progress = False  # bars of several processes would write over each other
            config.run.threads = config.run.threads or HydraConfig.get().launcher.get("cpus_per_task")
        record = perform(config)
    except Exception as error:  # none may stop the other cells, so it is told here and now
        line = user_line(error, verb)
        report(number, FAILED, time.perf_counter() - start, line or f"{type(error).__name__}: {_first_line(error)}")
        if line is None or _traceback_wanted():
            traceback.print_exc()
        else:
            print(f"{verb}: {line}", file=sys.stderr)
        return
    report(number, SKIPPED if isinstance(record, Found) else DONE, time.perf_counter() - start)


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
        line = user_line(error, verb)
        if line is None:
            raise
        if os.environ.get("RANK", "0") == "0":  # torchrun's processes all find the same
            print(f"{verb}: {line}", file=sys.stderr)
        sys.exit(2)


def user_line(error: BaseException, verb: str) -> str | None:
    """One line for an error that the user can mend, None for a defect of ours."""
    for link in _chain(error):
        if isinstance(link, UserError):
            return str(link)
    for link in _chain(error):
        if "No space left on device" in str(link) or "Disk quota exceeded" in str(link):
            return f"the disk is full ({_first_line(link)}); free space, the same command goes on from here"
        if isinstance(link, OSError) and link.errno in UNWRITABLE:
            why = os.strerror(link.errno or 0)
            return f"run.folder: cannot write {link.filename} ({why}); choose another run.folder"
        if isinstance(link, BrokenExecutor):
            return (
                "a worker was killed, and the sweep with it (out of memory? hydra.launcher.n_jobs=1 runs one cell at a "
                "time); the same command runs what is missing"
            )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return composition_line(error, verb)
    return None


def composition_line(error: BaseException, verb: str) -> str:
    """Hydra's message about a wrong override in one line, with near matches for a mistyped name."""
    text = "\n".join(str(link) for link in _chain(error))
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        group, choice = found.groups()
        return f"{group}={choice}: there is no such preset, {near(choice, _choices(group))}"
    if found := re.search(r"Key '([^']+)' (?:is not in struct|not in '(\w+)')", text):
        full = re.search(r"full_key: (\S+)", text)
        name = full.group(1) if full else found.group(1)
        return f"{name}: there is no such setting, {near(name, _settings(verb))}"
    if found := re.search(r"Could not override '([^']+)'", text):
        return f"{found.group(1)}: there is no such setting, {near(found.group(1), _settings(verb))}"
    key = re.search(r"full_key: (\S+)", text)
    line = next(text for link in reversed(_chain(error)) if (text := _first_line(link)) != "None")
    return f"{key.group(1)}: {line}" if key and key.group(1) not in line else line


def _choices(group: str) -> list[str]:
    return [path.stem for path in (CONF / group).glob("*.yaml")]


def _settings(verb: str) -> list[str]:
    """All dotted names of a verb's configuration."""
    import dataclasses

    schema = ConfigStore.instance().load(f"{verb}_schema.yaml").node

    def names(node: Any, path: str) -> list[str]:
        found = []
        for key in node:
            found.append(f"{path}{key}")
            value = node._get_node(key)
            if isinstance(value, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(value)):
                found += names(value, f"{path}{key}.")
        return found

    return names(schema, "")


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _traceback_wanted() -> bool:
    return os.environ.get("PRUNEKIT_TRACEBACK", "0") not in ("", "0")


def _quiet() -> None:
    """Libraries say what users of this project cannot act on; our own messages say what they can."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # what it logs as an error it also raises

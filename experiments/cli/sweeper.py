"""Hydra's sweeper for presets: cells in parts, each watched, and told of at the end."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from experiments.cli.cells import Part, cells_of, names_of, narrowed, parts_of
from experiments.cli.launchers import launcher_problems
from experiments.cli.messages import ONE_PRESET
from experiments.cli.sweep import watched
from prunekit.config.ranges import PathRule
from prunekit.support.errors import UserError

PLUGIN = "hydra_plugins.prunekit"
"""Hydra takes plugins of the package `hydra_plugins` alone, so this module has a second name there."""


class PresetSweeper(Sweeper):
    """Runs the cells of ``hydra.sweeper.params`` and ``hydra.sweeper.parts``, narrowed by the command line."""

    __module__ = PLUGIN

    def __init__(self, max_batch_size: int | None, params: Any = None, parts: Any = None) -> None:
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run every cell of a command line; exits with status 2 if any of them failed."""
        assert self.config is not None and self.launcher is not None
        require_one_process()
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        problems = [
            *launcher_problems(launcher, self.config.hydra.launcher, self.max_batch_size),
            *PathRule(written=True).problems("run.folder", self.config.run.folder),
        ]
        if problems:
            raise UserError("; ".join(problems))
        cells = cells_of(sweep_of(self.config, arguments))
        commands = [[f"{key}={value}" for key, value in cell.items()] for cell in cells]
        with watched(Path(self.config.run.folder), names_of(cells)) as sweep:
            at_once = self.max_batch_size or len(commands)
            for start in range(0, len(commands), at_once):
                batch = commands[start : start + at_once]
                self.validate_batch_is_legal(batch)
                self.launcher.launch(batch, initial_job_idx=start)
        if sweep.failed:
            sys.exit(2)


@dataclass
class PresetSweeperConf:
    """``hydra.sweeper``: Hydra's own settings, and parts."""

    _target_: str = f"{PLUGIN}.PresetSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)


def register() -> None:
    """Make the sweeper known to Hydra, as ``hydra/sweeper=preset``."""
    package, _, name = PLUGIN.partition(".")
    sys.modules[PLUGIN] = sys.modules[__name__]
    setattr(importlib.import_module(package), name, sys.modules[__name__])
    Plugins.instance().register(PresetSweeper)
    ConfigStore.instance().store(group="hydra/sweeper", name="preset", node=PresetSweeperConf, provider="prunekit")


def sweeps(sweeper: Any) -> bool:
    """Does ``hydra.sweeper`` of a composed configuration name anything?"""
    return bool(sweeper.params or sweeper.parts)


def sweep_of(config: DictConfig, arguments: Sequence[str]) -> list[Part]:
    """What a command line sweeps: its preset's sweep, narrowed to the values that it gives.

    Args:
        config: composed without what is swept, with its section ``hydra``.
        arguments: all overrides but Hydra's own.

    Raises:
        UserError: the preset is another verb's, what its sweep is made from is itself swept, or nothing is left.
    """
    overrides = OverridesParser.create().parse_overrides(list(arguments))
    swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
    if "experiment" in swept:
        raise UserError(ONE_PRESET)
    if not sweeps(config.hydra.sweeper):
        return narrowed([{}], arguments)
    require_verb(config, config.hydra)
    preset = f"experiment={config.hydra.runtime.choices.experiment}"
    for key in swept:
        if key.partition(".")[0] == "scale":
            raise UserError(f"{key}: {preset} takes its sweep from one scale, so one at a time")
    parts = parts_of(config.hydra.sweeper)
    if left := narrowed(parts, arguments):
        return left
    if any(all(part.values()) for part in parts):
        raise UserError(f"{preset}: none of its runs has all of these values")
    raise UserError(f"{preset}: scale={config.scale.name} has nothing for it")


def require_verb(config: DictConfig, hydra: Any) -> None:
    """Refuse a preset of another verb.

    Raises:
        UserError: names the verb that it is of.
    """
    if config.preset.verb not in ("", hydra.job.config_name):
        own = f"experiments.{config.preset.verb} experiment={hydra.runtime.choices.experiment}"
        raise UserError(f"experiment={hydra.runtime.choices.experiment}: no preset of this verb, use python -m {own}")


def require_one_process() -> None:
    """Refuse what is not for torchrun's processes.

    Raises:
        UserError: torchrun has started this one.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(
            "torchrun shares a training out over processes: it takes `finetune` alone, without -m; "
            "all other verbs find the teacher that it has trained"
        )

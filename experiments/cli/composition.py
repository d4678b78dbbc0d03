"""From ``conf/`` and a command line to a checked dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from experiments.cli import cells, launchers, sweeper
from prunekit.config.sections import Experiment, ModelConfig, check, model_of_teacher
from prunekit.config.task import TaskConfig
from prunekit.support.errors import UserError, first_line

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
Config = TypeVar("Config")
REGISTERED: dict[str, type[Any]] = {}
"""The schema of every verb in Hydra's store: a whole paper asks for the same few hundreds of times."""


@dataclass
class Preset:
    """What a file of ``conf/experiment/`` says of itself: the section ``preset``. No setting, and no part of a run."""

    verb: str = ""
    """That makes its runs."""
    figures: list[str] = field(default_factory=list)
    """That are drawn from them, as ``PAPER/NAME``: parts of the chapters in `analysis`."""


def register(verb: str, schema: type[Any]) -> None:
    """Make a verb's dataclass the schema of ``conf/VERB.yaml``: types and unknown names are checked on composition."""
    if REGISTERED.get(verb) is schema:
        return
    node = OmegaConf.structured(schema)
    with open_dict(node):
        node.preset = OmegaConf.structured(Preset)
    store = ConfigStore.instance()
    store.store(name=f"{verb}_schema", node=node)
    store.store(group="model", name="schema", node=ModelConfig)
    store.store(group="task", name="schema", node=TaskConfig)
    cells.register_resolvers()
    launchers.register_presets()
    sweeper.register()
    REGISTERED[verb] = schema


def typed(composed: DictConfig, schema: type[Config], overrides: Sequence[str] = ()) -> Config:
    """The composed configuration as a checked dataclass.

    Args:
        overrides: of the command line. Where they choose no model, a finished teacher's is its own.

    Raises:
        UserError: a required value is missing, or values are out of range; all of them are listed at once.
    """
    settings = composed.copy()
    with open_dict(settings):
        settings.pop("preset", None)
    try:
        OmegaConf.resolve(settings)
        config = OmegaConf.to_object(settings)
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from error
    assert isinstance(config, schema)
    if not _chooses_model(overrides):
        _take_the_teachers_model(config)
    problems = check(config)
    if getattr(config, "shape_of", None) is not None and _chooses_model(overrides):
        problems.append("model: a shape is timed of its own run's model, leave out model or shape_of")
    if issubclass(schema, Experiment) and getattr(config, "source", None) is not None:
        problems += [
            f"{section}: a source has its own, leave out {section} or source"
            for section in ("model", "task", "train", "teacher", "evaluation")
            if _names(overrides, section)
        ]
    model = getattr(config, "model", None)
    if isinstance(model, ModelConfig) and model.weights == "pretrained" and _names(overrides, "model.shape"):
        problems.append(
            f"model.shape: the weights of {model.path} have their own sizes; leave it out, or build the sizes with "
            "model.weights=scratch or random"
        )
    if problems:
        raise UserError("; ".join(problems))
    return config


def _take_the_teachers_model(config: Any) -> None:
    if isinstance(config, Experiment) and config.teacher is not None and not config.starts_from_model:
        config.model = model_of_teacher(config.teacher, config.model.attention)


def _chooses_model(overrides: Sequence[str]) -> bool:
    """Whether a command line says anything of the model but how its attention is computed."""
    return any(name.partition(".")[0] == "model" and name != "model.attention" for name in _named(overrides))


def _names(overrides: Sequence[str], setting: str) -> bool:
    """Whether a command line sets ``setting`` or a part of it."""
    return any(f"{name}.".startswith(f"{setting}.") for name in _named(overrides))


def _named(overrides: Sequence[str]) -> list[str]:
    return [override.lstrip("+~").partition("=")[0] for override in overrides]


def preset_named(name: str) -> Preset:
    """What ``conf/experiment/NAME.yaml`` says of itself."""
    said = OmegaConf.load(CONF / "experiment" / f"{name}.yaml").preset
    return Preset(verb=said.verb, figures=list(said.figures))


def files_of(group: str) -> list[str]:
    """The names that a group of ``conf/`` can be given."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def presets_of(verb: str) -> list[str]:
    """The presets that make runs of a verb."""
    return [name for name in files_of("experiment") if preset_named(name).verb == verb]

"""Hydra's compositions, shared by the hundreds of command lines in the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hydra._internal import config_loader_impl as loader
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from experiments.cli.composition import CONF

FILES, MERGE = "create_defaults_list", "_compose_config_from_defaults_list"
PLAIN = getattr(loader, FILES), getattr(loader.ConfigLoaderImpl, MERGE), CachingConfigRepository.__init__
"""Hydra's own."""
SCHEMA = "_schema.yaml"
"""How the names of the verbs' schemas end in Hydra's store."""


@dataclass
class Composition:
    """The files that a command line chooses, and what they are merged to, before any value is set."""

    files: DefaultsList
    nodes: list[ConfigNode]
    """Held, so that no later node of the store takes the place of one in memory."""
    merged: DictConfig | None = None


def nodes_of(store: dict[str, Any], own: str) -> list[ConfigNode]:
    """What Hydra's store holds, without the schemas of other verbs than ``own``."""
    nodes: list[ConfigNode] = []
    for name, part in store.items():
        if isinstance(part, dict):
            nodes += nodes_of(part, own)
        elif not name.endswith(SCHEMA) or name == f"{own}{SCHEMA}":
            nodes.append(part)
    return nodes


def chooses(override: Override, repo: IConfigRepository) -> bool:
    """Whether an override names a file, as Hydra itself decides; all others are values, set after files are merged."""
    return (
        not override.is_sweep_override()
        and not isinstance(override.value(), dict)
        and repo.group_exists(override.key_or_group)
    )


@contextmanager
def shared_compositions() -> Iterator[None]:
    """Files are listed and merged once for each choice of them; Hydra sets the values of a command line in a copy.

    Shared are the files of ``conf/``, which no test edits. Schemas are told apart by the nodes of Hydra's store.
    """
    made: dict[tuple[Any, ...], Composition] = {}
    of_list: dict[int, Composition] = {}
    list_files, merge, _ = PLAIN

    def listed(
        repo: IConfigRepository, config_name: str | None, overrides_list: list[Override], **options: Any
    ) -> DefaultsList:
        folders = [source.full_path() for source in repo.get_sources()]
        if f"file://{CONF}" not in folders:
            return cast(DefaultsList, list_files(repo, config_name, overrides_list, **options))
        chosen = [override for override in overrides_list if chooses(override, repo)]
        nodes = nodes_of(ConfigStore.instance().repo, str(config_name))
        lines = (override.input_line for override in chosen)
        key = (config_name, *options.items(), *folders, *lines, *map(id, nodes))
        if key not in made:
            made[key] = Composition(list_files(repo, config_name, chosen, **options), nodes)
            of_list[id(made[key].files.defaults)] = made[key]
        files = made[key].files
        values = [each for each in overrides_list if each not in chosen and not each.is_sweep_override()]
        return DefaultsList(files.defaults, files.defaults_tree, values, files.overrides)

    def merged(self: Any, defaults: list[Any], repo: IConfigRepository) -> DictConfig:
        composition = of_list.get(id(defaults))
        if composition is None:
            return cast(DictConfig, merge(self, defaults, repo))
        if composition.merged is None:
            composition.merged = merge(self, defaults, repo)
        return deepcopy(composition.merged)

    def own_view(self: CachingConfigRepository, delegate: IConfigRepository) -> None:
        """Hydra copies the whole store with it, so that it may be given other folders: that only sets its list anew."""
        self.delegate, self.cache = copy(delegate), {}

    with composed_by(listed, merged, own_view):
        yield


@contextmanager
def composed_by(list_files: Any, merge: Any, view: Any) -> Iterator[None]:
    """With these in the place of what lists files, merges them, and looks into the folders; ``PLAIN`` are Hydra's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, FILES, list_files)
        patch.setattr(loader.ConfigLoaderImpl, MERGE, merge)
        patch.setattr(CachingConfigRepository, "__init__", view)
        yield

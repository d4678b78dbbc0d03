"""A verb: its name, its settings, what it does, and the command line that all verbs share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.entry import run_main

if TYPE_CHECKING:
    import torch

    from prunekit.runs.execute import Ahead, Check, Run


@dataclass(frozen=True)
class Verb:
    """What ``python -m experiments.NAME`` runs. Calling it answers the command line."""

    name: str
    settings: type[Any]
    """The schema of ``conf/NAME.yaml``."""
    procedure: Callable[[Any, Run], None]
    """Does the work and fills the run."""
    revision: Callable[[Any], int]
    """Of a configuration; raised whenever its numbers change."""
    measures_time: Callable[[Any], bool]
    """Whether another machine makes another run of a configuration."""
    scores: Callable[[Any], bool]
    """Whether a configuration is of a run that scores a model."""
    needs: Check | None
    """Refuses a machine on which a configuration cannot run."""
    again: Callable[[Any], str] | None
    """The command that makes a run again, of verbs that go on with the model of another."""

    def __call__(self) -> None:
        run_main(self.name, self.settings, self.perform)

    def perform(self, config: Any, cell: str | None = None) -> dict[str, Any]:
        """Run a configuration once, tell of it, and return its record.

        Args:
            cell: see :func:`experiments.cli.announce.announce`.
        """
        from experiments.cli.announce import announce
        from prunekit.training import processes

        with processes.joined(config.run.device):
            record = self.execute(config)
            return announce(record, config, cell) if processes.rank() == 0 else record

    def execute(self, config: Any, *, needs_model: bool = False, ahead: Ahead | None = None) -> dict[str, Any]:
        """Run a configuration once and return its record; also again if the model that it leaves is needed and gone.

        Args:
            ahead: which run needs this one, if that is why it is made.
        """
        from prunekit.runs.execute import execute

        return execute(
            self.name, self.revision(config), config, self.procedure,
            measures_time=self.measures_time(config), check=self.check, draw=_pictures, again=self.again,
            needs_model=needs_model, ahead=ahead,
        )  # fmt: skip

    def check(self, config: Any, device: torch.device) -> None:
        """Refuse what is known to fail, before a run begins and before the record of one that is forced is deleted.

        Raises:
            UserError: a package that scores are computed with, or what the machine needs to have, is not there.
        """
        if self.scores(config):
            from prunekit.runs.teachers import check_scores

            check_scores(config)
        if self.needs is not None:
            self.needs(config, device)


@dataclass(frozen=True)
class Command:
    """A verb that makes no run of its own. Calling it answers the command line."""

    name: str
    settings: type[Any]
    """The schema of ``conf/NAME.yaml``."""
    perform: Callable[[Any], None]

    def __call__(self) -> None:
        run_main(self.name, self.settings, lambda config, cell: self.perform(config))


def verb(
    name: str,
    settings: type[Any],
    procedure: Callable[[Any, Run], None],
    *,
    revision: int | Callable[[Any], int],
    measures_time: bool | Callable[[Any], bool] = False,
    scores: bool | Callable[[Any], bool] = True,
    needs: Check | None = None,
    again: Callable[[Any], str] | None = None,
) -> Verb:
    """The ``main`` of ``experiments/NAME.py``.

    Args:
        revision: raised whenever numbers change for the same configuration; a function where only some do.
        measures_time: hardware is part of a run's identity; a function where it is of some configurations.
        scores: a model, by the task's metrics; a function where only some configurations do.
        needs: refuses a machine on which a configuration cannot run.
        again: from a record the command that makes its run again; of verbs that go on with the model of another run.
    """
    return Verb(
        name, settings, procedure,
        revision if callable(revision) else lambda _: revision,
        measures_time if callable(measures_time) else lambda _: measures_time,
        scores if callable(scores) else lambda _: scores,
        needs, again,
    )  # fmt: skip


def runs_in(setting: str, runtimes: Callable[[Any], Collection[str]]) -> Check:
    """The needs of a verb that times models in the runtimes that a setting names."""

    def needs(config: Any, device: torch.device) -> None:
        from prunekit.models.export.sessions import check_runtimes

        check_runtimes(setting, runtimes(config), device)

    return needs


def named(name: str) -> Any:
    """The verb of ``experiments/NAME.py``."""
    import importlib

    return importlib.import_module(f"experiments.{name}").main


def _pictures(folder: Path) -> list[Path]:
    """The figures of one finished run, for its tracker."""
    import analysis

    return [path for path in analysis.draw_run(folder, folder / "figures") if path.suffix == ".png"]

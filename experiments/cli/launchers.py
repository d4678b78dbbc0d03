"""Hydra's launchers as sweeps use them: presets over the plugins' settings, and patience with jobs that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")
"""Of Hydra's plugins, with presets in ``conf/hydra/launcher``."""


def register_presets() -> None:
    """Let presets extend the configurations of the plugins: under their own names Hydra would find those only.

    ``conf/hydra/launcher/NAME.yaml`` has the plugin's as ``NAME_plugin``.
    """
    Plugins.instance()  # finds the plugins, which then store their configurations
    store = ConfigStore.instance()
    known = store.repo["hydra"]["launcher"]
    for name in LAUNCHERS:
        if node := known.pop(f"{name}.yaml", None):
            store.store(group="hydra/launcher", name=f"{name}_plugin", node=node.node, provider=node.provider)
    OmegaConf.register_new_resolver("at_once", _at_once, replace=True)


def _at_once(launcher: str) -> int | None:
    """The most cells that may be started together; None where the launcher itself has a queue."""
    if launcher != "submitit_local":
        return None
    import joblib

    return int(joblib.cpu_count())


@contextmanager
def waiting_for_all() -> Iterator[None]:
    """Have submitit's launchers wait for every job: they would stop at the first that was killed."""
    import submitit
    from hydra.core.utils import JobReturn, JobStatus

    results = submitit.Job.results

    def patient(job: submitit.Job[Any]) -> list[Any]:
        try:
            return results(job)
        except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError):
            return [JobReturn(status=JobStatus.COMPLETED)]  # its missing report says it

    submitit.Job.results = patient  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        submitit.Job.results = results  # type: ignore[method-assign]

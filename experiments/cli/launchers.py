"""Hydra's launchers as sweeps use them: presets over the plugins' settings, and patience with jobs that are lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from prunekit.config.ranges import NumberRule

LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")
"""Of Hydra's plugins, with presets in ``conf/hydra/launcher``."""

AT_LEAST = {
    "timeout_min": 1, "cpus_per_task": 1, "nodes": 1, "tasks_per_node": 1, "mem_gb": 1, "array_parallelism": 1,
    "gpus_per_node": 0, "gpus_per_task": 0, "max_num_timeout": 0, "signal_delay_s": 0,
}  # fmt: skip
"""Of what all launchers can be told."""


def launcher_problems(name: str, launcher: Mapping[str, Any], at_once: int | None = None) -> Iterator[str]:
    """Why a launcher cannot start the cells of a sweep.

    Args:
        name: of its preset.
        launcher: ``hydra.launcher``.
        at_once: ``hydra.sweeper.max_batch_size``.
    """
    if name == "submitit_slurm" and shutil.which("srun") is None:
        yield (
            "hydra/launcher=submitit_slurm: there is no Slurm on this machine (no srun on the PATH), "
            "hydra/launcher=joblib runs the cells here"
        )
    if launcher.get("n_jobs") == 0:
        yield "hydra.launcher.n_jobs: 0 starts nothing, give 1 or more, or -1 for all cores"
    yield from NumberRule(-(10**6), 10_000).problems("hydra.launcher.n_jobs", launcher.get("n_jobs"))
    for setting, low in AT_LEAST.items():
        yield from NumberRule(low, 10**7).problems(f"hydra.launcher.{setting}", launcher.get(setting))
    yield from NumberRule(1, 10**7).problems("hydra.sweeper.max_batch_size", at_once)


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

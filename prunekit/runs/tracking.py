"""The copy of a run record at Weights & Biases. The record on disk is the truth; this only copies it.

Whatever goes wrong here (no key, no network, a server that went away) is said in one line and never stops a run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

from prunekit.runs.schema.answer_file import FILE
from prunekit.support.errors import UserError, first_line
from prunekit.support.extras import of_extra

log = logging.getLogger(__name__)


class Tracker:
    """One W&B run, which begins with what it is first told: one that is refused before leaves nothing on a server.

    Does nothing when W&B is disabled or could not be started.
    """

    unreachable: ClassVar[bool] = False
    """The server did not answer: later runs of this process do not wait for it again."""

    def __init__(self, mode: str, project: str, verb: str, run_id: str, config: dict[str, Any], folder: Path) -> None:
        self.run: Any = None
        self.complained = False
        self._to_start: Callable[[], None] | None = partial(self._start, mode, project, verb, run_id, config, folder)

    def start(self) -> None:
        """Begin the run, if it has not begun."""
        start, self._to_start = self._to_start, None
        if start is not None:
            start()

    def _start(self, mode: str, project: str, verb: str, run_id: str, config: dict[str, Any], folder: Path) -> None:
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
        if mode == "disabled":
            return
        os.environ.setdefault("WANDB_SILENT", "true")
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):  # the home folder may be small or read-only
            os.environ.setdefault(name, str(folder.resolve() / "wandb" / ".staging"))
        try:
            with of_extra("tracking"):
                import wandb
        except UserError as error:
            log.warning("Weights & Biases: %s; going on without it", error)
            return
        if Tracker.unreachable:
            mode = "offline"
        arguments: dict[str, Any] = {
            "project": project, "id": f"{verb}-{run_id}", "name": f"{verb}-{run_id[:8]}", "group": verb,
            "config": config, "dir": str(folder), "resume": "allow", "reinit": "create_new",
        }  # fmt: skip
        settings = wandb.Settings(
            console="off", silent=True, x_disable_stats=True, disable_git=True, symlink=False,
            init_timeout=10, finish_timeout=120,
        )  # fmt: skip
        for attempt in dict.fromkeys((mode, "offline")):
            try:
                self.run = wandb.init(**arguments, mode=cast(Any, attempt), settings=settings)
                self.run.define_metric("*", step_metric="record_step")
                return
            except Exception as error:  # W&B raises many kinds; none of them may stop a run
                then = "without it" if attempt == "offline" else "offline, `wandb sync` uploads it later"
                log.warning("Weights & Biases is not available (%s); going on %s", first_line(error), then)
                Tracker.unreachable = True
                wandb.teardown()  # or the next attempt is told that the run's id is in use

    def log(self, step: int, values: dict[str, Any]) -> None:
        self.start()
        self._try(lambda: self.run.log({"record_step": step, **values}))

    def finish(self, metrics: dict[str, Any], folder: Path, figures: list[Path]) -> None:
        """Copy summary, record (its files as they are, its tables as W&B tables too), masks and figures."""
        self.start()
        if self.run is None:
            return
        import pandas as pd
        import wandb

        tables = sorted((folder / "tables").glob("*.csv"))
        names = ("result.json", "metrics.jsonl", FILE)
        numbers = [path for name in names if (path := folder / name).exists()] + tables

        def files() -> None:
            self.run.summary.update(metrics)
            record = wandb.Artifact(f"{self.run.id}-record", type="record")
            for path in [folder / "config.yaml", *numbers]:
                if path.exists():  # immutable: uploaded from where it is, without a copy
                    record.add_file(str(path), name=str(path.relative_to(folder)), policy="immutable")
            self.run.log_artifact(record)
            if (folder / "masks").is_dir():
                masks = wandb.Artifact(f"{self.run.id}-masks", type="masks")
                masks.add_dir(str(folder / "masks"), policy="immutable")
                self.run.log_artifact(masks)
            for path in numbers:  # among an offline run's own files too (W&B has a config.yaml of its own there)
                self.run.save(str(path), base_path=str(folder), policy="now", glob=False)

        def views() -> None:
            for path in tables:
                frame = pd.read_csv(path)
                if len(frame) <= 5000:  # per-example tables stay files
                    self.run.log({f"tables/{path.stem}": wandb.Table(dataframe=frame)})
            for path in figures:
                self.run.log({f"figures/{path.stem}": wandb.Image(str(path))})

        self._try(files)
        self._try(views)
        self._try(lambda: self.run.finish())

    def abandon(self) -> None:
        """Close after a failure, so that the next run of this process starts afresh."""
        self._try(lambda: self.run.finish(exit_code=1))

    def _try(self, action: Any) -> None:
        if self.run is None:
            return
        try:
            action()
        except Exception as error:
            if not self.complained:
                log.warning("Weights & Biases: %s; the record on disk loses nothing", first_line(error))
            self.complained = True


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False

"""What Weights & Biases wrote offline, whole."""

from __future__ import annotations

from pathlib import Path

import wandb


def offline_logs(folder: Path, runs: str = "*") -> list[Path]:
    """Logs of runs below ``folder/wandb``, by their begin.

    A process of W&B's own writes them, and may still be at it when a run has finished; a program's end waits for it.
    """
    wandb.teardown()
    return sorted(folder.glob(f"wandb/offline-run-*/run-{runs}.wandb"))

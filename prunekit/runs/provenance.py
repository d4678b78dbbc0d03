"""What a run was made with: commit and library versions (hardware: :mod:`prunekit.support.devices`)."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "datasets", "tokenizers", "numpy", "scipy", "scikit-learn", "hydra-core")


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Commit of the source tree and whether it had changes; nulls outside a git checkout.

    An installed library may lie in an environment inside a checkout of its user's, whose commit says nothing of it.
    """
    source = Path(__file__).resolve()

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=source.parent, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if not git("ls-files", source.name):
        return {"commit": None, "dirty": None}
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions

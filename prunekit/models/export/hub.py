"""Exported folders on the Hugging Face Hub, or another server with its face (``HF_ENDPOINT``)."""

from __future__ import annotations

from pathlib import Path

from prunekit.models import pushing
from prunekit.models.pruned_format import IN_ANY_FORM


def push(folder: str | Path, repository: str, *, private: bool = False) -> str:
    """Upload a folder; the repository is created if it is not there, and weights in it that the folder has not go.

    Args:
        repository: ``NAME/REPOSITORY``.

    Returns:
        its address.

    Raises:
        UserError: the Hub cannot be reached or does not take it (no token, no permission, a name that is none); the
            folder is as it was, and the line says how to try again.
    """
    command = pushing.command(repository, folder, IN_ANY_FORM, private=private)
    with pushing.one_line_why("push_to", repository, f"{folder} has everything, try again with: {command}"):
        return str(pushing.upload(folder, pushing.create(repository, private=private), IN_ANY_FORM).repo_url)

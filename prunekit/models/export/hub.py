"""Exported folders on the Hugging Face Hub, or another server with its face (``HF_ENDPOINT``)."""

from __future__ import annotations

import shlex
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from prunekit.models.pruned_format import IN_ANY_FORM
from prunekit.models.pushing import create, upload
from prunekit.support.errors import UserError, first_line


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
    command = ["hf", "upload", repository, str(folder), ".", *["--private"] * private]
    command += [word for pattern in IN_ANY_FORM for word in ("--delete", pattern)]
    again = f"{folder} has everything, try again with: {shlex.join(command)}"
    try:
        return str(upload(folder, create(repository, private=private), IN_ANY_FORM).repo_url)
    except HFValidationError as error:
        raise UserError(f"push_to: {repository!r} is no repository ({first_line(error)}); {again}") from error
    except LocalTokenNotFoundError as error:
        raise UserError(f"push_to: there is no token, `hf auth login` asks for one; {again}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        wrong = "the token is missing, or may not write there" if status in (401, 403) else first_line(error)
        raise UserError(f"push_to: the Hub did not take {repository} ({wrong}); {again}") from error
    except Exception as error:  # of the system, of the network's library, of offline mode: nothing in common
        raise UserError(f"push_to: the Hub cannot be reached ({first_line(error)}); {again}") from error

"""Saved models on the Hugging Face Hub: one commit, in which the weights of before that would be loaded instead go."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from prunekit.support.errors import UserError, first_line

CARD = "README.md"
TEXT = """\
# A pruned {name}

It is of another shape than its family's: `import prunekit.auto`, then transformers loads it, `pipeline` too;
`prunekit.load("{repository}")` does without. `prunekit.export` writes a card that tells more, with its costs."""


def create(repository: str, *, private: bool | None = None, token: bool | str | None = None) -> str:
    """The whole name of a repository, which is created if it is not there.

    Args:
        private: a repository that is created is.

    Raises:
        Exception: as :func:`upload`.
    """
    return HfApi(token=token).create_repo(repository, private=private, exist_ok=True).repo_id


def upload(
    folder: str | Path, name: str, stale: Collection[str], *, files: Iterable[str] | None = None,
    token: bool | str | None = None, revision: str | None = None, create_pr: bool = False,
    commit_message: str | None = None, commit_description: str | None = None,
) -> CommitInfo:  # fmt: skip
    """Upload a folder to a repository that is there; a branch of it is created if it is not.

    Args:
        name: as :func:`create` returns it.
        stale: patterns of files in the repository that go unless they are uploaded.
        files: of the folder, those that are uploaded; all by default.
        revision: a branch, by default the main one.
        create_pr: propose it, in a pull request.

    Raises:
        Exception: huggingface_hub's, where the Hub cannot be reached or does not take it.
    """
    api = HfApi(token=token)
    if revision is not None and not revision.startswith("refs/pr") and not create_pr:
        api.create_branch(name, branch=revision, exist_ok=True)
    return api.upload_folder(
        repo_id=name, folder_path=folder, allow_patterns=None if files is None else list(files),
        delete_patterns=list(stale), revision=revision, create_pr=create_pr,
        commit_message=commit_message or "Upload a pruned model", commit_description=commit_description,
    )  # fmt: skip


def push(
    model: Any, folder: Path, files: list[str], repository: str, stale: Collection[str], *, users_folder: bool,
    tags: Iterable[str] | None = None, private: bool | None = None, token: bool | str | None = None, **options: Any,
) -> CommitInfo:  # fmt: skip
    """Upload what was saved of a pruned model, with a card: transformers' own would be an empty form.

    Args:
        files: of the folder, those that were written, without a card.
        users_folder: the folder is the user's own and stays; else it is gone after a failure.
        tags: for the head of the card, beside the model's own.
        private: of :func:`create`.
        token, options: of :func:`upload`.

    Raises:
        UserError: as of :func:`one_line_why`.
    """
    place, saved = str(folder) if users_folder else "FOLDER", files

    def in_one_line(files: list[str]) -> AbstractContextManager[None]:
        if users_folder:
            caller, again = "save_pretrained", f"{folder} has the model{' and its card' * (CARD in files)}, try again"
        else:
            caller, again, files = "push_to_hub", f"call it again, or save_pretrained({place}) and upload it", saved
        words = command(repository, place, stale, files=files, private=private, **options)
        return one_line_why(caller, repository, f"{again} with: {words}")

    with in_one_line(files):
        name = create(repository, private=private, token=token)
        if _write_card(model, folder, name, tags, token):
            files = [*files, CARD]
    with in_one_line(files):
        return upload(folder, name, stale, files=files, token=token, **options)


def _write_card(model: Any, folder: Path, name: str, tags: Iterable[str] | None, token: bool | str | None) -> bool:
    """Write a card into a folder, or what a repository's own becomes by tags; whether there is anything to upload."""
    api = HfApi(token=token)
    there = api.file_exists(name, CARD)
    wanted = [*(model.model_tags or []), *(tags or [])]
    if not there and not (folder / CARD).is_file():
        data = ModelCardData(library_name="transformers", tags=["structured-pruning", "prunekit"])
        text = TEXT.format(name=type(model).__name__, repository=name)
        (folder / CARD).write_text(f"---\n{data.to_yaml()}\n---\n\n{text}\n", encoding="utf-8")
    if wanted:
        card = ModelCard.load(api.hf_hub_download(name, CARD) if there else folder / CARD)
        card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *wanted]))
        card.save(folder / CARD)
    return bool(wanted) or not there


@contextmanager
def one_line_why(what: str, repository: str, again: str) -> Iterator[None]:
    """Say in one line why an upload inside failed.

    Args:
        what: asked for it.
        again: where the model is, and how to try again: :func:`command`.

    Raises:
        UserError: the Hub cannot be reached or does not take it: no token, no permission, a name that is none.
    """
    try:
        yield
    except HFValidationError as error:
        raise UserError(f"{what}: {repository!r} is no repository ({first_line(error)}); {again}") from error
    except LocalTokenNotFoundError as error:
        raise UserError(f"{what}: there is no token, `hf auth login` asks for one; {again}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        wrong = "the token is missing, or may not write there" if status in (401, 403) else first_line(error)
        raise UserError(f"{what}: the Hub did not take {repository} ({wrong}); {again}") from error
    except Exception as error:  # of the system, of the network's library, of offline mode: nothing in common
        raise UserError(f"{what}: the Hub cannot be reached ({first_line(error)}); {again}") from error


def command(
    repository: str, folder: str | Path, stale: Collection[str], *, files: Iterable[str] | None = None,
    private: bool | None = None, revision: str | None = None, create_pr: bool = False,
    commit_message: str | None = None, commit_description: str | None = None,
) -> str:  # fmt: skip
    """Does what :func:`create` and :func:`upload` do, with the token that the machine has.

    Args:
        files: of the folder, those that are uploaded; all by default.
    """
    words = ["hf", "upload", repository, str(folder), ".", *["--private"] * bool(private)]
    words += ["--create-pr"] * create_pr
    for option, value in (
        ("--revision", revision), ("--commit-message", commit_message), ("--commit-description", commit_description),
        *(("--include", name) for name in files or ()), *(("--delete", pattern) for pattern in stale),
    ):  # fmt: skip
        words += [] if value is None else [option, value]
    return shlex.join(words)


def check_options(names: Iterable[str]) -> None:
    """Refuse options of ``save_pretrained`` that are not known where it uploads.

    Raises:
        UserError: one that is not.
    """
    known = {"tags", "private", *signature(upload).parameters} - {"folder", "name", "stale", "files"}
    for name in names:
        if name not in known:
            raise UserError(
                f"save_pretrained: {name} is not known where pruned models are uploaded; "
                f"{', '.join(sorted(known | {'repo_id'}))} are"
            )


def times(folder: Path) -> dict[str, int]:
    """When each file of a folder was written, in nanoseconds; none of a folder that is not there."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*") if path.is_file()}

"""Pruned models whose ``push_to_hub`` is called: with a card that says how they load, and no weights of before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from huggingface_hub import CommitOperationDelete, HfApi, ModelCard, ModelCardData

CARD = "README.md"
TEXT = """\
# A pruned {name}

It is of another shape than its family's: `import prunekit.auto`, then transformers loads it, `pipeline` too;
`prunekit.load("{repository}")` does without. `prunekit.export` writes a card that tells more, with its costs."""


def push(plain: Callable[..., Any], model: Any, repository: str, others: tuple[str, ...], **options: Any) -> Any:
    """Upload a pruned model as transformers does.

    A repository without a card gets one first: transformers' own would be an empty form.

    Args:
        plain: transformers' ``push_to_hub``.
        others: names of weights in other forms, which the repository may have from before and would be loaded by; they
            go once the new ones are there.
        options: of ``plain``.
    """
    if options.get("create_pr") or options.get("revision"):  # what is there on the main branch stays as it is
        return plain(model, repository, **options)
    api = HfApi(token=options.get("token"))
    name = api.create_repo(repository, private=options.get("private"), exist_ok=True).repo_id
    if not api.file_exists(name, CARD):
        data = ModelCardData(library_name="transformers", tags=["structured-pruning", "prunekit", "native"])
        card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{TEXT.format(name=type(model).__name__, repository=name)}\n")
        api.upload_file(
            path_or_fileobj=str(card).encode(), path_in_repo=CARD, repo_id=name, commit_message="Say what it is"
        )  # fmt: skip
    pushed = plain(model, repository, **options)
    if stale := [path for path in others if api.file_exists(name, path)]:
        api.create_commit(
            name, [CommitOperationDelete(path) for path in stale], commit_message="Remove weights in another form"
        )
    return pushed

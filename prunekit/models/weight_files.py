"""Which files a saved model has, and that of weights nothing but safetensors of floating-point numbers is read."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers.utils.hub import cached_file

from prunekit.models.pruned_format import GRAPHS, INDEX, PRUNED_WEIGHTS, SHARDS, WEIGHTS
from prunekit.support.errors import UserError, first_line

if TYPE_CHECKING:
    from torch import Tensor

FLOATS = ("F64", "F32", "F16", "BF16")
PARAMETERS = ("weight", "bias")
"""How the names of parameters end; whole numbers under other names are buffers that older versions saved."""
FILES = (
    "config.json", "generation_config.json",
    WEIGHTS, PRUNED_WEIGHTS, SHARDS, INDEX,
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "vocab.txt", "vocab.json", "merges.txt", "target_vocab.json", "*.spm", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
"""Patterns of the names in the folder of a saved model with its tokenizer."""


def write_weights(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the weights of a model, to be read by whoever may read the files beside them."""
    path = folder / WEIGHTS
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(weights), path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors leaves a file that its owner alone may read


def check_weight_files(path: str | Path) -> None:
    """Read the headers of what :meth:`from_pretrained` would read; where the Hub has nothing, it says so itself.

    Raises:
        UserError: a folder without weights, an index that leads to other files than safetensors beside it, weights that
            are no floating-point numbers, or a file that cannot be read.
    """
    names = _names(path)
    if not names:
        if graphs := [name for name in GRAPHS if file_of(path, name) is not None]:
            raise UserError(
                f"{path}: an export for ONNX Runtime, which runs {' and '.join(graphs)}; there are no weights to load, "
                "give the model that it was exported of"
            )
        if Path(path).is_dir():
            raise UserError(f"{path}: no weights here ({PRUNED_WEIGHTS} or {WEIGHTS}), and no other files are read")
    for name in names:
        file = file_of(path, name)
        if file is None:
            raise UserError(f"{path}: unreadable weights ({name} is missing)")
        try:
            with safe_open(file, framework="pt") as tensors:
                kinds = {key: tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118  (no dict)
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{path}: unreadable weights ({name}: {first_line(error)})") from None
        for key, kind in kinds.items():
            if kind not in FLOATS and (kind != "I64" or key.rpartition(".")[2] in PARAMETERS):
                raise UserError(
                    f"{path}/{name}: {key} holds {kind} numbers; quantised weights are not supported, give the model "
                    "that they were made from"
                )


def _names(path: str | Path) -> list[str]:
    for name in (PRUNED_WEIGHTS, WEIGHTS):
        if file_of(path, name) is not None:
            return [name]
    index = file_of(path, INDEX)
    if index is None:
        return []
    try:
        names = sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}/{INDEX}: damaged, it must map names to files in weight_map") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise UserError(f"{path}/{INDEX}: names {name!r}; only safetensors beside it are read")
    return names


def file_of(path: str | Path, name: str) -> str | None:
    """Where a file of a folder or Hub id is; None where it has none or the Hub cannot be asked."""
    try:
        found: str | None = cached_file(
            str(path), name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
    except (OSError, ValueError):
        return None
    return found


def holds_a_model(folder: Path, also: Collection[str] = ()) -> bool:
    """Whether a folder is empty or has nothing but a saved model, and so may be replaced.

    Args:
        also: other patterns of the names of its files.
    """
    files = list(folder.iterdir())
    return not files or (
        folder / "config.json" in files
        and all(file.is_file() and any(fnmatch(file.name, own) for own in (*FILES, *also)) for file in files)
    )

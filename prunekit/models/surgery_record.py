"""The surgery record in ``config.json``: which units of the original model are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VERSIONS = (1, 2)
"""That are read; 2 is written where LayerNorms are gone, which readers of version 1 do not expect."""

LARGEST_INDEX = 10**6
"""Of a unit: a longer range in a damaged record would fill the memory before anything sees that it does not fit."""


@dataclass
class SurgeryRecord:
    """Units that are left, by their index in the original model.

    In JSON every layer is one string of ranges, ``"0-2,5"`` for 0, 1, 2 and 5, empty for none.
    """

    heads: dict[str, list[list[int]]]
    """By attention kind, then layer."""
    neurons: list[list[int]]
    """By FFN layer."""
    removed: dict[str, list[int]]
    """Sublayers without even a bias, by attention kind and ``ffn``."""
    hidden: list[int] | None
    """Dimensions of the residual stream; None, in records that were written before they could go: all."""
    skipped: dict[str, list[int]]
    """Removed sublayers without the LayerNorm after them, by attention kind and ``ffn``."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> SurgeryRecord:
        """The record in a model's configuration, or that everything is left."""
        if hasattr(model.config, "prunekit"):
            record = cls.from_json(model.config.prunekit)
            if record.hidden is None:
                record.hidden = list(range(describe(model).hidden))
            return record
        layout = describe(model)
        return cls(
            heads={kind: [list(range(shape.heads)) for shape in layout.of_kind(kind)] for kind in layout.kinds},
            neurons=[list(range(shape.neurons)) for shape in layout.ffn],
            removed={kind: [] for kind in (*layout.kinds, "ffn")},
            hidden=list(range(layout.hidden)),
            skipped={kind: [] for kind in (*layout.kinds, "ffn")},
        )

    def apply(self, masks: Masks) -> None:
        """Drop what ``masks`` drop; their entries are about the units that were left so far."""
        if masks.hidden is not None and self.hidden is not None:
            self.hidden = _remaining(self.hidden, masks.hidden)
        for kind, rows in self.heads.items():
            rows[:] = [_remaining(row, mask) for row, mask in zip(rows, masks.heads[kind], strict=True)]
        self.neurons[:] = [_remaining(row, mask) for row, mask in zip(self.neurons, masks.neurons, strict=True)]
        for kind, mask in masks.layers.items():
            off = {layer for layer, keep in enumerate(mask.tolist()) if not keep}
            self.removed[kind] = sorted(off.union(self.removed[kind]))
            if masks.skip_norms:
                self.skipped[kind] = sorted(off.union(self.skipped[kind]))
            rows = self.neurons if kind == "ffn" else self.heads[kind]
            for layer in self.removed[kind]:
                rows[layer] = []

    def masks(self, model: PreTrainedModel) -> Masks:
        """Bool masks over an unpruned model of the original sizes.

        Raises:
            UserError: the record does not fit the model.
        """
        masks = Masks.ones(describe(model))
        try:
            for kind, mask in masks.heads.items():
                _fill("heads." + kind, mask, self.heads[kind])
            _fill("neurons", masks.neurons, self.neurons)
            if self.hidden is not None and masks.hidden is not None:
                _fill("hidden", masks.hidden[None], [self.hidden])
            for kind, mask in masks.layers.items():
                removed = self.removed[kind]
                if not all(0 <= layer < len(mask) for layer in removed):
                    raise UserError(f"removed.{kind} is {removed}, the model has {len(mask)} layers")
                mask[removed] = False
        except KeyError as error:
            raise UserError(f"it has no entry for {error}") from None
        return masks

    def to_json(self) -> dict[str, Any]:
        """As ``config.prunekit`` holds it."""
        skips = any(self.skipped.values())
        return {
            "version": VERSIONS[-1] if skips else VERSIONS[0],
            "heads": {kind: [_to_ranges(kept) for kept in layers] for kind, layers in self.heads.items()},
            "neurons": [_to_ranges(kept) for kept in self.neurons],
            "removed": self.removed,
            **({} if self.hidden is None else {"hidden": _to_ranges(self.hidden)}),
            **({"skipped": self.skipped} if skips else {}),
        }

    @classmethod
    def from_json(cls, record: Any) -> SurgeryRecord:
        """Read ``config.prunekit``.

        Raises:
            UserError: it is damaged or of another version.
        """
        if not isinstance(record, dict) or record.get("version") not in VERSIONS:
            version = record.get("version") if isinstance(record, dict) else record
            known = " and ".join(map(str, VERSIONS))
            raise UserError(f"its version is {version!r}, this program reads version {known}")
        try:
            removed = {kind: [int(layer) for layer in layers] for kind, layers in record["removed"].items()}
            skipped = {kind: [int(layer) for layer in record.get("skipped", {}).get(kind, [])] for kind in removed}
            if any(set(layers) - set(removed[kind]) for kind, layers in skipped.items()):
                raise ValueError(f"skipped {skipped} are not all among removed {removed}")
            return cls(
                heads={kind: [_from_ranges(kept) for kept in rows] for kind, rows in record["heads"].items()},
                neurons=[_from_ranges(kept) for kept in record["neurons"]],
                removed=removed,
                skipped=skipped,
                hidden=_from_ranges(record["hidden"]) if "hidden" in record else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"it is damaged ({type(error).__name__}: {error})") from None


def _remaining(indices: list[int], mask: Tensor) -> list[int]:
    return [index for index, keep in zip(indices, mask[: len(indices)].tolist(), strict=True) if keep]


def _fill(name: str, mask: Tensor, rows: list[list[int]]) -> None:
    if len(rows) != len(mask):
        raise UserError(f"{name} has {len(rows)} layers, the model has {len(mask)}")
    width = mask.shape[1]
    for layer, indices in enumerate(rows):
        if indices != sorted(set(indices)) or not all(0 <= index < width for index in indices):
            raise UserError(f"{name} of layer {layer} must be increasing indices below {width}")
        mask[layer] = False
        mask[layer, torch.tensor(indices, dtype=torch.long)] = True


def _to_ranges(indices: list[int]) -> str:
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _from_ranges(text: str) -> list[int]:
    indices: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        start, end = int(first), int(last or first)
        if not 0 <= start <= end <= LARGEST_INDEX:
            raise ValueError(f"{part!r} is no range of units below {LARGEST_INDEX:,}")
        indices.extend(range(start, end + 1))
    return indices

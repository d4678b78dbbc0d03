"""What there is to prune in a model, as :func:`prunekit.describe` reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionShape:
    """An attention sublayer as :func:`prunekit.models.blocks.describe` reports it."""

    kind: str
    layer: int
    heads: int
    head_size: int
    removed: bool


@dataclass(frozen=True)
class FFNShape:
    """An FFN sublayer as :func:`prunekit.models.blocks.describe` reports it."""

    layer: int
    neurons: int
    removed: bool


@dataclass(frozen=True)
class Layout:
    """What there is to prune in a model: one entry per physical sublayer.

    The attention kind of an encoder is ``self``. An encoder-decoder has ``enc-enc``, ``enc-dec`` (cross attention) and
    ``dec-dec``, each with a row per layer of its stack; its FFN rows are the encoder's layers, then the decoder's.
    """

    family: str
    hidden: int
    calls: int
    """Length of the sequence of layers; more than the physical layers where they are shared."""
    attention: tuple[AttentionShape, ...]
    ffn: tuple[FFNShape, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Attention kinds, in the order of the table."""
        return tuple(dict.fromkeys(block.kind for block in self.attention))

    @property
    def is_encoder(self) -> bool:
        """Whether this is an encoder and no encoder-decoder."""
        return self.kinds == ("self",)

    def of_kind(self, kind: str) -> list[AttentionShape]:
        """The attention sublayers of one kind, by layer."""
        return [block for block in self.attention if block.kind == kind]

    @property
    def heads(self) -> int:
        """All heads that are left."""
        return sum(block.heads for block in self.attention)

    @property
    def neurons(self) -> int:
        """All intermediate neurons that are left."""
        return sum(block.neurons for block in self.ffn)

    def __str__(self) -> str:
        def count(number: int, removed: bool) -> str:
            return "removed" if removed else str(number)

        lines = [f"{self.family}: hidden size {self.hidden}, {self.calls} layers"]
        if self.calls != len(self.ffn):
            lines[0] += f" that share {len(self.ffn)} physical"
        for kind in self.kinds:
            shapes = self.of_kind(kind)
            counts = ", ".join(count(shape.heads, shape.removed) for shape in shapes)
            lines.append(f"{kind} heads of size {shapes[0].head_size}, by layer: {counts}")
        order = "" if self.is_encoder else " (encoder, then decoder)"
        lines.append(f"neurons, by layer{order}: " + ", ".join(count(s.neurons, s.removed) for s in self.ffn))
        return "\n".join(lines)

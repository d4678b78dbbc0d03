"""What methods and scores are called, on cards of models and in figures, tables and pages alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A method, or a way to choose units."""

    name: str
    """Of the method, as tables and legends have it."""
    by: str
    """How its units are chosen, as a part of a sentence."""
    paper: str = ""
    """Authors and year."""
    score: str = ""
    """What units are scored by, where that has a name of its own."""

    @property
    def choice(self) -> str:
        """What chooses the units, as a name: the score, where the method is another one."""
        return self.score or self.name

    @property
    def cited(self) -> str:
        """How its units are chosen, with the method's name and paper.

        >>> named("kprune").cited, named("importance").cited
        ('by knowledge scores (K-prune, Park et al. 2024)', 'by importance (Michel et al. 2019)')
        """
        known = [self.name] if self.name not in self.by else []
        return f"{self.by} ({', '.join([*known, self.paper])})" if self.paper else self.by


NAMES = {
    "importance": Named("importance", "by importance", "Michel et al. 2019"),
    "oracle": Named("oracle", "by oracle"),
    "fisher": Named("Fisher pruning", "by Fisher information", "Kwon et al. 2022", "Fisher information"),
    "magnitude": Named("weight magnitude", "by weight magnitude"),
    "random": Named("random", "at random"),
    "flap": Named("FLAP", "by fluctuations of inputs", "An et al. 2024"),
    "kprune": Named("K-prune", "by knowledge scores", "Park et al. 2024"),
    "ziplm": Named("ZipLM", "by second-order removal", "Kurtic et al. 2023"),
    "learned": Named("CoFi", "by learned masks", "Xia et al. 2022"),
    "layers": Named("whole layers", "by whole layers"),
    "dense": Named("small dense Transformer", "by a small dense Transformer"),
}
"""By score, order, method or structure, as settings and records have it."""


def named(choice: str) -> Named:
    """What stands in :data:`NAMES`; a method of somebody else is called as its file is."""
    return NAMES.get(choice, Named(choice, f"by {choice}"))

"""How tags say where entities begin and end: IOB1, IOB2 (BIO) and BIOES (Tjong Kim Sang and Veenstra 1999), and which
tags cannot follow the one before.

Nothing is rewritten: all three are read as CoNLL's own script reads them (:mod:`prunekit.data.tags.entities`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prunekit.config.task_kinds import OF_ENTITIES, OUTSIDE


def of_entities(labels: Iterable[str]) -> bool:
    """Whether all labels are ``O`` or a prefix and a type: then a sequence of them can be impossible."""
    return all(label == OUTSIDE or (label[:1] in OF_ENTITIES and label[1:2] == "-" and label[2:]) for label in labels)


def scheme_of(sentences: Sequence[Sequence[str]]) -> str:
    """``BIOES`` where entities have ends or stand alone (E-, S-); ``IOB1`` where B- only parts neighbours of one type;
    else ``IOB2``."""
    used = {tag[0] for tags in sentences for tag in tags}
    if used & {"E", "S"}:
        return "BIOES"
    starts = [(before, tag) for tags in sentences for before, tag in _neighbours(tags) if not _goes_on(before, tag)]
    if all(tag[0] != "B" for _, tag in starts):
        return "IOB1"
    return "IOB2"


def impossible(tags: Sequence[str], scheme: str) -> list[int]:
    """Places of the tags that cannot follow the one before; the place after the last tag is that of the end."""
    if scheme == "BIOES":
        return [
            place
            for place, (before, tag) in enumerate(_neighbours([*tags, OUTSIDE]))
            if (before[0] in "BI") != (tag[0] in "IE") or (before[0] in "BI" and before[2:] != tag[2:])
        ]
    if scheme == "IOB1":  # I- may begin an entity
        return [place for place, (before, tag) in enumerate(_neighbours(tags))
                if tag[0] == "B" and not _goes_on(before, tag)]  # fmt: skip
    return [place for place, (before, tag) in enumerate(_neighbours(tags))
            if tag[0] == "I" and not _goes_on(before, tag)]  # fmt: skip


def _neighbours(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each tag with the one before."""
    return zip([OUTSIDE, *tags], tags, strict=False)


def _goes_on(before: str, tag: str) -> bool:
    """Whether a tag is of the type of the one before, so that an entity may go on in it."""
    return before != OUTSIDE and tag != OUTSIDE and before[2:] == tag[2:]

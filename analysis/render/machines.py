"""Times of different hardware never share a figure: one item a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.data.frames import by_device
from analysis.data.groups import Group
from analysis.render.output import Item, file_name


def each_machine(
    name: str, groups: Sequence[Group], make: Callable[[str, list[Group], str], Item | None]
) -> list[Item]:
    """One figure or table a machine; the first has the plain name, the others the hardware in it.

    Arguments:
        make: from a name, the groups' runs of one machine and the hardware, to the item, if there is one.
    """
    items: list[Item] = []
    for of_machine in by_device(groups):
        device = of_machine[0].records[0].device
        item = make(file_name(name, device) if items else name, of_machine, device)
        if item is not None:
            items.append(item)
    return items

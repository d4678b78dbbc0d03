"""The vertical axis of differences in points: small ones of good methods are seen beside large ones of bad methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR = 2.0
"""Points up to which an axis is linear that is logarithmic beyond."""
NEAR = 10.0
"""Points within which all of a panel must lie for an axis that is linear as a whole."""
TICKS = (-100, -50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100)
FEW = 6.0
"""Points from end to end of an axis up to which every one has a tick, beyond every second."""
ROOM = 1.25


def is_near(shown: Sequence[float]) -> bool:
    """May the axis be linear as a whole?

    >>> is_near([-3.0, 9.9]), is_near([-10.1, 0.0])
    (True, False)
    """
    return max(map(abs, shown), default=0.0) <= NEAR


def scale(axes: Axes, shown: Sequence[float]) -> None:
    """Limits, ticks and kind of the axis, for all that a panel must show."""
    low, high = ROOM * min([*shown, -1.0]), ROOM * max([*shown, 1.0])
    near = is_near(shown)
    if not near:
        axes.set_yscale("symlog", linthresh=LINEAR, linscale=1.0)
    axes.set_ylim(low, high)
    even = range(-12, 13, 1 if high - low <= FEW else 2)
    ticks = [tick for tick in (even if near else TICKS) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:+g}".replace("-", "\u2212") if tick else "0" for tick in ticks])
    axes.minorticks_off()


def scale_text(bent: Sequence[str]) -> str:
    """A sentence for the caption.

    Arguments:
        bent: panels whose axis is not linear as a whole.
    """
    return f"Vertical axis of {', '.join(bent)}: linear up to {LINEAR:g} points, logarithmic beyond." if bent else ""

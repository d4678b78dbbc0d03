"""How the pages write numbers. Each takes a number, a pair of them, which becomes ``LOW to HIGH``, or a list.

>>> percent(0.881), points(-0.0235), signed((-0.01, 0.034)), seconds_as_hours(29520)
('88.1 %', '-2.4', '-1.0 to +3.4', '8.2')
"""

from __future__ import annotations

import math
from collections.abc import Callable

from analysis.render.output import listed

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
Value = float | tuple[float, float] | list[float]


def fixed(value: Value, digits: int = 2, sign: str = "") -> str:
    """With so many digits.

    >>> fixed([1, 2.5, 3], 1)
    '1.0, 2.5 and 3.0'

    >>> fixed(1.9), fixed(-0.001), fixed((1.656, 2.034)), fixed(11.5, 0)
    ('1.90', '0.00', '1.66 to 2.03', '12')
    """
    if isinstance(value, tuple):
        return " to ".join(fixed(number, digits, sign) for number in value)
    if isinstance(value, list):
        return listed([fixed(number, digits, sign) for number in value])
    return f"{value:{sign}z.{digits}f}"  # z: no -0.0


def percent(share: Value, digits: int = 1) -> str:
    """A share in per cent.

    >>> percent([0.7, 0.701]), percent((0.1, 0.2), 0)
    ('70.0 and 70.1 %', '10 to 20 %')
    """
    return f"{points(share, digits)} %"


def points(share: Value, digits: int = 1) -> str:
    """A share or a difference of shares times 100, without a unit."""
    return fixed(_times(share, 100), digits)


def signed(share: Value, digits: int = 1) -> str:
    """Like :func:`points`, with the sign."""
    return fixed(_times(share, 100), digits, "+")


def thousands(number: float) -> str:
    """
    >>> thousands(24511)
    '24,511'
    """
    return f"{number:,.0f}"


def gigabytes(number: float) -> str:
    """Bytes in whole gigabytes, rounded up: what is enough.

    >>> gigabytes(6.66e9)
    '7'
    """
    return fixed(math.ceil(number / 1e9), 0)


def in_words(number: int) -> str:
    """A small count.

    >>> in_words(3), in_words(12)
    ('three', '12')
    """
    return COUNTS[number] if number < len(COUNTS) else str(number)


def seconds_as_minutes(seconds: Value, digits: int = 0) -> str:
    return fixed(_times(seconds, 1 / 60), digits)


def seconds_as_hours(seconds: Value, digits: int = 1) -> str:
    return fixed(_times(seconds, 1 / 3600), digits)


def _times(value: Value, factor: float) -> Value:
    if isinstance(value, tuple):
        return value[0] * factor, value[1] * factor
    return [number * factor for number in value] if isinstance(value, list) else value * factor


FILTERS: dict[str, Callable[..., str]] = {
    "fixed": fixed,
    "percent": percent,
    "points": points,
    "signed": signed,
    "thousands": thousands,
    "minutes": seconds_as_minutes,
    "hours": seconds_as_hours,
    "listed": listed,
    "gigabytes": gigabytes,
    "in_words": in_words,
}
"""By their names in the templates."""

"""Bars and sparklines, as text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

LEVELS = "▁▂▃▄▅▆▇█"


@lru_cache(maxsize=4096)
def bar(halves: int, width: int) -> tuple[str, str]:
    """The full and the empty part of a bar `width` cells long, `halves` of a cell filled.

    The two differ in weight, not only in the colour that they will get.
    """
    whole, rest = divmod(halves, 2)
    full = "━" * whole + "╸" * rest
    return full, "─" * (width - whole - rest)


def filled(share: float, width: int) -> int:
    """How many half cells `share` (0 to 1) fills; never none for something."""
    return max(1 if share > 0 else 0, min(width * 2, round(share * width * 2)))


def spark(values: Sequence[float | None], top: float, width: int) -> str:
    """The last `width` values as columns from 0 to `top`, newest at the right.

    Where there was no reading, and before the first one, there is nothing.
    """
    shown = values[-width:]
    scale = (len(LEVELS) - 1) / top if top > 0 else 0.0
    return "".join(
        " " if value is None else LEVELS[min(len(LEVELS) - 1, round(value * scale))]
        for value in shown
    ).rjust(width)

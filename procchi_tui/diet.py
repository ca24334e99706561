"""Limits as they are typed."""

from __future__ import annotations

from engine import Limits
from procchi_tui.words import size

UNLIMITED = "unlimited"
_SIZES = ("memory", "memory_high", "swap")


def in_words(limits: Limits) -> dict[str, str]:
    """Each limit as `procchi diet` would take it: `50M`, `0.5`, `50000/200000`, `unlimited`."""
    told = {field: _size(getattr(limits, field)) for field in _SIZES}
    told["pids"] = UNLIMITED if limits.pids is None else str(limits.pids)
    if limits.cpu is None:
        told["cpu"] = UNLIMITED
    elif limits.cpu_period == Limits().cpu_period:
        told["cpu"] = f"{limits.cpu:g}"
    else:
        told["cpu"] = f"{round(limits.cpu * limits.cpu_period)}/{limits.cpu_period}"
    return told


def _size(limit: int | None) -> str:
    """In units, where nothing is lost by it."""
    if not limit:
        return UNLIMITED if limit is None else "0"
    text = size(limit)
    return text if Limits(None, swap=text).swap == limit else str(limit)

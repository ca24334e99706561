"""Numbers and tables as text. Imports nothing: `procchi pets` is here too."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself costs as much as half the interpreter's start
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

DASH = "-"
"""Stands where there is nothing to say."""


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """`rows` as lines, each column as wide as it needs; cut at `width` characters."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = "   ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
    return "\n".join(lines)


def size(amount: float | None) -> str:
    """Bytes in a few characters: 512B, 1.5K, 50M (powers of 1024)."""
    if amount is None:
        return DASH
    steps = 0
    while amount >= 1024 and steps < 4:
        amount, steps = amount / 1024, steps + 1
    digits = f"{amount:.1f}" if amount < 10 and steps else f"{amount:.0f}"
    return digits.removesuffix(".0") + "BKMGT"[steps]


def age(seconds: float) -> str:
    """How long ago, in a few characters: 12s, 3m, 5h, 2d."""
    for unit, length, most in (("s", 1, 60), ("m", 60, 60), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{max(seconds, 0) // length:.0f}{unit}"
    return f"{seconds // 86400:.0f}d"


def count(value: int | None) -> str:
    """A number, if there is one."""
    return DASH if value is None else str(value)


def counted(value: int | None, one: str) -> str:
    """`1 fork`, `3 forks`, and `- forks` where nobody counts them."""
    return f"{count(value)} {one if value == 1 else one + 's'}"


def cpu_time(usec: int | None) -> str:
    """Microseconds as seconds."""
    return DASH if usec is None else f"{usec / 1e6:.2f} s"


def fact(value: float | None, unit: str) -> str:
    """A number of the kernel's as its own file has it, in full, with what it counts."""
    if value is None:
        return "unlimited"
    return {"bytes": f"{value:.0f} B", "usec": f"{value:.0f} µs", "percent": f"{value:g} %"}.get(
        unit, f"{value:g}"
    )


def limit(name: str, limits: Mapping[str, Any]) -> str:
    """The limit called `name` (limits as in Pet.to_json), with a star where nobody enforces it."""
    value = limits[name]
    if value is None:
        return "unlimited"
    shown = str(value) if name == "pids" else f"{value:g}" if name == "cpu" else size(value)
    return shown if name in limits["enforced"] else f"{shown}*"


def usage(name: str, used: str, limits: Mapping[str, Any]) -> str:
    """`used` against the limit called `name`, if there is one."""
    return used if limits[name] is None else f"{used}/{limit(name, limits)}"

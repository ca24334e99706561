"""How much an egg may be, before it counts as a bomb."""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine.errors import BadRequest
from engine.model import GIB, MIB, parse_size

VARIABLE = "PROCCHI_BOUNDS"
"""The environment variable in which whoever pulls allows more, or less."""
MORE = f"if it is honest, allow more: {VARIABLE}="
"""What a refusal ends with, before the bound's name and value."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an archive may unpack to, and a download bring."""

    size: int = 64 * GIB
    """Bytes: of the uncompressed archive, and of its files with their holes."""
    entries: int = 1_000_000
    ratio: int = 200
    """Uncompressed bytes for each compressed one. Distributions have 3 to 6; gzip of nothing but
    zeros 1030, xz and zstd much more."""
    harmless: int = 256 * MIB
    """Bytes that are unpacked whatever the ratio: some small images are mostly zeros."""

    def budget(self, compressed: int) -> int:
        """Bytes that an archive of `compressed` bytes may unpack to."""
        return min(self.size, max(self.harmless, self.ratio * compressed))


def from_environment() -> Bounds:
    """Those that it asks for, as `size=128G entries=2000000 ratio=500`; ours where it is silent.

    Raises BadRequest.
    """
    found: dict[str, int] = {}
    for one in os.environ.get(VARIABLE, "").replace(",", " ").split():
        name, _, value = one.partition("=")
        if name == "size":
            found[name] = parse_size(value, f"{VARIABLE}: size")
        elif name in ("entries", "ratio") and value.isdecimal() and len(value) < 19:
            found[name] = int(value)
        else:
            raise BadRequest(
                f"{VARIABLE} has {one[:40]!r}: write it like 'size=128G entries=2000000 ratio=500'"
            )
    return Bounds(**found)

"""Names for pets that have none yet."""

from __future__ import annotations

from collections.abc import Container
from itertools import count

import assets


def free_name(taken: Container[str]) -> str:
    """The first name of our list that is free, then the first one numbered: moka, …, moka-2."""
    names = assets.text("names.txt").split()
    for name in names:
        if name not in taken:
            return name
    return next(
        name for number in count(2) for base in names if (name := f"{base}-{number}") not in taken
    )


def clone_name(name: str, taken: Container[str]) -> str:
    """A free name that tells where it comes from: moka-2, then moka-3."""
    base, dash, last = name.rpartition("-")
    if not (dash and last.isdecimal()):
        base = name
    return next(new for number in count(2) if (new := f"{base[:56]}-{number}") not in taken)

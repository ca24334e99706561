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

"""Words in letters of three lines, for a projector: assets/letters.toml in half blocks."""

from __future__ import annotations

from functools import cache, lru_cache

import assets

_CELLS = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}


@cache
def _letters() -> dict[str, list[str]]:
    return {letter: rows.split() for letter, rows in assets.table("letters.toml").items()}


@lru_cache(maxsize=1024)
def large(word: str, width: int) -> tuple[str, ...] | None:
    """`word` in three lines of at most `width` cells; None where it cannot be so large."""
    known = _letters()
    if not word or any(letter not in known for letter in word.upper()):
        return None
    pixels = [
        ".".join(rows) for rows in zip(*(known[letter] for letter in word.upper()), strict=True)
    ]
    if len(pixels[0]) > width:
        return None
    pixels.append("." * len(pixels[0]))
    return tuple(
        "".join(_CELLS[upper + lower] for upper, lower in zip(*pair, strict=True))
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    )

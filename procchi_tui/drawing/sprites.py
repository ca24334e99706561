"""Sprites: pixel art from assets/sprites.toml, turned into half-block characters.

A cell shows two pixels, one above the other: `▀` in the colour of the upper on the colour of
the lower. What has been composed once is kept; a nest of a thousand pets shares a few hundred
pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from rich.segment import Segment
from rich.style import Style

import assets

Row = tuple[Segment, ...]
"""A line of characters and their styles, of a known width."""

UPPER, LOWER, FULL = "▀", "▄", "█"
NOTHING = "."


class Look(NamedTuple):
    """Everything a picture of a pet depends on."""

    stage: str
    mood: str
    coat: str
    pose: int = 0
    """Which of the body's two frames."""
    face: int = 0
    """Which of the face's two frames."""


@cache
def _art() -> dict[str, Any]:
    return assets.table("sprites.toml")


@cache
def size() -> tuple[int, int]:
    """Width and height of a sprite, in cells."""
    return _art()["width"], _art()["height"] // 2


@cache
def coats() -> tuple[str, ...]:
    """The names of the coats a pet can be born with."""
    return tuple(_art()["coats"])


def coat_of(name: str) -> str:
    """The coat of the pet called `name`: always the same one."""
    return coats()[crc32(name.encode()) % len(coats())]


@lru_cache(maxsize=2048)
def draw(
    look: Look, background: Style, sign: Style, scale: int = 1, *, sixteen: bool = False
) -> tuple[Row, ...]:
    """The rows of a picture, `scale` times the size, on `background`, its signs in `sign`.

    With `sixteen` in the terminal's own colours, whose names are those of rich.color.
    """
    pixels = [
        "".join(pixel * scale for pixel in line) for line in _pixels(look) for _ in range(scale)
    ]
    colours = _colours(look, _art()["sixteen"] if sixteen else _art())
    signs = {(x * scale, y * scale): text for text, x, y in _signs(look)}
    rows = []
    for y, (upper, lower) in enumerate(zip(pixels[::2], pixels[1::2], strict=True)):
        cells = (
            (signs[x, y], background + sign)
            if (x, y) in signs
            else _cell(colours.get(above), colours.get(below), background)
            for x, (above, below) in enumerate(zip(upper, lower, strict=True))
        )
        rows.append(tuple(_merged(cells)))
    return tuple(rows)


def _cell(above: str | None, below: str | None, background: Style) -> tuple[str, Style]:
    if above and below:
        if above == below:
            return FULL, background + _foreground(above)
        return UPPER, _pair(above, below)
    if above:
        return UPPER, background + _foreground(above)
    if below:
        return LOWER, background + _foreground(below)
    return " ", background


@cache
def _foreground(colour: str) -> Style:
    return Style(color=colour)


@cache
def _pair(above: str, below: str) -> Style:
    return Style(color=above, bgcolor=below)


def _merged(cells: Iterator[tuple[str, Style]]) -> Iterator[Segment]:
    text, style = next(cells)
    for character, following in cells:
        if following == style:
            text += character
        else:
            yield Segment(text, style)
            text, style = character, following
    yield Segment(text, style)


def _mood(look: Look) -> dict[str, Any]:
    moods: dict[str, dict[str, Any]] = _art()["moods"]
    return moods.get(look.mood, moods["plain"])


def _pixels(look: Look) -> list[str]:
    bodies = _art()["bodies"]
    body = bodies[_mood(look).get("body", look.stage if look.stage in bodies else "child")]
    left, top = body["faces"][look.pose]
    lines = [list(line) for line in body["frames"][look.pose].split()]
    for y, line in enumerate(_mood(look)["face"][look.face].split()):
        for x, pixel in enumerate(line):
            if pixel != NOTHING:
                lines[top + y][left + x] = pixel
    return ["".join(line) for line in lines]


def _colours(look: Look, palette: dict[str, Any]) -> dict[str, str]:
    tint = _mood(look).get("tint")
    worn: dict[str, str] = palette["tints"][tint] if tint else palette["coats"][look.coat]
    ink: dict[str, str] = palette["ink"]
    return ink | worn


def _signs(look: Look) -> Iterator[tuple[str, int, int]]:
    for text, x, y, when in _mood(look).get("signs", ()):
        if when in ("steady", look.pose):
            yield text, x, y

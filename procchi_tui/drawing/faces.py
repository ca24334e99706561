"""Pets in plain ASCII, from assets/faces.toml."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from rich.segment import Segment
from rich.style import Style

import assets
from procchi_tui.drawing.sprites import Look, Row


@cache
def _art() -> dict[str, Any]:
    return assets.table("faces.toml")


@cache
def size() -> tuple[int, int]:
    """Width and height of a picture, in cells."""
    return _art()["width"], _art()["height"]


@lru_cache(maxsize=2048)
def draw(look: Look, ground: Style, sign: Style, scale: int = 1) -> tuple[Row, ...]:
    """The rows of a picture; with `scale`, in the middle of a larger one: letters do not grow."""
    width, height = size()
    lines = _lines(look, width, height)
    beside, above = width * (scale - 1) // 2, height * (scale - 1)
    blank = (Segment(" " * width * scale, ground),)
    margin = Segment(" " * beside, ground)
    rows: list[Row] = [blank] * above  # it stands on the ground
    signs = {(x, y): text for text, x, y, when in _signs(look) if when in ("steady", look.pose)}
    for y, line in enumerate(lines):
        row: list[Segment] = [margin] if beside else []
        for x, character in enumerate(line):
            put = signs.get((x, y))
            row.append(Segment(put or character, ground + sign if put else ground))
        row += [margin] if beside else []
        rows.append(tuple(Segment.simplify(row)))
    return tuple(rows)


def _lines(look: Look, width: int, height: int) -> list[str]:
    mood = _mood(look)
    bodies = _art()["bodies"]
    body = bodies[mood.get("body", look.stage if look.stage in bodies else "child")]
    lines = [list(line.ljust(width)) for line in body["frames"][look.pose].strip("\n").split("\n")]
    lines = [[" "] * width] * (height - len(lines)) + lines
    left, top = body["face"][look.pose]
    for y, part in enumerate((mood["eyes"], mood["mouth"])):
        for x, character in enumerate(part[look.face]):
            if character != " ":
                lines[top + y][left + x] = character
    return ["".join(line) for line in lines]


def _mood(look: Look) -> dict[str, Any]:
    moods: dict[str, dict[str, Any]] = _art()["moods"]
    return moods.get(look.mood, moods["plain"])


def _signs(look: Look) -> list[tuple[str, int, int, str | int]]:
    signs: list[tuple[str, int, int, str | int]] = _mood(look).get("signs", [])
    return signs

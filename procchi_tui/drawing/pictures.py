"""A pet's picture in the kind of art that the terminal can show."""

from __future__ import annotations

from typing import Literal

from rich.style import Style

from procchi_tui.drawing import faces, sprites
from procchi_tui.drawing.sprites import Look, Row

Tier = Literal["rgb", "16", "ascii"]
"""Half blocks in all colours, half blocks in the terminal's own sixteen, plain ASCII."""


def size() -> tuple[int, int]:
    """Width and height of a picture, in cells: the same in every kind of art."""
    return sprites.size()


def draw(look: Look, tier: Tier, ground: Style, sign: Style, scale: int = 1) -> tuple[Row, ...]:
    """The rows of a picture, `scale` times the size, on `ground`, its signs in `sign`."""
    if tier == "ascii":
        return faces.draw(look, ground, sign, scale)
    return sprites.draw(look, ground, sign, scale, sixteen=tier == "16")

"""The colours: themes of our own beside Textual's, and what ours add to all of them."""

from __future__ import annotations

from functools import cache

from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

import assets

DEFAULT, SIXTEEN = "procchi-night", "procchi-sixteen"
"""To begin with, and where the terminal has no more than sixteen colours."""


@cache
def ours() -> tuple[Theme, ...]:
    """Procchi's own themes."""
    themes = [Theme(name=name, **colours) for name, colours in assets.table("themes.toml").items()]
    for theme in themes:
        if theme.ansi:  # Textual's style sheets need more variables of such a theme
            theme.variables = BUILTIN_THEMES["ansi-dark"].variables | theme.variables
    return tuple(themes)


def names() -> tuple[str, ...]:
    """Every theme there is, ours first."""
    return (*(theme.name for theme in ours()), *BUILTIN_THEMES)


def refusal(name: str) -> str:
    """Why `name` is no theme; empty when it is one."""
    known = names()
    return "" if name in known else f"there is no such theme (there are {', '.join(known)})"


def _theme(name: str) -> Theme:
    return next((theme for theme in ours() if theme.name == name), None) or BUILTIN_THEMES[name]


def colours(name: str) -> dict[str, str]:
    """The theme's colours for a picture; those of ours where it has none of its own."""
    theme = _theme(DEFAULT) if _theme(name).ansi else _theme(name)
    return theme.to_color_system().generate() | own_variables(theme.name) | theme.variables


@cache
def own_variables(name: str) -> dict[str, str]:
    """What our style sheets use beyond Textual's variables, for the theme called `name`."""
    theme = _theme(name)
    if theme.ansi:  # no shades between those that the terminal has
        return dict.fromkeys(("muted", "line", "track"), "ansi_bright_black")
    colours = theme.to_color_system().generate()
    ground, ink = (Color.parse(colours[name]) for name in ("background", "foreground"))
    shares = {"muted": 0.7, "line": 0.35, "track": 0.3}
    return {name: ground.blend(ink, share).hex for name, share in shares.items()}

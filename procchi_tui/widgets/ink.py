"""The styles cards are drawn in, as component classes that the style sheets fill."""

from __future__ import annotations

from textual.widget import Widget

from procchi_tui.drawing.card import Ink

_NAMES = tuple(f"card--{name.replace('_', '-')}" for name in Ink._fields)
INK_CLASSES = set(_NAMES)


def ink_of(widget: Widget) -> Ink:
    """The styles as the theme of the moment has them (Textual keeps each until it changes)."""
    return Ink(*(widget.get_component_rich_style(name) for name in _NAMES))

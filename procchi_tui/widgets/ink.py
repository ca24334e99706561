"""The styles cards are drawn in, as component classes that the style sheets fill."""

from __future__ import annotations

from textual.widget import Widget

from procchi_tui.comfort import ComfortableApp
from procchi_tui.drawing.card import Ink
from procchi_tui.drawing.pictures import Tier
from procchi_tui.terminal_art import Substitutes

_NAMES = {
    name: f"card--{name.replace('_', '-')}"
    for name in Ink._fields
    if name not in Ink._field_defaults
}
INK_CLASSES = set(_NAMES.values())


def ink_of(widget: Widget) -> Ink:
    """The styles as the theme of the moment has them (Textual keeps each until it changes)."""
    styles = {name: widget.get_component_rich_style(css) for name, css in _NAMES.items()}
    substitutes = (one for one in widget.app.get_line_filters() if isinstance(one, Substitutes))
    blocks = not any(one.replaces("█") for one in substitutes)
    return Ink(**styles, art=art_of(widget), blocks=blocks)


def art_of(widget: Widget) -> Tier:
    """The kind of pictures that suits the terminal."""
    app = widget.app
    return app.art if isinstance(app, ComfortableApp) else "rgb"

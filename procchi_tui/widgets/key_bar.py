"""The footer: what can be done here, by which keys."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.events import Resize
from textual.widgets import Footer
from textual.widgets._footer import FooterKey  # it is nowhere else

from procchi_tui.bindings import ALWAYS_SHOWN, LEFT_OUT_FIRST

GAP = 1
"""Cells between two keys."""


class KeyBar(Footer):
    """Textual's footer, without some of its keys where the terminal is too narrow for all.

    Those that do nothing here go first, then verbs that are the same everywhere, then the rest,
    from the right. The help and the palette have all of them.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """As many of the keys as there is room for."""
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        _fit(keys, self.size.width)
        yield from keys

    def on_resize(self, event: Resize) -> None:
        """More of them, or fewer."""
        _fit(list(self.query(FooterKey)), event.size.width)


def _fit(keys: Sequence[FooterKey], width: int) -> None:
    needed = sum(map(_width, keys)) - GAP
    from_the_right = keys[::-1]
    for key in sorted(from_the_right, key=_worth):
        key.display = needed <= width or key.action in ALWAYS_SHOWN
        if not key.display:
            needed -= _width(key)


def _width(key: FooterKey) -> int:
    return cell_len(f"{key.key_display} {key.description}") + GAP


def _worth(key: FooterKey) -> int:
    """What is worth less goes before what is worth more."""
    if key.has_class("-disabled"):
        return -1
    listed = key.action in LEFT_OUT_FIRST
    return LEFT_OUT_FIRST.index(key.action) if listed else len(LEFT_OUT_FIRST)

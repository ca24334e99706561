"""One pet, large."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from procchi_tui.drawing import card as cards
from procchi_tui.drawing.describe import describe
from procchi_tui.drawing.sprites import Row
from procchi_tui.nursery import Nursery
from procchi_tui.widgets.ink import INK_CLASSES, ink_of


class Portrait(Widget):
    """Its picture at twice the size, its mood and why, its gauges and its last minutes."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = INK_CLASSES

    def __init__(self, nursery: Nursery, clock: Callable[[], datetime], name: str) -> None:
        super().__init__()
        self._nursery = nursery
        self._clock = clock
        self._pet = name
        self._pulse = 0
        self._rows: tuple[Row, ...] = ()

    def beat(self, *, moving: bool) -> None:
        """Draw it anew, a step on if `moving`."""
        if moving:
            self._pulse += 1
        if self._pet in self._nursery.pets:
            card = describe(self._nursery, self._pet, self._clock(), self._pulse)
            rows = cards.portrait(card, self.size.width, ink_of(self))
            if rows != self._rows:
                self._rows = rows
                self.refresh()

    async def on_click(self) -> None:
        """More of its last minutes."""
        await self.screen.run_action("history")

    def render_line(self, y: int) -> Strip:
        """A row of it."""
        ground = ink_of(self).ground
        row = self._rows[y] if y < len(self._rows) else (Segment("", ground),)
        return Strip(row).adjust_cell_length(self.size.width, ground)

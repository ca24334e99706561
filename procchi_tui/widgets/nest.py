"""The nest: every pet's card, drawn by one widget.

A widget for each card would cost a core at a hundred pets. Here one ScrollView draws all of
them line by line, only those on the screen, and asks for a repaint of only the lines that
changed. It has its own cursor and finds by itself which card was clicked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.drawing import card as cards
from procchi_tui.drawing.card import Ink, Shape
from procchi_tui.drawing.describe import describe
from procchi_tui.drawing.sprites import Row
from procchi_tui.nursery import Nursery
from procchi_tui.widgets.ink import INK_CLASSES, ink_of


class Nest(ScrollView, can_focus=True):
    """A grid of live cards that flows with the terminal's size."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = keys("move.*")
    COMPONENT_CLASSES: ClassVar[set[str]] = INK_CLASSES
    HELP = (
        "Each card is a real process. The one with the heavy frame and ▸ is in your hand: "
        "the verbs in the footer are about it."
    )

    chosen: reactive[str | None] = reactive(None)
    """The pet in hand."""

    @dataclass
    class Chosen(Message):
        """Another pet was taken in hand."""

        name: str | None

    @dataclass
    class Opened(Message):
        """A card was double-clicked."""

        name: str

    def __init__(self, nursery: Nursery, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._nursery = nursery
        self._clock = clock
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._columns = 1
        self._shape = Shape(cards.NARROWEST, cards.COMPACT_HEIGHT, False)
        self._pulse = 0
        self._drawn: dict[str, tuple[Row, ...]] = {}
        self._ink: Ink | None = None

    # -- what there is to draw

    def rearrange(self) -> None:
        """Pets came or went: give each its place again."""
        self._names = list(self._nursery.pets)
        self._places = {name: index for index, name in enumerate(self._names)}
        if self.chosen not in self._places:
            self.chosen = self._names[0] if self._names else None
        self._lay_out()

    def beat(self, *, moving: bool) -> None:
        """The one tick: draw the cards on the screen anew, with sprites a step on if `moving`."""
        if moving:
            self._pulse += 1
        changed: set[int] = set()
        for name in self._visible():
            before = self._drawn.get(name)
            rows = self._draw(name)
            if rows == before:
                continue
            top = self._places[name] // self._columns * self._shape.height
            if before is None:
                changed.update(range(top, top + len(rows)))
            else:
                pairs = enumerate(zip(rows, before, strict=True))
                changed.update(top + y for y, (new, old) in pairs if new != old)
        if changed:
            width, scrolled = self.size.width, self.scroll_offset.y
            self.refresh(*(Region(0, y - scrolled, width, 1) for y in changed))

    def _draw(self, name: str) -> tuple[Row, ...]:
        card = describe(self._nursery, name, self._clock(), self._pulse, chosen=name == self.chosen)
        rows = self._drawn[name] = cards.draw(card, self._shape, self._styles())
        return rows

    def _visible(self) -> list[str]:
        height = self._shape.height
        first = self.scroll_offset.y // height
        last = (self.scroll_offset.y + self.size.height - 1) // height
        return self._names[first * self._columns : (last + 1) * self._columns]

    def _styles(self) -> Ink:
        if self._ink is None:
            self._ink = ink_of(self)
        return self._ink

    def notify_style_update(self) -> None:
        """Forget what was drawn in the old theme."""
        super().notify_style_update()
        self._ink = None
        self._drawn.clear()

    # -- the line API

    def render_line(self, y: int) -> Strip:
        """Line `y` of what is visible: a row of each card that it crosses."""
        self._fit()  # the first paint in a new size comes before its Resize event
        width = self.size.width
        ground = self._styles().ground
        line, row = divmod(y + self.scroll_offset.y, self._shape.height)
        names = self._names[line * self._columns : (line + 1) * self._columns]
        segments: list[Segment] = []
        for name in names:
            rows = self._drawn.get(name) or self._draw(name)
            segments.extend(rows[row])
        used = len(names) * self._shape.width
        segments.append(Segment(" " * max(0, width - used), ground))
        return Strip(segments, max(width, used)).crop(0, width)

    # -- places

    def _fit(self) -> None:
        """Choose the cards' shape for the size there is."""
        width = self.scrollable_content_region.width
        fitting = cards.shape_for(width, self.app.size.height)
        if fitting != (self._columns, self._shape):
            self._columns, self._shape = fitting
            self._drawn.clear()

    def _lay_out(self) -> None:
        self._fit()
        lines = -(-len(self._names) // self._columns)
        width = self.scrollable_content_region.width
        self.virtual_size = Size(width, lines * self._shape.height)
        self._show_chosen()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Flow the cards into the new width."""
        self._lay_out()

    def watch_chosen(self, before: str | None, after: str | None) -> None:
        """Draw both cards anew, and tell."""
        for name in (before, after):
            self._drawn.pop(name or "", None)
            if name in self._places:
                self.refresh(self._region_of(name).translate(-self.scroll_offset))
        self._show_chosen()
        self.post_message(self.Chosen(after))

    def _region_of(self, name: str) -> Region:
        line, column = divmod(self._places[name], self._columns)
        width, height, _ = self._shape
        return Region(column * width, line * height, width, height)

    def _show_chosen(self) -> None:
        if self.chosen in self._places:
            self.scroll_to_region(self._region_of(self.chosen), animate=False, force=True)

    # -- the cursor and the mouse

    def _choose(self, index: int) -> None:
        if self._names:
            self.chosen = self._names[max(0, min(len(self._names) - 1, index))]

    @property
    def _place(self) -> int:
        return self._places.get(self.chosen or "", 0)

    def action_step(self, across: int, down: int) -> None:
        """Move the cursor one card."""
        target = self._place + across + down * self._columns
        if 0 <= target < len(self._names):
            self._choose(target)
        elif down > 0 and self._place // self._columns < (len(self._names) - 1) // self._columns:
            self._choose(len(self._names) - 1)

    def action_along(self, step: int) -> None:
        """Move the cursor to the next card, around the end."""
        if self._names:
            self._choose((self._place + step) % len(self._names))

    def action_end(self, index: int) -> None:
        """Move the cursor to the first card, or with -1 to the last."""
        self._choose(index % len(self._names) if self._names else 0)

    def action_page(self, direction: int) -> None:
        """Move the cursor by as many lines of cards as fit."""
        lines = max(1, self.size.height // self._shape.height)
        self._choose(self._place + direction * lines * self._columns)

    def _at(self, event: events.MouseEvent) -> str | None:
        width, height, _ = self._shape
        column = event.x // width
        line = (event.y + self.scroll_offset.y) // height
        index = line * self._columns + column
        inside = column < self._columns and index < len(self._names)
        return self._names[index] if inside else None

    def on_click(self, event: events.Click) -> None:
        """Take the clicked pet in hand; look at it on a double click."""
        name = self._at(event)
        if name is not None:
            self.chosen = name
            if event.chain == 2:
                self.post_message(self.Opened(name))

    def pet(self) -> Pet | None:
        """The pet in hand."""
        return self._nursery.pets.get(self.chosen or "")

"""The nest: every pet's card, drawn by one widget.

A widget for each card would cost a core at a hundred pets. Here one ScrollView draws all of
them line by line, only those on the screen, and asks for a repaint of only the lines that
changed. It has its own cursor and finds by itself which card was clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine import Event, Pet
from procchi_tui.arrangement import Section
from procchi_tui.bindings import keys
from procchi_tui.drawing import card as cards
from procchi_tui.drawing.card import Ink
from procchi_tui.drawing.describe import describe
from procchi_tui.drawing.layout import Layout
from procchi_tui.drawing.sprites import Row
from procchi_tui.moments import Moments
from procchi_tui.session import Session
from procchi_tui.widgets.ink import INK_CLASSES, ink_of

NOTHING = "No pet is like that. esc shows all of them again."


class Nest(ScrollView, can_focus=True):
    """A grid of live cards that flows with the terminal's size."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = keys("move.*")
    COMPONENT_CLASSES: ClassVar[set[str]] = INK_CLASSES
    HELP = (
        "Each card is a real process. The one with the heavy frame and ▸ is in your hand: "
        "the verbs in the footer are about it, or about all that are marked (✓)."
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

    @dataclass
    class Marked(Message):
        """A card was clicked with ctrl held down."""

        name: str

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._nursery = session.nursery
        self._sections: list[Section] = []
        self._cards = Layout()
        self._pulse = 0
        self._moments = Moments()
        self._drawn: dict[str, tuple[Row, ...]] = {}
        """The cards on the screen, as they were drawn last."""
        self._ink: Ink | None = None

    # -- what there is to draw

    @property
    def names(self) -> list[str]:
        """The pets that have a card, in reading order."""
        return self._cards.names

    def rearrange(self) -> None:
        """Pets came or went, or shall stand otherwise: give each its place again.

        The cursor stays on its pet, and the view with it where it was in sight.
        """
        sections = self._session.arrangement.sections(self._nursery, self._session.clock())
        if sections == self._sections:
            return
        before, seen = self._cards, self._visible()
        followed = self.chosen in seen or self.chosen not in before
        self._sections = sections
        self._cards = Layout(sections, before.columns, before.shape)
        names = self._cards.names
        if self.chosen not in self._cards:
            place = before.names.index(self.chosen) if self.chosen and self.chosen in before else 0
            self.chosen = names[min(place, len(names) - 1)] if names else None
        self._lay_out(show_chosen=followed)

    def notice(self, events: Sequence[Event]) -> None:
        """Show those events on the cards, unless nothing is to move."""
        if self.app.animation_level != "none":
            self._moments.notice(events, self._pulse)

    def beat(self, *, moving: bool) -> None:
        """The one tick: draw the cards on the screen anew, with sprites a step on if `moving`."""
        if moving:
            self._pulse += 1
        changed: set[int] = set()
        drawn = self._drawn
        self._drawn = {}
        for name in self._visible():
            before, rows = drawn.get(name), self._draw(name)
            if rows == before:
                continue
            top = self._cards.region(name).y
            if before is None:
                changed.update(range(top, top + len(rows)))
            else:
                pairs = enumerate(zip(rows, before, strict=True))
                changed.update(top + y for y, (new, old) in pairs if new != old)
        if changed:
            width, scrolled = self.size.width, self.scroll_offset.y
            self.refresh(*(Region(0, y - scrolled, width, 1) for y in changed))

    def _draw(self, name: str) -> tuple[Row, ...]:
        card = describe(
            self._nursery,
            name,
            self._session.clock(),
            self._pulse,
            chosen=name == self.chosen,
            marked=name in self._session.marks,
            moment=self._moments.step(name, self._pulse),
        )
        rows = self._drawn[name] = cards.draw(card, self._cards.shape, self._styles())
        return rows

    def _visible(self) -> list[str]:
        first = self.scroll_offset.y
        return self._cards.between(first, first + self.size.height - 1)

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
        """Line `y` of what is visible: a heading, or a row of each card that it crosses."""
        self._fit()  # the first paint in a new size comes before its Resize event
        width, ink = self.size.width, self._styles()
        line = y + self.scroll_offset.y
        band = self._cards.band(line)
        if band is None:
            words = NOTHING if y == self.size.height // 2 and not self._cards.names else ""
            return Strip([Segment(words.center(width), ink.muted)]).adjust_cell_length(width)
        if band.title:
            return Strip(cards.heading(band.title, width, ink)).adjust_cell_length(width)
        segments: list[Segment] = []
        for name in band.names:
            rows = self._drawn.get(name) or self._draw(name)
            segments.extend(rows[line - band.top])
        used = len(band.names) * self._cards.shape.width
        segments.append(Segment(" " * max(0, width - used), ink.ground))
        return Strip(segments, max(width, used)).crop(0, width)

    # -- places

    def _fit(self) -> None:
        """Choose the cards' shape for the size there is."""
        width = self.scrollable_content_region.width
        columns, shape = cards.shape_for(
            width, self.app.size.height, large=self._session.config.presenter
        )
        if (columns, shape) != (self._cards.columns, self._cards.shape):
            self._cards = Layout(self._sections, columns, shape)
            self._drawn.clear()

    def _lay_out(self, *, show_chosen: bool = True) -> None:
        self._fit()
        width = self.scrollable_content_region.width
        self.virtual_size = Size(width, self._cards.height)
        if show_chosen:
            self._show_chosen()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Flow the cards into the new width."""
        self._lay_out()

    def watch_chosen(self, before: str | None, after: str | None) -> None:
        """Draw both cards anew, and tell."""
        for name in (before, after):
            self._drawn.pop(name or "", None)
            if name is not None and name in self._cards:
                self.refresh(self._cards.region(name).translate(-self.scroll_offset))
        self._show_chosen()
        self.post_message(self.Chosen(after))

    def _show_chosen(self) -> None:
        if self.chosen is not None and self.chosen in self._cards:
            region = self._cards.shown_with(self.chosen)
            self.scroll_to_region(region, animate=False, force=True)

    # -- the cursor and the mouse

    def action_step(self, across: int, down: int) -> None:
        """Move the cursor one card."""
        if self.chosen is not None:
            chosen = self._cards.across(self.chosen, across)
            self.chosen = self._cards.down(chosen, down)

    def action_along(self, step: int) -> None:
        """Move the cursor to the next card, around the end."""
        names = self._cards.names
        if self.chosen is not None:
            self.chosen = names[(names.index(self.chosen) + step) % len(names)]

    def action_end(self, index: int) -> None:
        """Move the cursor to the first card, or with -1 to the last."""
        if self._cards.names:
            self.chosen = self._cards.names[index]

    def action_page(self, direction: int) -> None:
        """Move the cursor by as many lines of cards as fit."""
        lines = max(1, self.size.height // self._cards.shape.height)
        if self.chosen is not None:
            self.chosen = self._cards.down(self.chosen, direction * lines)

    def on_click(self, event: events.Click) -> None:
        """Take the clicked pet in hand; mark it with ctrl; look at it on a double click."""
        name = self._cards.at(event.x, event.y + self.scroll_offset.y)
        if name is not None:
            self.chosen = name
            if event.ctrl:
                self.post_message(self.Marked(name))
            elif event.chain == 2:
                self.post_message(self.Opened(name))

    def pet(self) -> Pet | None:
        """The pet in hand."""
        return self._nursery.pets.get(self.chosen or "")

"""The first screen: the whole nest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.widget import Widget

from engine import Pet
from procchi_tui.nursery import News
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.session import Session
from procchi_tui.widgets.diary import Diary
from procchi_tui.widgets.empty_nest import EmptyNest
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.nest import Nest


class NestScreen(CareScreen):
    """Every pet's card, and the diary."""

    CSS_PATH = "nest.tcss"
    AUTO_FOCUS = "Nest"
    PARTS: ClassVar[tuple[type[Widget], ...]] = (*CareScreen.PARTS, EmptyNest, Nest, Diary)
    HELP = "The nest holds every pet of yours: real processes, drawn from the kernel's numbers."

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._awaited = ""

    def view(self) -> Iterable[Widget]:
        """The cards, or how to get the first one."""
        yield EmptyNest()
        yield Nest(self.session.nursery, self.session.clock)

    def below(self) -> Iterable[Widget]:
        """The diary."""
        yield Diary(self.session.diary)

    def pet(self) -> Pet | None:
        """The one under the cursor."""
        nests = self.query(Nest)
        return nests.first().pet() if nests else None

    def news(self, news: News, *, moved: bool) -> None:
        """Move the cards when pets came or went; the tick draws the rest."""
        nest = self.query_one(Nest)
        if moved:
            nest.rearrange()
            empty = not self.session.nursery.pets
            self.query_one(EmptyNest).display = empty
            nest.display = not empty
            if not empty and self.focused is None:
                nest.focus()
            self._choose_awaited()
        if news.events:
            self.query_one(Diary).refresh()
        self.offer_verbs()

    def choose_when_seen(self, name: str) -> None:
        """Take the pet called `name` in hand; the nest may not have told of it yet."""
        self._awaited = name
        self._choose_awaited()

    def _choose_awaited(self) -> None:
        if self._awaited in self.session.nursery.pets:
            self.query_one(Nest).chosen = self._awaited
            self._awaited = ""

    def beat(self, *, moving: bool) -> None:
        """Draw what changed."""
        self.query_one(Nest).beat(moving=moving)

    def on_nest_chosen(self, message: Nest.Chosen) -> None:
        """Another pet, other verbs."""
        self.offer_verbs()

    def on_nest_opened(self, message: Nest.Opened) -> None:
        """A double click looks."""
        self.action_look()

    def on_feed_panel_left(self, message: FeedPanel.Left) -> None:
        """Back to the cards."""
        self.query_one(Nest).focus()

    def action_look(self) -> None:
        """See the pet in hand up close."""
        pet = self.pet()
        if pet is not None:
            self.app.push_screen(LookScreen(self.session, pet.name))

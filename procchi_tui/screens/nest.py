"""The first screen: the whole nest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.events import DescendantFocus
from textual.widget import Widget

from engine import Pet
from procchi_tui.arrangement import GROUPINGS, ORDERS, Arrangement
from procchi_tui.bindings import keys
from procchi_tui.finding import EVERYTHING
from procchi_tui.nursery import News
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.choice import Choice, ChoiceScreen
from procchi_tui.session import Session
from procchi_tui.undo import Undo
from procchi_tui.widgets.diary import Diary
from procchi_tui.widgets.empty_nest import EmptyNest
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.find_bar import FindBar
from procchi_tui.widgets.nest import Nest

DRIFT_SECONDS = 1.0
"""How often pets are ordered anew by what changes all the time."""


class NestScreen(CareScreen):
    """Every pet's card, and the diary."""

    CSS_PATH = "nest.tcss"
    AUTO_FOCUS = "Nest"
    BINDINGS: ClassVar[list[BindingType]] = keys("find.*", "mark.*")
    PARTS: ClassVar[tuple[type[Widget], ...]] = (
        *CareScreen.PARTS,
        *(EmptyNest, FindBar, Nest, Diary),
    )
    HELP = "The nest holds every pet of yours: real processes, drawn from the kernel's numbers."

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._awaited = ""
        self._told = False
        self._arranged_at = 0.0
        self._arranged_before = session.arrangement

    def view(self) -> Iterable[Widget]:
        """The cards, or how to get the first one."""
        yield EmptyNest()
        yield FindBar(self.session)
        yield Nest(self.session)

    def below(self) -> Iterable[Widget]:
        """The diary."""
        yield Diary(self.session.diary)

    def pet(self) -> Pet | None:
        """The one under the cursor."""
        try:
            return self.query_one(Nest).pet()
        except NoMatches:  # it is being put up
            return None

    def pets(self) -> Sequence[Pet]:
        """Those marked, in the order in which they stand; without marks, the one in hand."""
        pets, marks = self.session.nursery.pets, self.session.marks
        if marks:
            return [pet for name, pet in pets.items() if name in marks]
        return super().pets()

    def news(self, news: News, *, moved: bool) -> None:
        """Move the cards when pets came or went; the tick draws the rest."""
        nest = self.query_one(Nest)
        if moved:
            empty = not self.session.nursery.pets
            self.query_one(EmptyNest).display = empty
            nest.display = not empty
            self._forget_marks()
        now = self.session.nursery.at
        drifted = self.session.arrangement.drifts and now - self._arranged_at >= DRIFT_SECONDS
        if moved or drifted:
            self._arrange()
        if moved:
            if nest.display and self.focused is None:
                nest.focus()
            self._choose_awaited()
        if news.events:
            nest.notice(news.events)
            self._told = True
        self.offer_verbs()

    def _arrange(self) -> None:
        self._arranged_at = self.session.nursery.at
        nest = self.query_one(Nest)
        nest.rearrange()
        self.query_one(FindBar).show(len(nest.names))

    def choose_when_seen(self, name: str) -> None:
        """Take the pet called `name` in hand; the nest may not have told of it yet."""
        self._awaited = name
        self._choose_awaited()

    def _choose_awaited(self) -> None:
        if self._awaited in self.session.nursery.pets:
            nest = self.query_one(Nest)
            if self._awaited in nest.names:  # the filter may hide it
                nest.chosen = self._awaited
            self._awaited = ""

    def beat(self, *, moving: bool) -> None:
        """Draw what changed, all of it at once: each refresh alone would cost a frame."""
        self.query_one(Nest).beat(moving=moving)
        if self._told:
            self._told = False
            self.query_one(Diary).refresh()

    def on_nest_chosen(self, message: Nest.Chosen) -> None:
        """Another pet, other verbs."""
        self.offer_verbs()

    def on_nest_opened(self, message: Nest.Opened) -> None:
        """A double click looks."""
        self.action_look()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """A click on a card leaves the filter's prompt."""
        if isinstance(event.widget, Nest):
            self.query_one(FindBar).leave()

    def on_feed_panel_left(self, message: FeedPanel.Left) -> None:
        """Back to the cards."""
        self.query_one(Nest).focus()

    # -- finding and ordering

    def action_filter(self) -> None:
        """Open the prompt for what to show."""
        self._arranged_before = self.session.arrangement
        self.query_one(FindBar).open()
        self._arrange()

    def on_find_bar_typed(self, message: FindBar.Typed) -> None:
        """Show what was typed so far."""
        self.session.arrangement = replace(self.session.arrangement, filter=message.filter)
        self._arrange()

    def on_find_bar_left(self, message: FindBar.Left) -> None:
        """Back to the cards."""
        self._remember_arrangement(self._arranged_before, "the filter")
        self._arrange()
        self.query_one(Nest).focus()

    def action_order(self) -> None:
        """Ask what to sort by."""
        now = self.session.arrangement

        def answered(value: str | None) -> None:
            order = next((order for order in ORDERS if order == value), None)
            if order is not None:
                self._rearrange(replace(now, order=order, backwards=False), "the order")

        choices = [Choice(order, order, about) for order, about in ORDERS.items()]
        note = "O turns the order round, b groups."
        self.app.push_screen(ChoiceScreen("Order by", choices, now.order, note), answered)

    def action_backwards(self) -> None:
        """Turn the order round."""
        now = self.session.arrangement
        self._rearrange(replace(now, backwards=not now.backwards), "the order")

    def action_group(self) -> None:
        """Group by the next thing."""
        now = self.session.arrangement
        place = GROUPINGS.index(now.grouping)
        grouping = GROUPINGS[(place + 1) % len(GROUPINGS)]
        self._rearrange(replace(now, grouping=grouping), "the grouping")

    def _rearrange(self, arrangement: Arrangement, what: str) -> None:
        before = self.session.arrangement
        self.session.arrangement = arrangement
        self._remember_arrangement(before, what)
        self._arrange()

    def _remember_arrangement(self, before: Arrangement, what: str) -> None:
        def back() -> None:
            self.session.arrangement = before
            self._arrange()

        if before != self.session.arrangement:
            self.session.undos.add(Undo(back, what))

    # -- marking

    def action_mark(self) -> None:
        """Mark the pet in hand, or no longer, and go on to the next."""
        nest = self.query_one(Nest)
        if nest.chosen is not None:
            self._mark(self.session.marks ^ {nest.chosen})
            nest.action_step(1, 0)

    def on_nest_marked(self, message: Nest.Marked) -> None:
        """The same by mouse."""
        self._mark(self.session.marks ^ {message.name})

    def action_mark_all(self) -> None:
        """Mark every pet that is shown."""
        self._mark(self.session.marks.union(self.query_one(Nest).names))

    def action_mark_others(self) -> None:
        """Mark those shown that are not, and unmark those that are."""
        self._mark(self.session.marks.symmetric_difference(self.query_one(Nest).names))

    def action_clear(self) -> None:
        """Show all pets again; once they are, drop the marks."""
        now = self.session.arrangement
        if now.filter.tests:
            self._rearrange(replace(now, filter=EVERYTHING), "the filter")
        elif self.session.marks:
            self._mark(frozenset())

    def _mark(self, marks: frozenset[str]) -> None:
        before = self.session.marks
        if marks != before:
            self.session.undos.add(Undo(lambda: self._set_marks(before), "the marks"))
            self._set_marks(marks)

    def _set_marks(self, marks: frozenset[str]) -> None:
        self.session.marks = marks & self.session.nursery.pets.keys()
        self._arrange()
        self.beat(moving=False)
        self.offer_verbs()

    def _forget_marks(self) -> None:
        self.session.marks &= self.session.nursery.pets.keys()

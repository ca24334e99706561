"""What the screens with a pet in hand have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.carer import HatchOrder
from procchi_tui.nursery import News
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.pull import PullScreen
from procchi_tui.screens.release import ReleaseScreen
from procchi_tui.session import Session
from procchi_tui.widgets.banner import Banner
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.host_bar import HostBar
from procchi_tui.widgets.pulls import Pulls


class CareScreen(Screen[None]):
    """A header, a view of its own, a table to feed at, pulls under way, and a footer."""

    BINDINGS: ClassVar[list[BindingType]] = keys("pet.*", "egg.*")

    PARTS: ClassVar[tuple[type[Widget], ...]] = (HostBar, Banner, Pulls)
    """Those of its widgets that news is shown in."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._verbs: tuple[str | None, bool] = (None, False)

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield HostBar()
        yield Banner()
        yield from self.view()
        yield FeedPanel(self.session)
        yield Pulls(self.session.pulls)
        yield from self.below()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show how things stand already."""
        self.show_session()

    def show_session(self) -> None:
        """Header, banner and pulls, as the session has them now."""
        self.query_one(HostBar).facts = self.session.facts
        self.query_one(Banner).say(self.session.trouble)
        self.query_one(Pulls).show()
        self.offer_verbs()

    def offer_verbs(self) -> None:
        """Make the footer right for the pet in hand, if it is not already."""
        pet = self.pet()
        verbs = (pet.status if pet else None, bool(self.session.pulls))
        if verbs != self._verbs:
            self._verbs = verbs
            self.refresh_bindings()

    @property
    def is_whole(self) -> bool:
        """False while it is being put up or taken down."""
        return self.is_mounted and all(self.query(part) for part in self.PARTS)

    def view(self) -> Iterable[Widget]:
        """What is special about this screen."""
        raise NotImplementedError

    def below(self) -> Iterable[Widget]:
        """What stands under it."""
        return ()

    def pet(self) -> Pet | None:
        """The pet in hand."""
        raise NotImplementedError

    def news(self, news: News, *, moved: bool) -> None:
        """The nursery has learned something; with `moved`, pets came or went."""

    def beat(self, *, moving: bool) -> None:
        """The one tick of the screen; sprites step on when `moving`."""

    # -- the verbs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A verb without a pet to do it to is not offered."""
        if action == "cancel_pull":
            return bool(self.session.pulls)
        if action in ("feed", "doze", "release", "look"):
            pet = self.pet()
            if pet is None:
                return False
            if action in ("feed", "doze") and pet.status == "ghost":
                return None
        return True

    def action_feed(self) -> None:
        """Open the prompt."""
        pet = self.pet()
        if pet is None:
            return
        if pet.status == "asleep":
            self.notify(f"{pet.name} is asleep, and would eat when it wakes: s wakes it.")
            return
        self.query_one(FeedPanel).serve(pet.name)

    def action_doze(self) -> None:
        """Put it to sleep, or wake it."""
        pet = self.pet()
        if pet is not None:
            self.session.carer.doze(pet)

    def action_release(self) -> None:
        """Ask, then let it go."""
        pet = self.pet()
        if pet is None:
            return
        name = pet.name

        def answered(yes: bool | None) -> None:
            if yes:
                self.session.carer.release(name)

        self.app.push_screen(ReleaseScreen(pet), answered)

    def action_hatch(self) -> None:
        """Fill in the form, then hatch."""

        def ordered(order: HatchOrder | None) -> None:
            if order is not None:
                self.session.carer.hatch(order)

        self.app.push_screen(HatchScreen(self.session), ordered)

    def action_pull(self) -> None:
        """Ask which egg, then pull it."""

        def ordered(order: tuple[str, str | None] | None) -> None:
            if order is not None:
                self.session.carer.pull(*order)

        self.app.push_screen(PullScreen(), ordered)

    def action_cancel_pull(self) -> None:
        """Stop the newest pull."""
        self.session.carer.cancel_pull()

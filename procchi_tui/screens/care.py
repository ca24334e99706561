"""What the screens with a pet in hand have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from signal import Signals
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from engine import Pet
from procchi_tui.bindings import CHANGING, keys
from procchi_tui.carer import Changes, HatchOrder
from procchi_tui.nursery import News
from procchi_tui.screens.choice import Choice, ChoiceScreen
from procchi_tui.screens.diet import DietScreen
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.history import HistoryScreen
from procchi_tui.screens.leaving import LeavableScreen
from procchi_tui.screens.pull import PullScreen
from procchi_tui.screens.question import Question
from procchi_tui.screens.release import ReleaseScreen
from procchi_tui.session import Session
from procchi_tui.signals import NOTE, SIGNALS
from procchi_tui.snacks import refusal, snacks
from procchi_tui.views import LOOK, VIEWS, screen_of
from procchi_tui.widgets.banner import Banner
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.host_bar import HostBar
from procchi_tui.widgets.key_bar import KeyBar
from procchi_tui.widgets.pulls import Pulls
from procchi_tui.widgets.tour_card import TourCard
from procchi_tui.words import names_in_words

OF_THE_LIVING = {
    **dict.fromkeys(("feed", "snack", "diet"), ("eats no more", "eat no more")),
    "talk": ("talks no more", "talk no more"),
    "doze": ("sleeps and wakes no more", "sleep and wake no more"),
    "signal": ("gets no more signals", "get no more signals"),
}
"""By verb that is none for ghosts: what one of them does not, and what several do not."""


class CareScreen(LeavableScreen[None]):
    """A header, a view of its own, a table to feed at, pulls under way, and a footer."""

    BINDINGS: ClassVar[list[BindingType]] = keys("pet.*", "egg.*", "view.*")

    PARTS: ClassVar[tuple[type[Widget], ...]] = (HostBar, Banner, FeedPanel, Pulls, TourCard)
    """Those of its widgets that news is shown in."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._whole = False
        self._verbs: tuple[tuple[str, ...], bool] = ((), False)

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield HostBar()
        yield Banner()
        yield from self.view()
        yield FeedPanel(self.session)
        yield Pulls(self.session.pulls)
        yield TourCard()
        yield from self.below()
        yield KeyBar()

    def on_mount(self) -> None:
        """Show how things stand already."""
        self.show_session()

    def show_session(self) -> None:
        """Header, banner and pulls, as the session has them now."""
        self.query_one(HostBar).facts = self.session.facts
        self.query_one(Banner).say(self.session.trouble)
        self.query_one(Pulls).show()
        self.query_one(TourCard).show(self.session.tour)
        self.offer_verbs()

    def show_table(self) -> None:
        """What is eaten, as far as the table is open."""
        self.query_one(FeedPanel).show()

    def offer_verbs(self) -> None:
        """Make the footer right for the pet in hand, if it is not already."""
        verbs = (tuple(sorted({pet.status for pet in self.pets()})), bool(self.session.pulls))
        if verbs != self._verbs:
            self._verbs = verbs
            self.refresh_bindings()

    @property
    def is_whole(self) -> bool:
        """False while it is being put up or taken down."""
        if not self._whole:  # asked at every tick, and a query is not cheap
            self._whole = self.is_mounted and all(self.query(part) for part in self.PARTS)
        return self._whole and self.is_attached and self.app.is_running

    def view(self) -> Iterable[Widget]:
        """What is special about this screen."""
        raise NotImplementedError

    def below(self) -> Iterable[Widget]:
        """What stands under it."""
        return ()

    def pet(self) -> Pet | None:
        """The pet in hand."""
        raise NotImplementedError

    def pets(self) -> Sequence[Pet]:
        """Those that the verbs are about."""
        return self._in_hand()

    def _in_hand(self) -> Sequence[Pet]:
        pet = self.pet()
        return [] if pet is None else [pet]

    def news(self, news: News, *, moved: bool) -> None:
        """The nursery has learned something; with `moved`, pets came or went."""

    def beat(self, *, moving: bool) -> None:
        """The one tick of the screen; sprites step on when `moving`."""

    # -- the verbs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A verb without a pet to do it to is not offered."""
        if self.session.config.read_only and action in CHANGING:
            return None
        if action == "cancel_pull":
            return bool(self.session.pulls)
        if action in ("look", "history", "clone"):
            return self.pet() is not None
        if action in (*OF_THE_LIVING, "release") and not self._meant(action):
            return False
        return None if self.why_not(action) else True

    def why_not(self, action: str) -> str:
        """Why a verb does nothing to those in hand, where that is because they are dead."""
        pets = self._meant(action)
        verbs = OF_THE_LIVING.get(action)
        if verbs is None or not pets or any(pet.status != "ghost" for pet in pets):
            return ""
        names = names_in_words([pet.name for pet in pets])
        if len(pets) == 1:
            return f"{names} is a ghost: it {verbs[0]}. r releases it."
        return f"{names} are ghosts: they {verbs[1]}. r releases them."

    def _meant(self, verb: str) -> Sequence[Pet]:
        """Those that it would be done to: one talks with the pet in hand alone."""
        return self._in_hand() if verb == "talk" else self.pets()

    def _living(self) -> list[Pet]:
        return [pet for pet in self.pets() if pet.status != "ghost"]

    def action_snack(self) -> None:
        """Choose a ready-made meal; it is fed once it was seen, and Enter pressed."""
        config, cgroup = self.session.config, self.session.facts.cgroup
        offered = {snack.name: snack for snack in snacks(config.snacks, cgroup)}

        def answered(name: str | None) -> None:
            if name is None:
                return
            why_not = refusal(offered[name], self._living())
            if why_not:
                self.notify(why_not, severity="warning", markup=False)
            else:
                self.action_feed(offered[name].line)

        choices = [Choice(name, name, it.shows or it.line) for name, it in offered.items()]
        if self._living():
            self.app.push_screen(ChoiceScreen("Feed a snack", choices), answered)

    def action_feed(self, line: str = "") -> None:
        """Open the prompt, with `line` in it."""
        awake = [pet.name for pet in self._living() if pet.status == "alive"]
        asleep = [pet.name for pet in self._living() if pet.status == "asleep"]
        if asleep:
            them = "it" if len(asleep) == 1 else "them"
            self.notify(f"{names_in_words(asleep)} asleep, not fed: s wakes {them}.")
        if awake:
            self.query_one(FeedPanel).serve(awake, line)

    def action_view(self, view: str) -> None:
        """Go to another view, in the place of all that stands over the nest."""
        screen = screen_of(VIEWS[view])
        if isinstance(self, screen):
            return
        above = self.app.screen_stack[2:]
        for _ in above[1:]:
            self.app.pop_screen()
        (self.app.switch_screen if above else self.app.push_screen)(screen(self.session))

    def action_look(self) -> None:
        """See the pet in hand up close."""
        pet = self.pet()
        if pet is not None:
            self.app.push_screen(screen_of(LOOK)(self.session, pet.name))

    def action_history(self) -> None:
        """Its last minutes as a plot."""
        pet = self.pet()
        if pet is not None:
            self.app.push_screen(HistoryScreen(self.session, pet.name))

    def action_talk(self) -> None:
        """A shell in the pet."""
        pet = self.pet()
        if pet is not None:
            self.session.carer.talk(pet.name)

    def action_doze(self) -> None:
        """Put those to sleep that are awake; where none is, wake them all."""
        awake = [pet.name for pet in self._living() if pet.status == "alive"]
        if awake:
            self.session.carer.sleep(awake)
        else:
            self.session.carer.wake([pet.name for pet in self._living()])

    def action_diet(self) -> None:
        """Ask for other limits, then set them."""
        pets = self._living()

        def answered(changes: Changes | None) -> None:
            if changes:
                self.session.carer.diet(pets, changes)

        if pets:
            self.app.push_screen(DietScreen(self.session, pets), answered)

    def action_signal(self) -> None:
        """Ask which, then send it."""
        names = [pet.name for pet in self._living()]

        def answered(name: str | None) -> None:
            if name == Signals.SIGKILL.name:
                self.app.push_screen(_killing(names), sure)
            elif name:
                self.session.carer.signal(names, Signals[name])

        def sure(yes: bool | None) -> None:
            if yes:
                self.session.carer.signal(names, Signals.SIGKILL)

        choices = [Choice(number.name, number.name, about) for number, about in SIGNALS.items()]
        title = f"Signal to {names_in_words(names)}"
        if names:
            self.app.push_screen(ChoiceScreen(title, choices, note=NOTE), answered)

    def action_release(self) -> None:
        """Ask, then let them go."""
        self.ask_to_release(self.pets())

    def ask_to_release(self, pets: Sequence[Pet]) -> None:
        """Ask, then let those go."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.session.carer.release([pet.name for pet in pets])

        if pets:
            self.app.push_screen(ReleaseScreen(pets), answered)

    def action_hatch(self) -> None:
        """Fill in the form, then hatch."""
        self._ask_hatching(None)

    def action_clone(self) -> None:
        """The same form, filled in as the pet in hand is."""
        self._ask_hatching(self.pet())

    def _ask_hatching(self, like: Pet | None) -> None:
        def ordered(order: HatchOrder | None) -> None:
            if order is not None:
                self.session.carer.hatch(order)

        self.app.push_screen(HatchScreen(self.session, like), ordered)

    def action_undo(self) -> None:
        """Take back what was done last."""
        if not self.session.undos:
            self.notify("There is nothing to take back.", timeout=4)
        elif told := self.session.undos.take_back():
            self.notify(f"Taking back: {told}.", timeout=4)

    def action_pull(self) -> None:
        """Ask which egg, then pull it."""

        def ordered(order: tuple[str, str | None] | None) -> None:
            if order is not None:
                self.session.carer.pull(*order)

        self.app.push_screen(PullScreen(), ordered)

    def action_cancel_pull(self) -> None:
        """Stop the newest pull."""
        self.session.carer.cancel_pull()


def _killing(names: Sequence[str]) -> Question:
    them = "it" if len(names) == 1 else "them"
    return Question(
        f"Kill {names_in_words(names)}?",
        "SIGKILL ends PID 1, and with it all other processes inside. What is left is a ghost.",
        yes=f"Kill {them}",
        no=f"Spare {them}",
    )

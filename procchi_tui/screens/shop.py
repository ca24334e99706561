"""The egg shop: the eggs at home, and what the catalogue offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from engine import Egg, EggDetails, Pet, ProcchiError
from procchi_tui.bindings import keys
from procchi_tui.carer import HatchOrder
from procchi_tui.drawing import ware as drawn
from procchi_tui.errands import send
from procchi_tui.facts import Pulling
from procchi_tui.messages import EggRead, EggRemoved, ShelvesRead
from procchi_tui.nursery import News
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.question import Question
from procchi_tui.session import Session
from procchi_tui.wares import Ware, shelves
from procchi_tui.words import count, size


class Shelf(OptionList):
    """The eggs, one a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys("shop.take", "shop.here"),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]


class SearchPrompt(Input):
    """Finds eggs while it is typed in."""

    BINDINGS: ClassVar[list[BindingType]] = keys("shop.found")


class ShopScreen(CareScreen):
    """A list of eggs, and all about the one in hand."""

    CSS_PATH = "shop.tcss"
    AUTO_FOCUS = "Shelf"
    BINDINGS: ClassVar[list[BindingType]] = keys(
        "shop.again", "shop.remove", "shop.search", "shop.back"
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"shop--{name}" for name in ("name", "heading", "label", "here", "fill", "track", "alarm")
    }
    HELP = (
        "An egg is an image: a root file system that pets hatch from. ● is at home, ○ can be "
        "pulled: the size is what there is to fetch. A file, a URL or any image of a registry is "
        "pulled by p. A catalogue of your own, in PROCCHI_CATALOGUE or in the configuration, goes "
        "before ours."
    )

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._at_home: list[Ware] = []
        self._offered: list[Ware] = []
        self._trouble = ""
        self._known: dict[str, EggDetails] = {}
        self._asked: set[str] = set()
        """Eggs that were asked about, once each: one may be past reading, or slow."""
        self._chosen = ""
        self._pulls_before: set[int] = set()

    def view(self) -> Iterable[Widget]:
        """The shelves, and what is known of the egg in hand."""
        with_search = Horizontal(
            Label("/", id="slash"),
            SearchPrompt(placeholder="a name, a word", compact=True),
            Static(id="told", markup=False),
            id="search",
        )
        yield Horizontal(
            Vertical(with_search, Shelf(), id="shelves"),
            VerticalScroll(Static(id="about"), id="details", can_focus=False),
            id="shop",
        )

    def on_mount(self) -> None:
        """Ask what there is."""
        self._read_shelves()

    # -- what there is

    def _read_shelves(self) -> None:
        engine = self.session.engine

        def errand() -> Message:
            eggs = engine.eggs()
            try:
                return ShelvesRead(eggs, engine.catalogue())
            except ProcchiError as error:
                return ShelvesRead(eggs, [], str(error))

        send(self, errand)

    def on_shelves_read(self, message: ShelvesRead) -> None:
        """Put them on the shelves."""
        self._at_home, self._offered = shelves(message.eggs, message.offers)
        self._trouble = message.trouble
        self._forget(set(self._asked))
        self._fill()

    def show_session(self) -> None:
        """The pulls have moved; once one is over, there may be another egg."""
        super().show_session()
        pulls = set(self.session.pulls)
        if self._pulls_before - pulls:
            self._read_shelves()
        self._pulls_before = pulls
        self._draw()

    def news(self, news: News, *, moved: bool) -> None:
        """Pets live on eggs."""
        if moved:
            self._forget(set(self._known))
            self._draw()

    def _forget(self, names: set[str]) -> None:
        self._asked -= names
        self._known = {}

    def pet(self) -> Pet | None:
        """None: it is eggs that are in hand here."""
        return None

    def ware(self) -> Ware | None:
        """The egg in hand."""
        found = (one for one in (*self._at_home, *self._offered) if one.name == self._chosen)
        return next(found, None)

    def _pull_of(self, ware: Ware) -> Pulling | None:
        pulls = self.session.pulls.values()
        return next((one for one in pulls if (one.name or one.reference) == ware.name), None)

    def _pets_on(self, ware: Ware) -> list[str]:
        pets = self.session.nursery.pets.values()
        return [pet.name for pet in pets if ware.egg and pet.egg == ware.name]

    # -- drawing

    def _ink(self, name: str) -> Style:
        return self.get_component_rich_style(f"shop--{name}", partial=True)

    def _row(self, ware: Ware) -> Option:
        line = drawn.row(ware, self._pets_on(ware), self._pull_of(ware), self._ink)
        return Option(line, id=f"egg-{ware.name}")

    def _fill(self, *, typed: bool = False) -> None:
        """Show the eggs that fit what is being looked for.

        The cursor stays on its egg; where the words have just been `typed`, it goes to the first
        that begins so.
        """
        words = self.query_one(SearchPrompt).value
        shelf, options = self.query_one(Shelf), []
        fitting = 0
        for title, wares in (("At home", self._at_home), ("To be had", self._offered)):
            found = [ware for ware in wares if ware.fits(words)]
            if found:
                options += [Option(title, disabled=True), *map(self._row, found)]
            fitting += len(found)
        shelf.clear_options()
        shelf.add_options(options)
        told = count(fitting, "egg") if fitting else "none like that: p pulls by reference"
        self.query_one("#told", Static).update(self._trouble or told)
        names = [option.id for option in options]
        begins = [name for name in names if name and name.startswith(f"egg-{words}")]
        wanted = begins[0] if typed and words and begins else f"egg-{self._chosen}"
        shelf.highlighted = names.index(wanted) if wanted in names else (1 if fitting else None)
        if not fitting:
            self._chosen = ""
        self._draw()

    def _draw(self) -> None:
        """The egg in hand, and the lines of those that are being pulled."""
        if not self.is_whole or not self.query(Shelf):
            return
        shelf = self.query_one(Shelf)
        there = {option.id: option.prompt for option in shelf.options}
        for row in map(self._row, (*self._at_home, *self._offered)):
            if row.id and row.id in there and row.prompt != there[row.id]:
                shelf.replace_option_prompt(row.id, row.prompt)
        about = self.query_one("#about", Static)
        self.refresh_bindings()
        chosen = self.ware()
        if chosen is None:
            about.update("")
            return
        known, name = self._known.get(chosen.name), chosen.name
        if chosen.egg and name not in self._asked:
            self._asked.add(name)
            send(self, lambda: EggRead(self.session.engine.egg(name)))
        now = self.session.clock()
        about.update(drawn.details(chosen, known, self._pull_of(chosen), now, self._ink))

    def on_egg_read(self, message: EggRead) -> None:
        """More is known of an egg."""
        self._known[message.details.egg.name] = message.details
        self._draw()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another egg is in hand."""
        self._chosen = (event.option_id or "").removeprefix("egg-")
        self.query_one("#details").scroll_home(animate=False)
        self._draw()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click on the egg in hand is as Enter."""
        self._chosen = (event.option_id or "").removeprefix("egg-")
        self._draw()

    # -- finding

    def action_search(self) -> None:
        """Find as you type."""
        self.set_focus(self.query_one(SearchPrompt))

    def on_input_changed(self) -> None:
        """Show what fits."""
        self._fill(typed=True)

    def action_found(self) -> None:
        """Back to what was found."""
        self.set_focus(self.query_one(Shelf))

    def action_back(self) -> None:
        """Out of the search; without one, to the nest."""
        prompt = self.query_one(SearchPrompt)
        if prompt.has_focus or prompt.value:
            prompt.value = ""
            self.set_focus(self.query_one(Shelf))
        else:
            self.dismiss()

    # -- the verbs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What makes sense for the egg in hand."""
        ware = self.ware()
        if action in ("look", "clone", "talk", "shop"):
            return False
        if action in ("again", "remove", "hatch_here") and (ware is None or ware.egg is None):
            return False
        if action == "take" and (ware is None or ware.egg is not None):
            return False
        if action in ("take", "again") and ware is not None and self._pull_of(ware):
            return None
        return super().check_action(action, parameters)

    def action_take(self) -> None:
        """Pull the egg in hand."""
        ware = self.ware()
        if ware is not None:
            self.session.carer.pull(ware.name, None)

    def action_again(self) -> None:
        """Pull the egg in hand anew: its source may have another by now."""
        ware = self.ware()
        if ware is not None and ware.egg:
            self.session.carer.pull(ware.egg.source, ware.name, ware.egg.pins)

    def action_hatch_here(self) -> None:
        """What Enter does to an egg at home."""
        self.action_hatch()

    def action_hatch(self) -> None:
        """Hatch from the egg in hand; it is pulled first where it is not here."""
        ware = self.ware()

        def ordered(order: HatchOrder | None) -> None:
            if order is not None:
                self.session.carer.hatch(order)

        if ware is None:
            super().action_hatch()
        else:
            self.app.push_screen(HatchScreen(self.session, egg=ware.name), ordered)

    def action_cancel_pull(self) -> None:
        """Stop the pull of the egg in hand, or the newest."""
        ware = self.ware()
        mine = ware and self._pull_of(ware)
        number = next((n for n, one in self.session.pulls.items() if one is mine), None)
        self.session.carer.cancel_pull(number)

    def action_remove(self) -> None:
        """Ask, then remove the egg in hand."""
        ware = self.ware()
        if ware is None or ware.egg is None:
            return
        if pets := self._pets_on(ware):
            self.notify(
                f"{', '.join(pets)} hatched from {ware.name}: release them first.",
                severity="warning",
                markup=False,
            )
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.session.carer.remove_egg(ware.name, self)

        self.app.push_screen(RemoveScreen(ware.name, ware.egg), answered)

    def on_egg_removed(self, message: EggRemoved) -> None:
        """It may still be had."""
        self._read_shelves()


class RemoveScreen(Question):
    """Asked before an egg is deleted."""

    HELP = "Deleting is what `rmi` does to an image. What other eggs share with it stays."

    def __init__(self, name: str, egg: Egg) -> None:
        super().__init__(
            f"Delete {name}?",
            f"{size(egg.size)} are freed, as far as no other egg shares them. "
            f"To have it again, it must be pulled again from {egg.source}.",
            yes="Delete it",
            no="Keep it",
        )

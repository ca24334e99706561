"""Where the ghosts are: how each died, and what it said last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.nursery import News
from procchi_tui.pages.page import Block
from procchi_tui.screens.care import CareScreen
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.panel import Panel
from procchi_tui.words import age, duration, plain, size

AGES_SECONDS = 10.0
"""How often it is said anew how long ago a ghost died."""


class GraveyardScreen(CareScreen):
    """The ghosts in a list, and the epitaph of the one under the cursor."""

    CSS_PATH = "graveyard.tcss"
    AUTO_FOCUS = "#ghosts"
    BINDINGS: ClassVar[list[BindingType]] = keys("look.back", "graves.*")
    PARTS: ClassVar[tuple[type[Widget], ...]] = (*CareScreen.PARTS, OptionList, Panel)
    HELP = (
        "Pets that died stay as ghosts, with how it came, their last readings and last words, "
        "until they are released."
    )

    def view(self) -> Iterable[Widget]:
        """The list beside the epitaph."""
        yield Horizontal(OptionList(id="ghosts", compact=True), Panel("epitaph"), id="graves")

    def on_mount(self) -> None:
        """Fill the list, and let the time go on."""
        self._fill()
        self.set_interval(AGES_SECONDS, self._show)

    def ghosts(self) -> list[Pet]:
        """Those that are dead, the newest grave first."""
        dead = [pet for pet in self.session.nursery.pets.values() if pet.status == "ghost"]
        return sorted(dead, key=_died, reverse=True)

    def pet(self) -> Pet | None:
        """The one under the cursor."""
        options = self.query_one("#ghosts", OptionList)
        if options.highlighted is None:
            return None
        name = options.get_option_at_index(options.highlighted).id
        return self.session.nursery.pets.get(name or "")

    def news(self, news: News, *, moved: bool) -> None:
        """Some pets died, or were released."""
        if moved or news.pets:
            self._fill()

    def _fill(self) -> None:
        options = self.query_one("#ghosts", OptionList)
        ghosts = self.ghosts()
        listed = [option.id for option in options.options]
        if listed != [ghost.name for ghost in ghosts]:
            before = self.pet()
            options.clear_options()
            options.add_options(
                Option(Text(ghost.name, no_wrap=True, overflow="ellipsis"), id=ghost.name)
                for ghost in ghosts
            )
            names = [ghost.name for ghost in ghosts]
            if names:
                options.highlighted = names.index(before.name) if before in ghosts else 0
        self._show()

    def _show(self) -> None:
        pet = self.pet()
        if pet is None:
            nobody = "a pet that died lies here until it is released; none does now"
            rest = [Block("the graveyard is empty", nobody, [])]
            self.query_one(Panel).show(rest)
        else:
            self.query_one(Panel).show(list(_epitaph(pet, age(_died(pet), self.session.clock()))))
        self.offer_verbs()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show its epitaph."""
        self._show()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a second click looks at it."""
        self.action_look()

    def on_feed_panel_left(self, message: FeedPanel.Left) -> None:
        """Back to the list."""
        self.query_one("#ghosts").focus()

    def action_release_all(self) -> None:
        """Ask, then lay all of them to rest."""
        self.ask_to_release(self.ghosts())

    def action_back(self) -> None:
        """To where one came from."""
        self.dismiss()


def _died(pet: Pet) -> datetime:
    return (pet.epitaph and pet.epitaph.died_at) or pet.created_at


def _epitaph(pet: Pet, ago: str) -> Iterator[Block]:
    end = pet.epitaph
    facts = [("cause", end.cause if end else "nobody saw how")]
    if end and end.died_at:
        seconds = (end.died_at - pet.created_at).total_seconds()
        lived = duration(seconds) if seconds < 60 else age(pet.created_at, end.died_at)
        when = "just now" if ago == "new" else f"{ago} ago"
        facts.append(("died", f"{end.died_at.astimezone():%Y-%m-%d %H:%M:%S} ({when})"))
        facts.append(("lived", lived))
    if end and end.exit_code is not None:
        facts.append(("status", f"{end.exit_code}, as a shell gives it"))
    if end and end.oom_killed:
        facts.append(("OOM killer", "it struck: its cgroup had no memory left"))
    facts += [
        ("egg", pet.egg),
        ("command", " ".join(pet.command) or "the egg's shell"),
        ("meals", str(pet.meals)),
    ]
    yield Block(pet.name, "its epitaph, as the nest wrote it down", facts)
    last = end.last_readings if end else None
    if last:
        rows = [
            ("memory", None if last.memory is None else size(last.memory)),
            ("peak", None if last.memory_peak is None else size(last.memory_peak)),
            ("CPU used", None if last.cpu_usec is None else duration(last.cpu_usec / 1e6)),
            ("OOM kills", None if last.oom_kills is None else str(last.oom_kills)),
        ]
        told = [(name, value) for name, value in rows if value is not None]
        yield Block("last readings", "of its cgroup, before it was gone", told)
    words = plain(end.last_words).strip() if end else ""
    if words:
        yield Block("last words", "the end of its log", [(line,) for line in words.split("\n")])

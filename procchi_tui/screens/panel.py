"""What views that are lines of text have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.nursery import News
from procchi_tui.pages.page import Block
from procchi_tui.screens.care import CareScreen
from procchi_tui.widgets.panel import Panel, holding, search_prompt


class PanelScreen(CareScreen):
    """Blocks of lines that can be searched; drawn anew on a tick after something changed."""

    AUTO_FOCUS = "Panel"
    BINDINGS: ClassVar[list[BindingType]] = keys("look.back", "look.search")
    PARTS: ClassVar[tuple[type[Widget], ...]] = (*CareScreen.PARTS, Panel)

    _stale = True

    def view(self) -> Iterable[Widget]:
        """The lines, and the prompt for what they shall hold."""
        yield search_prompt("show lines that hold…")
        yield Panel("panel")

    def blocks(self) -> Iterable[Block]:
        """The lines."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Show them."""
        self.show()

    def pet(self) -> Pet | None:
        """None: this is about all of them."""
        return None

    def show(self) -> None:
        """Draw them anew."""
        self._stale = False
        wanted = self.query_one("#search", Input).value
        self.query_one(Panel).show(holding(self.blocks(), wanted))

    def news(self, news: News, *, moved: bool) -> None:
        """Draw them at the next tick, however many things happen until then."""
        self._stale = self._stale or moved or bool(news.events)

    def beat(self, *, moving: bool) -> None:
        """Draw what changed."""
        if self._stale:
            self.show()

    def action_search(self) -> None:
        """Ask for what the lines shall hold."""
        search = self.query_one("#search", Input)
        search.display = True
        self.set_focus(search)

    def action_back(self) -> None:
        """To where one came from; from a search, out of it first."""
        search = self.query_one("#search", Input)
        if search.display:
            search.value = ""
            search.display = False
            self.query_one(Panel).focus()
        else:
            self.dismiss()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what holds it so far."""
        if event.input.id == "search":
            self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the lines that were found."""
        if event.input.id == "search":
            self.query_one(Panel).focus()

"""A question before what cannot be taken back."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Label, Static

from procchi_tui.bindings import keys
from procchi_tui.screens.dialogue import Dialogue


class Question(Dialogue[bool]):
    """Yes or no; no is the answer that Enter gives."""

    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = keys("dialogue.yes", "dialogue.no")

    def __init__(self, title: str, words: str, *, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._words, self._yes, self._no = title, words, yes, no

    def compose(self) -> ComposeResult:
        """What would happen, and two buttons."""
        with Vertical(id="dialogue"):
            yield Label(self._title, id="title", markup=False)
            yield Static(self._words, markup=False)
            with Horizontal(id="buttons"):
                yield Button(f"{self._no} (n)", id="no")
                yield Button(f"{self._yes} (y)", id="yes")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        self.dismiss(event.button.id == "yes")

"""The question before a pet is let go."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Label, Static

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.screens.dialogue import Dialogue

LIVING = (
    "Its processes are ended; its cgroup, mounts, files and log are removed. This cannot be undone."
)
DEAD = "Its epitaph, files and log are removed. This cannot be undone."


class ReleaseScreen(Dialogue[bool]):
    """Yes or no; no is the answer that Enter gives."""

    AUTO_FOCUS = "#keep"
    BINDINGS: ClassVar[list[BindingType]] = keys("dialogue.yes", "dialogue.no")
    HELP = "Releasing is what `rm -f` does to a container: nothing of the pet is left."

    def __init__(self, pet: Pet) -> None:
        super().__init__()
        self._pet = pet

    def compose(self) -> ComposeResult:
        """What would happen, and two buttons."""
        ghost = self._pet.status == "ghost"
        with Vertical(id="dialogue"):
            yield Label(f"Release {self._pet.name}?", id="title")
            yield Static(DEAD if ghost else LIVING, markup=False)
            with Horizontal(id="buttons"):
                yield Button("Keep it (n)", id="keep")
                yield Button("Release it (y)", id="release")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        self.dismiss(event.button.id == "release")

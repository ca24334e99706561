"""Talking to a pet: a shell in it, in a terminal of its own."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer, Label

from engine import ProcchiError
from procchi_tui.bindings import keys
from procchi_tui.nest_engine import OpenMeal
from procchi_tui.screens.leaving import LeavableScreen
from procchi_tui.widgets.terminal import Terminal


class TalkScreen(LeavableScreen[str]):
    """One terminal, with a line above that says whose it is."""

    CSS_PATH = "talk.tcss"
    AUTO_FOCUS = "Terminal"
    BINDINGS: ClassVar[list[BindingType]] = keys("talk.*")
    HELP = "You are inside the pet: what you see is what its processes see."

    def __init__(self, pet: str, meal: OpenMeal) -> None:
        super().__init__()
        self._pet = pet
        self._meal = meal

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Label(f" {self._pet}: a shell inside", id="title", markup=False)
        yield Terminal(self._meal)
        yield Footer(show_command_palette=False)

    def on_terminal_over(self, message: Terminal.Over) -> None:
        """The shell has ended, or the nest that could tell."""
        try:
            status = self._meal.wait().exit_code
        except ProcchiError as error:
            self.dismiss(str(error))
        else:
            self.dismiss(f"The shell in {self._pet} ended with status {status}.")

    def action_hang_up(self) -> None:
        """Close the terminal."""
        self.dismiss(f"You have hung up on {self._pet}; its shell gets SIGHUP.")

    def on_unmount(self) -> None:
        """Let the terminal go."""
        self._meal.close()

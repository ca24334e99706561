"""What all dialogues have in common."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import BindingType
from textual.screen import ModalScreen

from procchi_tui.bindings import keys
from procchi_tui.screens.leaving import LeavableScreen

Answer = TypeVar("Answer")


class Dialogue(LeavableScreen[Answer], ModalScreen[Answer]):
    """A question over the nest, which Escape leaves without an answer."""

    CSS_PATH = "dialogue.tcss"
    BINDINGS: ClassVar[list[BindingType]] = keys(
        "dialogue.cancel", "session.help", "session.screenshot"
    )

    @property
    def layers(self) -> tuple[str, ...]:
        """A question is seen whole: toasts lie below it, not on it."""
        return (*super().layers, "dialogue")

    def action_cancel(self) -> None:
        """Close it; nothing is done."""
        self.dismiss(None)

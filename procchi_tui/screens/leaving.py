"""How every screen of ours is left."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import ActiveBinding
from textual.screen import Screen

Answer = TypeVar("Answer")


class LeavableScreen(Screen[Answer]):
    """One that is left once: Textual takes down whatever is on top, however often it is told to."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Take it down with that answer; nothing happens where it is not on top any more."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """Textual's own, which by its name does not know `slash` for a letter to who types."""
        active = super().active_bindings
        if self.focused is not None and self.focused.check_consume_key("slash", "/"):
            active.pop("slash", None)
        return active

"""How every screen of ours is left."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

Answer = TypeVar("Answer")


class LeavableScreen(Screen[Answer]):
    """One that is left once: Textual takes down whatever is on top, however often it is told to."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Take it down with that answer; nothing happens where it is not on top any more."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

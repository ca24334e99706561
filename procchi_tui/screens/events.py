"""All that happened since the session began."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine import Event
from procchi_tui.bindings import keys
from procchi_tui.pages.page import Block
from procchi_tui.screens.panel import PanelScreen
from procchi_tui.telling import sentence


class EventsScreen(PanelScreen):
    """Every event, newest first; they can be held still, and searched by pet or kind."""

    BINDINGS: ClassVar[list[BindingType]] = keys("events.*")
    HELP = (
        "Every event that the nest told of since this session began: `procchi events` prints the "
        "same. Search for a pet's name or a kind (oom, died, mood) to see those alone."
    )
    _held: Sequence[Event] | None = None

    def action_pause(self) -> None:
        """Hold the list still, or let it go on."""
        self._held = list(self.session.diary) if self._held is None else None
        self.show()

    def blocks(self) -> Iterable[Block]:
        """One line an event."""
        events = self.session.diary if self._held is None else self._held
        told = "newest first, as the nest tells them"
        if self._held is not None:
            told = "PAUSED: space goes on"
        yield Block(
            "events",
            told,
            [
                (f"{event.at.astimezone():%H:%M:%S}", event.pet, event.kind, sentence(event))
                for event in reversed(events)
            ]
            or [("", "nothing has happened yet", "", "")],
            ("when", "pet", "kind", "what"),
        )

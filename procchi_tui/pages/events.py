"""What happened to a pet."""

from __future__ import annotations

from collections.abc import Iterable

from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.telling import sentence


class Events(Page):
    """Its events since the session began, newest first."""

    id = "events"
    title = "Events"
    about = "What happened to it in this session"
    of_ghosts = True

    def blocks(self, seen: object, sight: Sight) -> Iterable[Block]:
        """One line an event."""
        yield Block(
            "events",
            "what the nest told of it since this session began (procchi events)",
            [
                (f"{event.at.astimezone():%H:%M:%S}", event.kind, sentence(event))
                for event in reversed(sight.events)
            ]
            or [("", "nothing yet", "")],
        )

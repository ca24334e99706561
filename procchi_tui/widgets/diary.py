"""The newest things that happened in the nest, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from engine import Event
from procchi_tui.telling import sentence


class Diary(Widget):
    """As many of the newest events as there is room for, newest last."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"diary--time", "diary--pet", "diary--grave"}

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self._events = events

    async def on_click(self) -> None:
        """All of them are in a view of their own."""
        await self.screen.run_action("view('events')")

    def render(self) -> Text:
        """One line an event."""
        newest = list(self._events)[-max(1, self.size.height) :]
        if not newest:
            return Text("Nothing has happened since you came.", self._style("time"))
        return Text("\n").join(self._line(event) for event in newest)

    def _line(self, event: Event) -> Text:
        grave = event.kind in ("died", "oom")
        line = Text.assemble(
            (f"{event.at.astimezone():%H:%M:%S}  ", self._style("time")),
            (event.pet, self._style("pet")),
            (f" {sentence(event)}", self._style("grave") if grave else Style()),
        )
        line.truncate(max(1, self.size.width), overflow="ellipsis")
        return line

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"diary--{name}", partial=True)

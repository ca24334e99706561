"""The newest things that happened in the nest, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from engine import Event
from procchi_tui.words import plain

_WORDS = {
    "hatched": "hatched",
    "fed": "is eating",
    "meal-over": "has eaten",
    "mood": "is now",
    "oom": "ate too much: the kernel's OOM killer struck",
    "throttled": "used up its CPU quota and was throttled",
    "asleep": "fell asleep",
    "awake": "woke up",
    "died": "died",
    "adopted": "was adopted by a new nest",
    "released": "was released",
}


def sentence(event: Event) -> str:
    """What happened, without the pet's name."""
    told = _WORDS.get(event.kind, event.kind)
    detail = event.detail
    match event.kind:
        case "mood":
            told += f" {detail.get('mood', '?')}"
            if detail.get("reason"):
                told += f": {detail['reason']}"
        case "fed" | "meal-over":
            command = detail.get("command", ())
            words = list(command) if not isinstance(command, str) else [command]
            if words[:2] == ["sh", "-c"]:
                words = words[2:]
            told += f" {' '.join(map(str, words))}" if words else ""
            if detail.get("exit_code"):
                told += f": exit status {detail['exit_code']}"
        case "died":
            told += f": {detail['cause']}" if detail.get("cause") else ""
        case "hatched":
            told += f" from {detail['egg']}" if detail.get("egg") else ""
    return plain(told).replace("\n", " ")


class Diary(Widget):
    """As many of the newest events as there is room for, newest last."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"diary--time", "diary--pet", "diary--grave"}

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self._events = events

    def render(self) -> Text:
        """One line an event."""
        newest = list(self._events)[-max(1, self.size.height) :]
        if not newest:
            return Text("Nothing has happened yet.", self._style("time"))
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

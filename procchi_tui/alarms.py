"""Deaths and OOM kills, which are told aloud: at once, but never in a flood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine import Event
from procchi_tui.telling import sentence
from procchi_tui.words import count, names_in_words

QUIET_SECONDS = 3.0
"""Between two alarms of a kind; what happens meanwhile is in the next one."""
MANY = {
    "died": "{who} died.",
    "oom": "{who} ate too much: the kernel's OOM killer struck {times}.",
}
"""The kinds of events that are told, and the words for several of them."""


class Alarm(NamedTuple):
    """Something to be told."""

    kind: str
    title: str
    words: str


class Alarms:
    """What is still to be told."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Event]] = {kind: [] for kind in MANY}
        self._told_at = dict.fromkeys(MANY, float("-inf"))

    def notice(self, event: Event) -> None:
        """Something happened; it may be nothing to be told."""
        if event.kind in self._waiting:
            self._waiting[event.kind].append(event)

    def due(self, now: float) -> Iterator[Alarm]:
        """What is to be told at `now`, seconds on any clock that never goes back."""
        for kind, events in self._waiting.items():
            if events and now - self._told_at[kind] >= QUIET_SECONDS:
                self._told_at[kind] = now
                self._waiting[kind] = []
                yield _alarm(kind, events)


def _alarm(kind: str, events: list[Event]) -> Alarm:
    if len(events) == 1:
        return Alarm(kind, events[0].pet, sentence(events[0]))
    pets = list(dict.fromkeys(event.pet for event in events))
    title = pets[0] if len(pets) == 1 else count(len(pets), "pet")
    who = names_in_words(pets)
    return Alarm(kind, title, MANY[kind].format(who=who, times=count(len(events), "time")))

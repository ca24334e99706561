"""Which pets are shown, in which order, under which headings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal, NamedTuple

from engine import Readings
from procchi_tui.finding import EVERYTHING, Filter, Subject
from procchi_tui.moods import TONES, tone
from procchi_tui.nursery import Nursery
from procchi_tui.words import count

Order = Literal["age", "name", "mood", "memory", "cpu", "pids"]
Grouping = Literal["", "mood", "egg"]

_PRESSING = ("alarm", "effort", "calm", "quiet")
_MOODS = {
    mood: place
    for place, mood in enumerate(sorted(TONES, key=lambda mood: _PRESSING.index(tone(mood))))
}
_NEVER_READ = Readings(0.0)


def _mood(it: Subject) -> int:
    return _MOODS.get(it.pet.mood, len(_MOODS))


_KEYS: dict[Order, Callable[[Subject], float | str]] = {
    "age": lambda it: -it.age,
    "name": lambda it: it.pet.name.casefold(),
    "mood": _mood,
    "memory": lambda it: -((it.readings or _NEVER_READ).memory or 0),
    "cpu": lambda it: -(it.cores or 0.0),
    "pids": lambda it: -((it.readings or _NEVER_READ).pids or 0),
}
ORDERS: dict[Order, str] = {
    "age": "oldest first",
    "name": "A to Z",
    "mood": "most pressing first",
    "memory": "most memory first",
    "cpu": "most CPU time first",
    "pids": "most processes first",
}
REVERSED: dict[Order, str] = {
    "age": "youngest first",
    "name": "Z to A",
    "mood": "most pressing last",
    "memory": "least memory first",
    "cpu": "least CPU time first",
    "pids": "fewest processes first",
}
GROUPINGS: tuple[Grouping, ...] = ("", "mood", "egg")


class Section(NamedTuple):
    """Some pets, in order, and what they have in common."""

    title: str
    """Empty where pets are not grouped."""
    names: Sequence[str]


@dataclass(frozen=True)
class Arrangement:
    """How somebody wants to see the nest."""

    filter: Filter = EVERYTHING
    order: Order = "age"
    backwards: bool = False
    grouping: Grouping = ""

    @property
    def drifts(self) -> bool:
        """Whether it can change by readings and moods alone, with no pet coming or going."""
        return (
            bool(self.filter.tests)
            or self.order in ("mood", "memory", "cpu", "pids")
            or self.grouping == "mood"
        )

    @property
    def order_in_words(self) -> str:
        """`oldest first`."""
        return (REVERSED if self.backwards else ORDERS)[self.order]

    def sections(self, nursery: Nursery, now: datetime) -> list[Section]:
        """The pets that are to be seen, those of one section together. Ties stand by age."""
        if self == Arrangement():
            return [Section("", list(nursery.pets))] if nursery.pets else []
        subjects = [
            Subject(
                pet,
                nursery.readings.get(name),
                nursery.cores(name),
                (now - pet.created_at).total_seconds(),
            )
            for name, pet in nursery.pets.items()
        ]
        shown = [subject for subject in subjects if self.filter.matches(subject)]
        shown.sort(key=_KEYS[self.order], reverse=self.backwards)
        if not self.grouping:
            return [Section("", [it.pet.name for it in shown])] if shown else []
        if self.grouping == "mood":
            shown.sort(key=lambda it: (_mood(it), it.pet.mood))
            groups = groupby(shown, key=lambda it: it.pet.mood)
        else:
            shown.sort(key=lambda it: it.pet.egg)
            groups = groupby(shown, key=lambda it: it.pet.egg)
        sections = []
        for title, members in groups:
            names = [it.pet.name for it in members]
            sections.append(Section(f"{title} · {count(len(names), 'pet')}", names))
        return sections

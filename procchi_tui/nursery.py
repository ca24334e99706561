"""What the face knows of the nest: every pet, its latest readings, and the last minute of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine import Event, Pet, Readings, Snapshot

SAMPLE_SECONDS = 1.0
HISTORY_SAMPLES = 120


class Sample(NamedTuple):
    """One second of a pet's past."""

    memory: int | None
    """Bytes in use at its end."""
    cores: float | None
    """CPU time used per second of it."""


@dataclass(slots=True)
class News:
    """What the nest said since the screen last looked, put together into one change."""

    fresh: bool = False
    """True when this tells of the whole nest, and a pet not in it is no longer there."""
    at: float = 0.0
    """Seconds on CLOCK_MONOTONIC, of the latest snapshot."""
    pets: dict[str, Pet] = field(default_factory=dict)
    readings: dict[str, Readings] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Those that changed since the pet itself did."""
    gone: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)

    def add(self, snapshot: Snapshot) -> None:
        """Take in `snapshot`, newer than all that came before."""
        self.at = snapshot.at
        for name in snapshot.gone:
            for known in (self.pets, self.readings, self.reasons):
                known.pop(name, None)
            self.gone.add(name)
        for pet in snapshot.pets:
            self.pets[pet.name] = pet
            self.reasons.pop(pet.name, None)
        self.readings.update(snapshot.readings)
        self.reasons.update(snapshot.reasons)


class Nursery:
    """Every pet by name, in the order in which they hatched."""

    def __init__(self) -> None:
        self.pets: dict[str, Pet] = {}
        self.readings: dict[str, Readings] = {}
        self._reasons: dict[str, str] = {}
        self.eating: dict[str, int] = {}
        """How many meals a pet is having right now."""
        self.at = 0.0
        """Seconds on CLOCK_MONOTONIC, of the latest readings."""
        self._past: dict[str, _Past] = {}
        self._sampled_at = 0.0

    def take(self, news: News) -> bool:
        """Learn the news. True when pets came or went, so that cards must move."""
        gone = news.gone
        if news.fresh:
            gone = gone | (self.pets.keys() - news.pets.keys())
            self.eating.clear()
        for name in gone:
            for known in (self.pets, self.readings, self._reasons, self._past, self.eating):
                known.pop(name, None)
        moved = bool(gone) or any(name not in self.pets for name in news.pets)
        self.pets.update(news.pets)
        for name, pet in news.pets.items():
            self._reasons.pop(name, None)
            if pet.readings and name not in news.readings:
                self.readings[name] = pet.readings
        self.readings.update(news.readings)
        self._reasons.update(news.reasons)
        if moved:
            in_order = sorted(self.pets.values(), key=lambda pet: (pet.created_at, pet.name))
            self.pets = {pet.name: pet for pet in in_order}
        for event in news.events:
            self._meal(event)
        self.at = max(self.at, news.at)
        if news.at - self._sampled_at >= SAMPLE_SECONDS:
            self._sampled_at = news.at
            self._sample(news.at)
        return moved

    def _meal(self, event: Event) -> None:
        meals = self.eating.get(event.pet, 0)
        meals += {"fed": 1, "meal-over": -1}.get(event.kind, 0)
        if meals > 0:
            self.eating[event.pet] = meals
        else:
            self.eating.pop(event.pet, None)

    def _sample(self, at: float) -> None:
        for name, readings in self.readings.items():
            if self.is_over(name):
                continue
            past = self._past.get(name)
            if past is None:
                past = self._past[name] = _Past(at, readings.cpu_usec)
            else:
                past.remember(at, readings)

    def reason(self, name: str) -> str:
        """Why the pet is in the mood that it is in, by the latest numbers."""
        return self._reasons.get(name) or self.pets[name].reason

    def cores(self, name: str) -> float | None:
        """CPU time that the pet used per second, over the last second that was sampled."""
        if self.is_over(name):
            return None
        past = self._past.get(name)
        return past.samples[-1].cores if past and past.samples else None

    def is_over(self, name: str) -> bool:
        """Whether it is a ghost: what is known of it are its last readings, and no news."""
        pet = self.pets.get(name)
        return pet is not None and pet.status == "ghost"

    def history(self, name: str) -> tuple[Sample, ...]:
        """The last two minutes of the pet's life at most, oldest first, one sample a second."""
        past = self._past.get(name)
        return tuple(past.samples) if past else ()

    def count(self) -> Mapping[str, int]:
        """How many pets there are of each status."""
        counts = {"alive": 0, "asleep": 0, "ghost": 0}
        for pet in self.pets.values():
            counts[pet.status] += 1
        return counts


class _Past:
    __slots__ = ("_at", "_cpu_usec", "samples")

    def __init__(self, at: float, cpu_usec: int | None) -> None:
        self._at = at
        self._cpu_usec = cpu_usec
        self.samples: deque[Sample] = deque(maxlen=HISTORY_SAMPLES)

    def remember(self, at: float, readings: Readings) -> None:
        used, before = readings.cpu_usec, self._cpu_usec
        cores = None
        if used is not None and before is not None and at > self._at:
            cores = max(0, used - before) / ((at - self._at) * 1e6)
        self.samples.append(Sample(readings.memory, cores))
        self._at, self._cpu_usec = at, used

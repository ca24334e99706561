"""Sampling for those who watch: one pass over all pets, and only what changed is sent.

Nothing is sampled while nobody watches. A watcher that reads too slowly is sent fewer
snapshots, never older ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from engine.errors import BadRequest
from engine.model import Event, Pet, Readings
from engine.nest.keeper import Keeper
from engine.nest.loop import Loop, Timer

EVENT_HZ = 1.0
"""Samplings a second for those who watch events alone: moods and OOM kills are seen by looking."""
FASTEST_HZ = 20.0
MOST_UNHEARD = 1000
"""Events of homecoming, when nobody can listen yet, that are kept."""

Send = Callable[[dict[str, Any]], None]


class Watcher:
    """One client that watches."""

    def __init__(self, send: Send, is_behind: Callable[[], bool], hz: float | None) -> None:
        self.send, self.is_behind = send, is_behind
        if hz is not None and not 0 < hz <= FASTEST_HZ:
            raise BadRequest(f"{hz} readings a second: choose more than 0, up to {FASTEST_HZ:.0f}")
        self.hz = hz
        self.due = 0.0
        self.facts: dict[str, tuple[Any, ...]] = {}
        """By pet: what it was last told of it, readings and reason aside."""
        self.readings: dict[str, Readings] = {}
        self.reasons: dict[str, str] = {}


class Observatory:
    """Everybody who watches, and the sampling that serves them all."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.keeper: Keeper | None = None
        self.watchers: list[Watcher] = []
        self._timer: Timer | None = None
        self._unheard: list[dict[str, Any]] = []
        """What was told at homecoming, until somebody hears it."""

    def tell(self, event: Event) -> None:
        """Pass an event on to everybody."""
        message = _message(event)
        for watcher in list(self.watchers):  # one that does not read may be hung up on
            watcher.send(message)

    def keep(self, event: Event) -> None:
        """Have an event of homecoming wait for who watches first; past MOST_UNHEARD none does."""
        if len(self._unheard) < MOST_UNHEARD:
            self._unheard.append(_message(event))

    def add(self, watcher: Watcher) -> None:
        """Begin to serve a watcher; the first snapshot comes at once."""
        if not self.watchers:
            self._forget_hits()
        self.watchers.append(watcher)
        unheard, self._unheard = self._unheard, []
        for message in unheard:
            watcher.send(message)
        self._sample()

    def remove(self, watcher: Watcher) -> None:
        """Stop serving it."""
        self.watchers.remove(watcher)
        if not self.watchers:
            self._stop()

    def _forget_hits(self) -> None:
        """What happened while nobody watched is no news, where the kernel does not ring for it."""
        assert self.keeper
        for dweller in self.keeper.visible():
            if dweller.alive:
                self.keeper.read(dweller)  # what is told from here on is what changes from here on
                dweller.hits, dweller.throttled_at = dweller.group.hits(), -math.inf

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        """Read every pet once, send each watcher what is due, and come back in time."""
        if self._timer:
            self._timer.cancel()
        assert self.keeper
        rate = max(watcher.hz or EVENT_HZ for watcher in self.watchers)
        self._timer = self.loop.later(1 / rate, self._sample)
        latest = {d.record.name: self.keeper.read(d, glance=True) for d in self.keeper.visible()}
        for watcher in list(self.watchers):
            if watcher.hz is None or watcher.is_behind():
                continue
            watcher.due += watcher.hz / rate  # a slower watcher gets every so many samplings
            if watcher.due >= 1 or not watcher.facts:
                watcher.due -= min(watcher.due, 1)
                self._send(watcher, latest)

    def _send(self, watcher: Watcher, latest: dict[str, Readings]) -> None:
        assert self.keeper
        at = time.monotonic()  # a reading of a pet in which nothing stirs may be older
        pets: list[Pet] = []
        changed: dict[str, Readings] = {}
        reasons: dict[str, str] = {}
        for dweller in self.keeper.visible():
            name, reason = dweller.record.name, dweller.mood.reason
            readings = latest[name]
            facts = self.keeper.facts(dweller)
            if watcher.facts.get(name) != facts:
                watcher.facts[name] = facts
                pets.append(self.keeper.describe(dweller, readings))
            else:
                known = watcher.readings[name]
                if known is not readings and known[1:] != readings[1:]:
                    changed[name] = readings
                if watcher.reasons[name] != reason:
                    reasons[name] = reason
            watcher.readings[name], watcher.reasons[name] = readings, reason
        gone = [name for name in watcher.facts if name not in latest]
        for name in gone:
            del watcher.facts[name], watcher.readings[name], watcher.reasons[name]
        watcher.send(
            {
                "snapshot": at,
                "pets": [pet.to_json() for pet in pets],
                "readings": changed,
                "reasons": reasons,
                "gone": gone,
            }
        )


def _message(event: Event) -> dict[str, Any]:
    return {
        "event": event.kind,
        "pet": event.pet,
        "at": event.at.isoformat(),
        "detail": dict(event.detail),
    }

"""What happens to a pet in a moment: it hatches, eats, is struck by the OOM killer, dies.

Each is a short run of pictures over whatever the pet looks like otherwise, a step at each of the
screen's ticks; while nobody looks it waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine import Event


class Step(NamedTuple):
    """One picture of a moment."""

    mood: str
    """Of the art's moods."""
    frame: int


def _run(*steps: tuple[str, int], times: int = 1) -> tuple[Step, ...]:
    return tuple(Step(*step) for step in steps for _ in range(times))


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "hatched": _run(("cracking", 0), ("cracking", 1), ("peeking", 0), ("peeking", 1), times=2),
    "fed": _run(*[("eating", 0), ("eating", 1)] * 3),
    "oom": _run(*[("struck", 0), ("struck", 1)] * 4),
    "died": _run(
        ("struck", 0), ("struck", 1), ("struck", 0), ("poof", 0), ("poof", 0), ("poof", 1)
    ),
}
"""By the event that begins it."""


class Moments:
    """Those that go on, by pet."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, int]] = {}

    def notice(self, events: Iterable[Event], pulse: int) -> None:
        """Begin what those events begin; a later one takes the place of an earlier one."""
        for event in events:
            if event.kind in SCRIPTS:
                self._begun[event.pet] = event.kind, pulse

    def step(self, name: str, pulse: int) -> Step | None:
        """The picture of the pet called `name` at `pulse`, if something happens to it."""
        if name not in self._begun:
            return None
        kind, begun = self._begun[name]
        script = SCRIPTS[kind]
        if pulse - begun < len(script):
            return script[max(0, pulse - begun)]
        del self._begun[name]
        return None

"""A pet as the nest holds it, and what its end, or a step that failed, means in words."""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.cgroups import Group
from engine.errors import CommandNotExecutable, CommandNotFound, HatchFailed, ProcchiError
from engine.model import Epitaph, Mood, Readings, Status, format_size
from engine.nest.records import Record

HISTORY = 128
"""Readings kept of each pet, no two of them less than half a second apart: a minute and more."""
APART_SECONDS = 0.5
MEALS_KEPT = 20
"""Care logs of meals kept of each pet."""
NEVER_READ = Readings(0.0)
NOT_YET = Mood("happy", "")
_SIGNALS = {int(number) for number in signal.Signals}

Answer = Callable[[dict[str, Any]], None]
Refuse = Callable[[ProcchiError], None]


@dataclass(slots=True)
class Dweller:
    """A pet as the nest holds it."""

    record: Record
    directory: str
    group: Group
    pidfd: int = -1
    ours: bool = True
    """Whether it is this nest's child: an adopted pet's status belongs to somebody else."""
    mood: Mood = NOT_YET
    history: deque[Readings] = field(default_factory=lambda: deque(maxlen=HISTORY))
    oom_kills: int = 0
    """How many are known, and so are not news."""
    oom_at: float = -math.inf
    """When the latest became known (CLOCK_MONOTONIC): who is counted may take a while to die."""
    meals: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MEALS_KEPT))
    releases: list[tuple[Answer, Refuse]] = field(default_factory=list)
    """Who waits for it to be gone; not empty once it is being released."""

    def remember(self, readings: Readings) -> None:
        """Add to its history; of readings close to one another the latest stays."""
        history = self.history
        if len(history) > 1 and readings.at - history[-2].at < APART_SECONDS:
            history[-1] = readings
        else:
            history.append(readings)

    @property
    def alive(self) -> bool:
        """Whether it has a PID 1 that runs its command."""
        return self.record.phase == "alive"

    @property
    def status(self) -> Status:
        """As clients see it."""
        if not self.alive:
            return "ghost"
        return "asleep" if self.record.asleep else "alive"


def exit_code(status: int) -> int:
    """A wait status as a shell gives it."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def epitaph_of(status: int, oom: bool, last: Readings, released: bool) -> Epitaph:
    if status == -1:
        cause, code = "died while another nest's child: its status is not known", None
    else:
        code = exit_code(status)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in _SIGNALS else f"signal {number}"
            cause = f"killed by {name}"
        else:
            cause = f"exited with status {code}"
    if oom:
        peak = f" at {format_size(last.memory_peak)}" if last.memory_peak else ""
        cause += f": out of memory{peak}"
    elif released:
        cause += ": released by its keeper"
    return Epitaph(cause, datetime.now(UTC), code, oom, last)


def refusal(what: str, command: Sequence[str], step: str, errno: int, said: str) -> ProcchiError:
    """The error that a failed step means to whoever asked."""
    shown = command[0] if command else "a shell"
    if step == "execve":
        if errno == 2:
            return CommandNotFound(f"{what}: its egg has no {shown!r} in the PATH")
        return CommandNotExecutable(f"{what}: {shown!r} cannot be executed ({said})")
    return HatchFailed(f"{what}: at the step {step!r}: {said}")

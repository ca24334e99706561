"""A pet as the nest holds it, and what its end, or a step that failed, means in words."""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from errno import EACCES, ENOENT
from typing import Any

from engine.cgroups import Cgroups, Group
from engine.errors import CommandNotExecutable, CommandNotFound, HatchFailed, ProcchiError
from engine.model import Epitaph, Limits, Mood, Readings, Status, format_size
from engine.moods import Thresholds
from engine.nest.records import Record

HISTORY = 128
"""Readings kept of each pet, no two of them less than half a second apart: a minute and more.
Of a time in which nothing changed the first and the last are kept, however long it was."""
APART_SECONDS = 0.5
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
    cgroups: Cgroups
    """Where its group is: not among the nest's own where it hatched under another kind."""
    group: Group = field(init=False)
    pidfd: int = -1
    ours: bool = True
    """Whether it is this nest's child: an adopted pet's status belongs to somebody else."""
    mood: Mood = NOT_YET
    judged: tuple[Readings, Status, Limits, Thresholds] | None = None
    """What its mood was last judged by."""
    history: deque[Readings] = field(default_factory=lambda: deque(maxlen=HISTORY))
    oom_at: float = -math.inf
    """When the latest OOM kill became known (CLOCK_MONOTONIC): its victim dies a while later."""
    hits: dict[str, int] = field(default_factory=dict)
    """By limit, how often it is known to have run into it."""
    throttled_at: float = -math.inf
    """When it was last seen to be stopped for its CPU limit (CLOCK_MONOTONIC)."""
    eating: set[int] = field(default_factory=set)
    """Numbers of the meals under way."""
    releases: list[tuple[Answer, Refuse]] = field(default_factory=list)
    """Who waits for it to be gone; not empty once it is being released."""
    unsaved: bool = False
    """Whether its record on disk is older than what is known."""
    leaving: bool = False
    """Whether its group is being taken away."""
    gone: Callable[[], None] = lambda: None
    """Called when it is dead and its group is no more."""
    _diet: tuple[Limits, Limits] | None = None

    def __post_init__(self) -> None:
        self.group = self.cgroups.group(self.record.name)

    def diet(self) -> Limits:
        """Those of its limits that the kernel enforces, the others unlimited.

        Asked for at every reading, and so worked out once for each diet.
        """
        record = self.record
        if self._diet is None or self._diet[0] is not record.limits:
            self._diet = record.limits, record.limits.only(record.enforced)
        return self._diet[1]

    def remember(self, readings: Readings) -> None:
        """Add to its history; of readings close to one another the latest stays."""
        history = self.history
        if len(history) > 1 and (
            readings.at - history[-2].at < APART_SECONDS
            or history[-2][1:] == history[-1][1:] == readings[1:]
        ):
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
    if step == "execve" and not command and errno == ENOENT:
        why = "its egg has no shell, and names no command to run: give one behind `--`"
        return CommandNotFound(f"{what}: {why}")
    if step == "execve":
        shown = repr(command[0]) if command else "its egg's shell"
        if errno == ENOENT:
            hint = ": leave the quotes away, or use sh -c '…'" if " " in shown else ""
            where = "" if "/" in shown else " in the PATH"  # execvp(3) looks up no other there
            return CommandNotFound(f"{what}: its egg has no {shown}{where}{hint}")
        hint = ": is it a program? A script of yours needs chmod +x" if errno == EACCES else ""
        return CommandNotExecutable(f"{what}: {shown} cannot be executed: {said}{hint}")
    return HatchFailed(f"{what}: at the step {step!r}: {said}")

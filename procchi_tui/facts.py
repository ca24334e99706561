"""What the session knows beside its pets: the host, and what is being pulled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine import Progress
from procchi_tui.host import Host
from procchi_tui.words import size, time_left


class HostFacts(NamedTuple):
    """What is known of the host and of the nest as a whole."""

    counts: Mapping[str, int]
    """Pets by status."""
    host: Host | None = None
    cgroup: str = ""
    """The kind of control groups; empty while nobody has told."""
    read_only: bool = False
    """Whether nothing can be changed from here."""


class Pulling(NamedTuple):
    """A pull under way."""

    reference: str
    progress: Progress | None = None
    """How far it has come; None before the first sign of it."""
    cancelling: bool = False
    """True once it was asked to stop: it does so at its next sign of progress."""
    rate: float | None = None
    """Bytes a second, of late."""
    left: float | None = None
    """Seconds until this stage is done."""
    name: str | None = None
    """What the egg will be called, where that was said."""

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1."""
        done = self.progress
        return min(1.0, done.done / done.total) if done and done.total else 0.0

    @property
    def pace(self) -> str:
        """Rate and time left in words; empty while nobody can tell."""
        if self.progress is None or self.rate is None or self.progress.stage == "cooking":
            return ""
        left = "" if self.left is None else f", {time_left(self.left)} left"
        return f"{size(self.rate)}/s{left}"

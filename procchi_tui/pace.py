"""How fast a pull goes, and how long it will take: one sum for the screen and the command line."""

from __future__ import annotations

from collections import deque

from engine import Progress
from procchi_tui.words import duration, size

WINDOW_SECONDS = 5.0
"""The pace is that of the last few seconds, so that a line that stalls is seen to stall."""
LEAST_SECONDS = 0.5
"""Before this nobody could tell."""


class Pace:
    """Notes how far a pull is at which moment."""

    def __init__(self) -> None:
        self._stage = ""
        self._noted: deque[tuple[float, int]] = deque()
        self._total: int | None = None

    def note(self, progress: Progress, now: float) -> None:
        """It is so far at `now` (seconds, of a clock that does not jump)."""
        if progress.stage != self._stage:
            self._stage = progress.stage
            self._noted.clear()
        self._total = progress.total
        self._noted.append((now, progress.done))
        while len(self._noted) > 2 and self._noted[1][0] < now - WINDOW_SECONDS:
            self._noted.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None while nobody can tell."""
        if not self._noted:
            return None
        (began, before), (now, done) = self._noted[0], self._noted[-1]
        return (done - before) / (now - began) if now - began >= LEAST_SECONDS else None

    @property
    def left(self) -> float | None:
        """Seconds until this stage is done; None while nobody can tell."""
        if not self.rate or self.rate <= 0 or self._total is None:
            return None
        return max(0, self._total - self._noted[-1][1]) / self.rate

    def words(self, progress: Progress) -> str:
        """`12M of 30M, 3.2M/s, 6 s left`; of a stage that counts files, their number."""
        amount = str if progress.stage == "cooking" else size
        if not progress.done and progress.total is None:
            return ""
        said = [amount(progress.done) + (f" of {amount(progress.total)}" if progress.total else "")]
        if progress.stage == "downloading" and self.rate is not None:
            said.append(f"{size(self.rate)}/s")
        if self.left is not None and self.left >= 1:
            said.append(f"{duration(round(self.left))} left")
        return ", ".join(said)

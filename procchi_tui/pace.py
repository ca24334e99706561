"""How fast a pull goes, and how long it will take: one sum for the screen and the command line."""

from __future__ import annotations

from collections import deque

from engine import Progress
from procchi_tui.words import size, time_left

WINDOW_SECONDS = 5.0
"""The pace is that of the last few seconds, so that a line that stalls is seen to stall."""
LEAST_SECONDS = 0.5
"""Before this nobody could tell."""


class Pace:
    """Notes how far a pull is at which moment."""

    def __init__(self) -> None:
        self._last = Progress("", 0, None)
        self._come = 0
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, progress: Progress, now: float) -> None:
        """It is so far at `now` (seconds, of a clock that does not jump)."""
        if progress.stage == self._last.stage:
            self._come += _come(self._last, progress)
        else:
            self._noted.clear()
        self._last = progress
        self._noted.append((now, self._come))
        while len(self._noted) > 2 and self._noted[1][0] < now - WINDOW_SECONDS:
            self._noted.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None while nobody can tell."""
        if not self._noted:
            return None
        (began, before), (now, come) = self._noted[0], self._noted[-1]
        return (come - before) / (now - began) if now - began >= LEAST_SECONDS else None

    @property
    def left(self) -> float | None:
        """Seconds until this stage is done; None while nobody can tell."""
        if not self.rate or self._last.total is None:
            return None
        return max(0, self._last.total - self._last.done) / self.rate

    def words(self, progress: Progress) -> str:
        """`12M of 30M, 3.2M/s, 6s left`; of a stage that counts files, their number."""
        amount = str if progress.stage == "cooking" else size
        if not progress.done and progress.total is None:
            return ""
        said = [amount(progress.done) + (f" of {amount(progress.total)}" if progress.total else "")]
        if progress.stage == "downloading" and self.rate is not None:
            said.append(f"{size(self.rate)}/s")
        if self.left is not None and self.left >= 1:
            said.append(f"{time_left(self.left)} left")
        return ", ".join(said)


def _come(before: Progress, now: Progress) -> int:
    """What came between the two. A layer that begins may have been kept in part, or whole."""
    if not now.layers:
        return max(0, now.done - before.done)
    known = {layer.digest: layer.done for layer in before.layers if layer.state != "waiting"}
    return sum(max(0, one.done - known.get(one.digest, one.done)) for one in now.layers)

"""Taking back what was done, newest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MOST = 50


class Undo(NamedTuple):
    """One thing that can be taken back."""

    back: Callable[[], None]
    told: str = ""
    """What that was; empty where the nest's answer tells that it is as before."""


class Undos:
    """What can be taken back; of very long ago no more."""

    def __init__(self) -> None:
        self._done: deque[Undo] = deque(maxlen=MOST)

    def __bool__(self) -> bool:
        return bool(self._done)

    def add(self, undo: Undo) -> None:
        """Remember something that was done."""
        self._done.append(undo)

    def take_back(self) -> str:
        """Take back the newest; what that was. Raises IndexError where there is nothing."""
        undo = self._done.pop()
        undo.back()
        return undo.told

"""Keeping the pets' logs bounded: looked at when one has been written to, and not before."""

from __future__ import annotations

from collections.abc import Callable

from engine import logs
from engine.nest.dweller import Dweller
from engine.nest.loop import Loop
from engine.nest.notices import Notices
from engine.syswrap.notice import IN

LAST_WORDS = 1 << 10
"""Bytes of a ghost's log that its epitaph quotes."""
LOG_SECONDS = 2.0
"""How long a log that is written to may grow before it is looked at."""


class Minder:
    """Looks after the logs of living pets. A pet that says nothing costs nothing."""

    def __init__(self, loop: Loop, notices: Notices, complain: Callable[[str], None]) -> None:
        self.loop, self.notices, self.complain = loop, notices, complain

    def mind(self, dweller: Dweller) -> None:
        """Look at its log from now on, until it is dead."""
        if not dweller.alive:
            return
        path = f"{dweller.directory}/log"

        def look() -> None:
            self.loop.later(LOG_SECONDS, lambda: self.mind(dweller))

        try:
            # Once: after it, as much is written as may be, until we look again.
            self.notices.watch(path, IN.MODIFY | IN.ONESHOT, look)
        except OSError:  # no watch is left: look every time
            look()
        self.trim(dweller)  # after the watch is set, so that nothing is written unseen

    def trim(self, dweller: Dweller) -> None:
        """Bound its log now."""
        path = f"{dweller.directory}/log"
        try:
            logs.trim(path)
        except OSError as error:
            self.complain(f"{path} could not be cut: {error}")

    def last_words(self, dweller: Dweller) -> str:
        """The end of its log."""
        try:
            with logs.Log(f"{dweller.directory}/log") as log:
                return log.tail(LAST_WORDS).decode(errors="replace").rstrip()
        except OSError:
            return ""

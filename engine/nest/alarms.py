"""Being rung for when a pet runs into a limit, or is killed for want of memory.

The kernel says so by itself, whoever watches: an OOM kill must be known when it happens, or a death
much later would be put down to it. On cgroup v2 memory.events and pids.events
change, and inotify(7) tells (cgroup-v2.rst); on v1 an eventfd(2) registered in
cgroup.event_control tells of the OOM killer (cgroup-v1/memory.rst), while of refused forks newer
kernels tell nobody there, so they are seen at the next sampling. Nothing is read before it rings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.nest.dweller import Dweller
from engine.nest.loop import Loop
from engine.nest.notices import Notices
from engine.syswrap.notice import IN

QUIET_SECONDS = 0.5
"""A pet that rings is looked at at once, and then not again for this long."""
OOM_SECONDS = (0.02, 1.0)
"""v1 rings before the OOM killer strikes: how soon after it the count is right, and how late."""


@dataclass(slots=True)
class _Alarm:
    watches: list[int] = field(default_factory=list)
    bell: int | None = None
    quiet: bool = False
    rung: bool = False


class Alarms:
    """The alarms of all living pets."""

    def __init__(self, loop: Loop, notices: Notices, look: Callable[[Dweller], None]) -> None:
        self.loop, self.notices, self.look = loop, notices, look
        self._alarms: dict[str, _Alarm] = {}

    def set(self, dweller: Dweller) -> None:
        """Look at a living pet when the kernel says that it has run into a limit.

        Where the kernel will not ring, as for want of watches, it is seen when it is sampled.
        """
        name = dweller.record.name
        if not dweller.alive or name in self._alarms:
            return
        alarm = self._alarms[name] = _Alarm()
        for path in dweller.group.events():
            try:
                alarm.watches.append(
                    self.notices.watch(path, IN.MODIFY, lambda: self._ring(dweller))
                )
            except OSError:
                break
        try:
            alarm.bell = dweller.group.bell()
        except OSError:
            alarm.bell = None
        if alarm.bell is not None:
            self.loop.readable(alarm.bell, lambda: self._oom(dweller))

    def unset(self, name: str) -> None:
        """Ring no more for this pet."""
        if (alarm := self._alarms.pop(name, None)) is None:
            return
        for watch in alarm.watches:
            self.notices.forget(watch)
        if alarm.bell is not None:
            self.loop.forget(alarm.bell)
            os.close(alarm.bell)

    def _oom(self, dweller: Dweller) -> None:
        alarm = self._alarms[dweller.record.name]
        assert alarm.bell is not None
        os.eventfd_read(alarm.bell)
        self._ring(dweller)
        for seconds in OOM_SECONDS:
            self.loop.later(seconds, lambda: self._look(dweller))

    def _ring(self, dweller: Dweller) -> None:
        if (alarm := self._alarms.get(dweller.record.name)) is None:
            return
        if alarm.quiet:
            alarm.rung = True
            return
        alarm.quiet = True
        self.loop.later(QUIET_SECONDS, lambda: self._calm(dweller, alarm))
        self._look(dweller)

    def _calm(self, dweller: Dweller, alarm: _Alarm) -> None:
        alarm.quiet = False
        if alarm.rung:
            alarm.rung = False
            self._ring(dweller)

    def _look(self, dweller: Dweller) -> None:
        if dweller.alive and dweller.record.name in self._alarms:
            self.look(dweller)

"""No control groups: readings from /proc by psutil, sleep by SIGSTOP, and no limit enforced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.cgroups.group import Cgroups, Group
from engine.model import Limits, Readings

if TYPE_CHECKING:
    import psutil

FILES = {
    "memory": "psutil memory_info().rss",
    "cpu_usec": "psutil cpu_times()",
    "pids": "psutil num_threads()",
}


class NoCgroups(Cgroups):
    """Stands in where there is no group to be had, and says why."""

    kind = "none"
    enforced = ()
    files = FILES

    def __init__(self, why: str) -> None:
        self.why = why

    def group(self, name: str, pid: int | None = None) -> Group:
        """The processes in the pid namespace of `pid`."""
        return _Processes(pid)

    def names(self) -> list[str]:
        """None."""
        return []

    def prepare(self) -> None:
        """Nothing to make."""

    def remove(self) -> None:
        """Nothing to remove."""


class _Processes(Group):
    def __init__(self, pid: int | None) -> None:
        self._pid = pid

    def make(self, limits: Limits) -> None:
        pass

    def limit(self, limits: Limits) -> None:
        pass

    def birthplace(self) -> int | None:
        return None

    def doors(self) -> Mapping[str, int]:
        return {}

    def read(self) -> Readings:
        memory = threads = seconds = 0.0
        for process in self._processes():
            times = process.cpu_times()
            memory += process.memory_info().rss
            threads += process.num_threads()
            # what it waited for counts too: a meal's time must not vanish with the meal
            seconds += times.user + times.system + times.children_user + times.children_system
        if not threads:
            return Readings(at=time.monotonic())
        return Readings(
            at=time.monotonic(),
            memory=int(memory),
            cpu_usec=int(seconds * 1e6),
            pids=int(threads),
        )

    def _processes(self) -> Iterator[psutil.Process]:
        """Every process in the pet's pid namespace, as far as it can be read."""
        import psutil  # here only: with control groups the nest needs nothing but the stdlib

        try:
            home = os.stat(f"/proc/{self._pid}/ns/pid").st_ino
        except OSError:
            return
        for pid in psutil.pids():
            try:
                if os.stat(f"/proc/{pid}/ns/pid").st_ino == home:
                    yield psutil.Process(pid)
            except (OSError, psutil.Error):
                continue

    def freeze(self, frozen: bool) -> None:
        # PID 1 last to stop and first to go on: it must not see its children stopped and wonder.
        self._signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            try:
                process.send_signal(number)  # psutil checks pid and start time before
            except Exception as error:
                if type(error).__module__.split(".")[0] != "psutil":
                    raise

    def remove(self) -> bool:
        return True

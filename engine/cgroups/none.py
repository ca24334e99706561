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
    "asleep": "State T (stopped)",
}


SCAN_SECONDS = 0.1
"""How long one look at all of /proc serves: all pets of one sampling share it."""


class NoCgroups(Cgroups):
    """Stands in where there is no group to be had, and says why."""

    kind = "none"
    enforced = ()
    files = FILES

    def __init__(self, why: str) -> None:
        self.why = why
        self._namespaces: dict[int, list[int]] = {}
        self._scanned = -SCAN_SECONDS

    def group(self, name: str) -> Group:
        """The processes in the pid namespace of whoever inhabits it."""
        return _Processes(self)

    def processes(self, namespace: int, fresh: bool) -> list[int]:
        """The pids in the pid namespace with that inode number, as far as they can be read."""
        import psutil  # here only: with control groups the nest needs nothing but the stdlib

        if fresh or time.monotonic() - self._scanned >= SCAN_SECONDS:
            self._namespaces.clear()
            for pid in psutil.pids():
                try:
                    inode = os.stat(f"/proc/{pid}/ns/pid").st_ino
                except OSError:
                    continue
                self._namespaces.setdefault(inode, []).append(pid)
            self._scanned = time.monotonic()
        return self._namespaces.get(namespace, [])

    def names(self) -> list[str]:
        """None."""
        return []

    def prepare(self) -> None:
        """Nothing to make."""

    def remove(self) -> None:
        """Nothing to remove."""


class _Processes(Group):
    def __init__(self, cgroups: NoCgroups) -> None:
        self._cgroups = cgroups
        self._pid = 0

    def inhabit(self, pid: int) -> None:
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
        memory = threads = 0
        seconds = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
                memory += process.memory_info().rss
                threads += process.num_threads()
            except _errors():
                continue
            # what it waited for counts too: a meal's time must not vanish with the meal
            seconds += times.user + times.system + times.children_user + times.children_system
        if not threads:
            return Readings(at=time.monotonic())
        return Readings(
            at=time.monotonic(), memory=memory, cpu_usec=int(seconds * 1e6), pids=threads
        )

    def _processes(self, fresh: bool = False) -> Iterator[psutil.Process]:
        """Every process in the pet's pid namespace, PID 1 first."""
        import psutil

        try:
            namespace = os.stat(f"/proc/{self._pid}/ns/pid").st_ino
        except OSError:
            return
        for pid in self._cgroups.processes(namespace, fresh):
            try:
                yield psutil.Process(pid)
            except psutil.Error:
                continue

    def freeze(self, frozen: bool) -> None:
        self._signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes(fresh=True):
            try:
                process.send_signal(number)  # psutil checks the start time before
            except _errors():
                continue

    def remove(self) -> bool:
        return True


def _errors() -> type[Exception]:
    """What psutil raises for a process that has ended."""
    import psutil

    return psutil.Error

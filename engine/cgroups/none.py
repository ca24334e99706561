"""No control groups: readings from /proc by psutil, sleep by SIGSTOP, and no limit enforced."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.cgroups import stopping
from engine.cgroups.group import Cgroups, Group
from engine.model import Fact, Limits, Readings
from engine.syswrap import call, send_signal, start_time, status_fields

if TYPE_CHECKING:
    import psutil

FILES = {
    "memory": "/proc/PID/statm resident",
    "cpu_usec": "/proc/PID/stat utime + stime",
    "pids": "/proc/PID/status Threads",
    "asleep": stopping.FILE,
}

STATUS = {
    "memory": "VmRSS",
    "memory_anonymous": "RssAnon",
    "memory_file": "RssFile",
    "memory_shared": "RssShmem",
    "swap": "VmSwap",
}
"""By fact: the line of proc_pid_status(5)."""
SCAN_SECONDS = 0.1
"""How long one look at all of /proc serves: all pets of one sampling share it."""


class NoCgroups(Cgroups):
    """Stands in where there is no group to be had, and says why."""

    kind = "none"
    enforced = ()
    files = FILES

    def __init__(self, why: str) -> None:
        self.why = why
        self._members: dict[int, list[int]] = {}
        """By the inode number of a pid namespace: who is in it. A pet has one only (seccomp.py)."""
        self._scanned = -SCAN_SECONDS
        self.own = os.stat("/proc/self/ns/pid").st_ino
        """Of the nest's own pid namespace, which is no pet's."""

    def cap(self, ceiling: Limits, pets: Iterable[tuple[Group, Limits]]) -> None:
        """Nothing to set it on."""

    def group(self, name: str) -> Group:
        """The processes in the pid namespace of whoever inhabits it."""
        return _Processes(self)

    def to_json(self) -> dict[str, Any]:
        """There is no place."""
        return {"kind": self.kind}

    def processes(self, namespace: int, fresh: bool) -> list[int]:
        """The pids in the pid namespace with that inode number, as far as they can be read."""
        import psutil  # here only: with control groups the nest needs nothing but the stdlib

        is_old = time.monotonic() - self._scanned >= SCAN_SECONDS
        if fresh or is_old or namespace not in self._members:  # a pet may be younger than that
            self._members.clear()
            for pid in psutil.pids():
                with contextlib.suppress(OSError):
                    self._members.setdefault(_namespace_of(pid), []).append(pid)
            self._scanned = time.monotonic()
        return self._members.get(namespace, [])

    def look_anew(self) -> None:
        """Let the next look at /proc be a fresh one."""
        self._scanned = -SCAN_SECONDS

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
        self._pid = self._started = 0
        self._namespace = -1
        """A descriptor of its pid namespace: while that is open, no other gets its number."""

    def inhabit(self, pid: int, started: int) -> None:
        self._pid, self._started = pid, started

    def _home(self) -> int | None:
        """The inode number of the pet's pid namespace; None where nothing is known of it.

        Opened when it is first asked for: on its way into its house a pet cannot be looked at.
        """
        if self._namespace == -1 and self._pid:
            try:
                namespace = os.open(f"/proc/{self._pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            # The start time is read after it was opened, so it is of that process and no other.
            is_ours = os.fstat(namespace).st_ino == self._cgroups.own
            if is_ours or start_time(self._pid) != self._started:
                os.close(namespace)
                return None
            self._namespace = namespace
            self._cgroups.look_anew()  # its number may have been another's a moment ago
        return None if self._namespace == -1 else os.fstat(self._namespace).st_ino

    def make(self, limits: Limits) -> None:
        pass

    def limit(self, limits: Limits) -> None:
        """What stands in for limits, on each process that is there. Only root may raise it."""
        wanted = self._cgroups.rlimits(limits)
        for pid in self.processes():
            for name in ("NPROC", "DATA"):
                kind = getattr(resource, f"RLIMIT_{name}")
                _, ours = resource.getrlimit(kind)
                value = wanted.get(name, ours)
                value = value if ours == resource.RLIM_INFINITY else min(value, ours)
                try:
                    if resource.prlimit(pid, kind)[1] != value:
                        call("prlimit", resource.prlimit, pid, kind, (value, value))
                except ProcessLookupError:  # it has ended
                    break

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
                threads += int(status_fields(process.pid)["Threads"])
            except (OSError, _errors()):
                continue
            # what it waited for counts too: a meal's time must not vanish with the meal
            seconds += times.user + times.system + times.children_user + times.children_system
        if not threads:
            return Readings(at=time.monotonic())
        return Readings(
            at=time.monotonic(), memory=memory, cpu_usec=int(seconds * 1e6), pids=threads
        )

    def facts(self) -> dict[str, Fact]:
        """Sums over the processes; pages that several of them share count for each."""
        found: dict[str, int] = {}
        for pid in self.processes():
            try:
                lines = status_fields(pid)
            except OSError:
                continue
            for name, field in STATUS.items():
                if field in lines:
                    found[name] = found.get(name, 0) + int(lines[field].split()[0]) * 1024
        summed = "of each of its processes"
        facts = {
            name: Fact(value, "bytes", f"/proc/PID/status {STATUS[name]}, {summed}")
            for name, value in found.items()
        }
        now = self.read()
        if now.cpu_usec is not None:
            facts["cpu_usec"] = Fact(now.cpu_usec, "usec", f"/proc/PID/stat, {summed}")
        if now.pids is not None:
            facts["pids"] = Fact(now.pids, "count", f"/proc/PID/status Threads, {summed}")
        return facts

    def processes(self) -> list[int]:
        return [process.pid for process in self._processes(fresh=True)]

    def _processes(self, fresh: bool = False) -> Iterator[psutil.Process]:
        """Every process in the pet's pid namespace, PID 1 first."""
        import psutil

        if (namespace := self._home()) is None:
            return
        for pid in self._cgroups.processes(namespace, fresh):
            try:
                yield psutil.Process(pid)
            except psutil.Error:
                continue

    def freeze(self, frozen: bool) -> None:
        stopping.freeze(frozen, self.processes, self._send)

    def frozen(self) -> bool | None:
        return stopping.frozen(process.pid for process in self._processes())

    def kill(self) -> None:
        for pid in self.processes():
            self._send(pid, signal.SIGKILL)

    def _send(self, pid: int, number: signal.Signals) -> None:
        """Send it to `pid`, if that is the pet's."""
        send_signal(pid, number, lambda pid: self._home() == _namespace_of(pid))

    def remove(self) -> bool:
        if self._namespace != -1:
            os.close(self._namespace)
            self._namespace = -1
        self._pid = 0
        return True


def _namespace_of(pid: int) -> int:
    """The inode number of its pid namespace. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def _errors() -> type[Exception]:
    """What psutil raises for a process that has ended."""
    import psutil

    return psutil.Error

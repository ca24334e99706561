"""The unified hierarchy: one directory a pet, every controller in it.

Source: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping

from engine.cgroups.group import (
    Cgroups,
    Files,
    Group,
    cpu_quota,
    keyed,
    kill_member,
    members,
    number,
)
from engine.model import Limits, Readings
from engine.syswrap import SyscallError, call, write_file

FILES = {
    "memory": "memory.current",
    "memory_peak": "memory.peak",
    "cpu_usec": "cpu.stat usage_usec",
    "periods": "cpu.stat nr_periods",
    "throttled": "cpu.stat nr_throttled",
    "throttled_usec": "cpu.stat throttled_usec",
    "pids": "pids.current",
    "forks_refused": "pids.events max",
    "oom_kills": "memory.events oom_kill",
    "asleep": "cgroup.freeze 1",
}
CONTROLLERS = ("memory", "cpu", "pids")


class V2Cgroups(Cgroups):
    """Groups under `base`, a directory of the unified hierarchy that is ours to write."""

    kind = "v2"
    files = FILES

    def __init__(self, base: str, enforced: tuple[str, ...], why: str) -> None:
        self.base, self.enforced, self.why = base, enforced, why

    def group(self, name: str) -> Group:
        """The directory `name` under the base."""
        return _V2Group(os.path.join(self.base, name), self.enforced)

    def names(self) -> list[str]:
        """Every directory under the base but the nest's own leaf."""
        try:
            with os.scandir(self.base) as entries:
                return [
                    entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
                ]
        except FileNotFoundError:
            return []

    def prepare(self) -> None:
        """Make the base, with the controllers handed down."""
        if not os.path.isdir(self.base):
            os.mkdir(self.base, 0o755)
            hand_down(self.base)

    def remove(self) -> None:
        """Remove the base, if it is empty."""
        try:
            os.rmdir(self.base)
        except OSError:
            pass


class _V2Group(Group):
    def __init__(self, path: str, enforced: tuple[str, ...]) -> None:
        self._path = path
        self._enforced = enforced
        self._files = Files()
        self._directory: int | None = None

    def make(self, limits: Limits) -> None:
        if not os.path.isdir(self._path):
            call("mkdir", os.mkdir, self._path, 0o755, args=f'"{self._path}", 0755')
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        if "memory" in self._enforced:
            self._write("memory.max", "max" if limits.memory is None else str(limits.memory))
            if os.path.exists(f"{self._path}/memory.swap.max"):  # absent without swap accounting
                self._write("memory.swap.max", "max" if limits.memory is None else "0")
        if "cpu" in self._enforced:
            if limits.cpu is None:
                self._write("cpu.max", "max")
            else:
                self._write("cpu.max", "{} {}".format(*cpu_quota(limits.cpu)))
        if "pids" in self._enforced:
            self._write("pids.max", "max" if limits.pids is None else str(limits.pids))

    def _write(self, file: str, text: str) -> None:
        write_file(f"{self._path}/{file}", text)

    def birthplace(self) -> int | None:
        if self._directory is None:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._directory = os.open(self._path, flags)
        return self._directory

    def doors(self) -> Mapping[str, int]:
        return {}

    def read(self) -> Readings:
        read, path = self._files.read, self._path
        stat, events = read(f"{path}/cpu.stat"), read(f"{path}/memory.events")
        return Readings(
            at=time.monotonic(),
            memory=number(read(f"{path}/memory.current")),
            memory_peak=number(read(f"{path}/memory.peak")),  # since Linux 5.19
            cpu_usec=keyed(stat, b"usage_usec"),
            periods=keyed(stat, b"nr_periods"),
            throttled=keyed(stat, b"nr_throttled"),
            throttled_usec=keyed(stat, b"throttled_usec"),
            pids=number(read(f"{path}/pids.current")),
            forks_refused=keyed(read(f"{path}/pids.events"), b"max"),
            oom_kills=keyed(events, b"oom_kill"),
        )

    def freeze(self, frozen: bool) -> None:
        self._write("cgroup.freeze", "1" if frozen else "0")
        self._wait(b"frozen", int(frozen))

    def _wait(self, key: bytes, value: int) -> None:
        """Until cgroup.events says so: freezing is done when the last process has stopped."""
        for _ in range(200):
            if keyed(self._files.read(f"{self._path}/cgroup.events"), key) in {value, None}:
                return
            time.sleep(0.001)

    def kill(self) -> None:
        if os.path.exists(f"{self._path}/cgroup.kill"):  # since Linux 5.14
            self._write("cgroup.kill", "1")
            return
        for pid in members(f"{self._path}/cgroup.procs"):
            kill_member(pid, f"{self._path}/cgroup.procs")

    def remove(self) -> bool:
        self._files.close()
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None
        try:
            os.rmdir(self._path)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            if error.errno != errno.ENOENT:
                raise
        return True


def hand_down(directory: str) -> tuple[str, ...]:
    """Turn on the controllers for the groups below `directory`; those that are on after it."""
    for controller in CONTROLLERS:
        try:
            write_file(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except SyscallError:
            continue  # not there, or EBUSY: processes sit in `directory` itself
    with open(f"{directory}/cgroup.subtree_control") as file:
        on = file.read().split()
    return tuple(controller for controller in CONTROLLERS if controller in on)

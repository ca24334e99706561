"""The old hierarchies: one directory a pet in each of memory, cpu, cpuacct, pids and freezer.

Source: Documentation/admin-guide/cgroup-v1/*.rst, Documentation/scheduler/sched-bwc.rst.
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
    thousandth,
)
from engine.model import Limits, Readings
from engine.syswrap import call, write_file

FILES = {
    "memory": "memory.usage_in_bytes",
    "memory_peak": "memory.max_usage_in_bytes",
    "cpu_usec": "cpuacct.usage",
    "periods": "cpu.stat nr_periods",
    "throttled": "cpu.stat nr_throttled",
    "throttled_usec": "cpu.stat throttled_time",
    "pids": "pids.current",
    "forks_refused": "pids.events max",
    "oom_kills": "memory.oom_control oom_kill",
    "asleep": "freezer.state FROZEN",
}
CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")


class V1Cgroups(Cgroups):
    """Groups under `bases`: for each controller, the directory that is ours to write."""

    kind = "v1"
    files = FILES

    def __init__(self, bases: Mapping[str, str], enforced: tuple[str, ...], why: str) -> None:
        self.bases, self.enforced, self.why = bases, enforced, why

    def group(self, name: str) -> Group:
        """The directories `name` under the bases."""
        return _V1Group({key: os.path.join(base, name) for key, base in self.bases.items()})

    def names(self) -> list[str]:
        """Every directory under any of the bases."""
        found: set[str] = set()
        for base in set(self.bases.values()):
            try:
                with os.scandir(base) as entries:
                    found.update(e.name for e in entries if e.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                pass
        return sorted(found)

    def prepare(self) -> None:
        """Make the bases."""
        for base in self.bases.values():
            os.makedirs(base, exist_ok=True)

    def remove(self) -> None:
        """Remove the bases, if they are empty."""
        for base in set(self.bases.values()):
            try:
                os.rmdir(base)
            except OSError:
                pass


class _V1Group(Group):
    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths
        self._directories = sorted(set(paths.values()))  # cpu and cpuacct are often one
        self._files = Files()
        self._doors: dict[str, int] = {}

    def make(self, limits: Limits) -> None:
        for directory in self._directories:
            if not os.path.isdir(directory):
                call("mkdir", os.mkdir, directory, 0o755, args=f'"{directory}", 0755')
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        if memory := self._paths.get("memory"):
            self._limit_memory(memory, -1 if limits.memory is None else limits.memory)
        if cpu := self._paths.get("cpu"):
            if limits.cpu is None:
                write_file(f"{cpu}/cpu.cfs_quota_us", "-1")
            else:
                quota, period = cpu_quota(limits.cpu)
                write_file(f"{cpu}/cpu.cfs_period_us", str(period))
                write_file(f"{cpu}/cpu.cfs_quota_us", str(quota))
        if pids := self._paths.get("pids"):
            write_file(f"{pids}/pids.max", "max" if limits.pids is None else str(limits.pids))

    def _limit_memory(self, directory: str, limit: int) -> None:
        """Memory, and memory plus swap at the same number: no swap on top.

        The sum may never be below the part, so which is written first depends on where it goes.
        """
        part, total = (
            f"{directory}/memory.limit_in_bytes",
            f"{directory}/memory.memsw.limit_in_bytes",
        )
        if not os.path.exists(total):  # without swap accounting
            write_file(part, str(limit))
            return
        with open(total) as file:
            grows = limit == -1 or limit > int(file.read())
        for path in (total, part) if grows else (part, total):
            write_file(path, str(limit))

    def birthplace(self) -> int | None:
        return None  # CLONE_INTO_CGROUP takes v2 directories only (EBADF)

    def doors(self) -> Mapping[str, int]:
        # `tasks`, not `cgroup.procs`: a lone thread that moves itself waits for no grace period.
        if not self._doors:
            flags = os.O_WRONLY | os.O_CLOEXEC
            paths = [f"{directory}/tasks" for directory in self._directories]
            self._doors = {path: os.open(path, flags) for path in paths}
        return self._doors

    def read(self) -> Readings:
        memory, cpu = self._paths.get("memory", ""), self._paths.get("cpu", "")
        pids, read = self._paths.get("pids", ""), self._files.read
        stat = read(f"{cpu}/cpu.stat")
        return Readings(
            at=time.monotonic(),
            memory=number(read(f"{memory}/memory.usage_in_bytes")),
            memory_peak=number(read(f"{memory}/memory.max_usage_in_bytes")),
            cpu_usec=thousandth(number(read(f"{self._paths.get('cpuacct', '')}/cpuacct.usage"))),
            periods=keyed(stat, b"nr_periods"),
            throttled=keyed(stat, b"nr_throttled"),
            throttled_usec=thousandth(keyed(stat, b"throttled_time")),
            pids=number(read(f"{pids}/pids.current")),
            forks_refused=keyed(read(f"{pids}/pids.events"), b"max"),
            oom_kills=keyed(read(f"{memory}/memory.oom_control"), b"oom_kill"),
        )

    def freeze(self, frozen: bool) -> None:
        if not (directory := self._paths.get("freezer")):
            raise OSError(errno.EOPNOTSUPP, "this kernel has no freezer control group")
        wanted = "FROZEN" if frozen else "THAWED"
        write_file(f"{directory}/freezer.state", wanted)
        for _ in range(200):  # FREEZING until the last process has stopped
            if (state := self._files.read(f"{directory}/freezer.state")) is None:
                return
            if state.decode().strip() == wanted:
                return
            time.sleep(0.001)

    def kill(self) -> None:
        if "freezer" in self._paths:
            try:
                self.freeze(False)  # a frozen process does not even die
            except OSError:
                pass
        for directory in self._directories:
            for pid in members(f"{directory}/cgroup.procs"):
                kill_member(pid, f"{directory}/cgroup.procs")

    def remove(self) -> bool:
        self._files.close()
        for fd in self._doors.values():
            os.close(fd)
        self._doors = {}
        empty = True
        for directory in self._directories:
            try:
                os.rmdir(directory)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    empty = False
                elif error.errno != errno.ENOENT:
                    raise
        return empty

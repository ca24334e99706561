"""The old hierarchies: one directory a pet in each of memory, cpu, cpuacct, pids and freezer.

Source: Documentation/admin-guide/cgroup-v1/*.rst, Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.cgroups import facts, stopping
from engine.cgroups.group import (
    FREEZE_ROUNDS,
    NEAR,
    Cgroups,
    Files,
    Group,
    below,
    keyed,
    members,
    number,
    remove_groups,
    signal_member,
    thousandth,
)
from engine.limits import cpu_quota
from engine.model import Fact, Limits, Readings
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
    "memory_cache": "memory.stat inactive_file",
    "asleep": "freezer.state FROZEN",
}
USUAL_PERIOD = 100_000
"""Microseconds: cpu.cfs_period_us of a group that is new (sched-bwc.rst)."""
CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")


class V1Cgroups(Cgroups):
    """Groups under `bases`: for each controller, the directory that is ours to write."""

    kind = "v1"
    files = FILES

    def __init__(self, bases: Mapping[str, str], enforced: tuple[str, ...], why: str) -> None:
        self.bases, self.enforced, self.why = bases, enforced, why
        accounted = os.path.exists(f"{bases.get('memory', '')}/memory.memsw.limit_in_bytes")
        self.extra = ("swap",) if accounted else ()
        if "freezer" not in bases:
            self.files = FILES | {"asleep": stopping.FILE}
        self.most_cpu: float | None = None
        """Cores: the ceiling, once it is set."""

    def cap(self, ceiling: Limits, pets: Iterable[tuple[Group, Limits]]) -> None:
        """Limit the bases.

        No group may have a larger CPU share than the one above it (EINVAL), so the pets' are cut
        to the ceiling before it comes down, and it is out of their way before they go up.
        """
        if cpu := self.bases.get("cpu"):
            write_file(f"{cpu}/cpu.cfs_quota_us", "-1")
        self.most_cpu = ceiling.cpu
        try:
            for group, limits in pets:
                group.limit(limits)
        finally:  # whatever was refused, it does not stay out of the way
            _V1Group(self, "").limit(ceiling)

    def group(self, name: str) -> Group:
        """The directories `name` under the bases."""
        return _V1Group(self, name)

    def to_json(self) -> dict[str, Any]:
        """The bases, and what they enforce."""
        return {"kind": self.kind, "bases": dict(self.bases), "enforced": list(self.enforced)}

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
    def __init__(self, cgroups: V1Cgroups, name: str) -> None:
        self._cgroups = cgroups
        self._paths = {key: os.path.join(base, name) for key, base in cgroups.bases.items()}
        self._directories = sorted(set(self._paths.values()))  # cpu and cpuacct are often one
        self._files = Files()
        self._usage = f"{self._paths.get('cpuacct', '')}/cpuacct.usage"
        self._memory = f"{self._paths.get('memory', '')}/memory.usage_in_bytes"
        self._doors: dict[str, int] = {}
        self._limit: int | None = None

    def make(self, limits: Limits) -> None:
        fresh = True
        for directory in self._directories:
            if os.path.isdir(directory):
                fresh = False
            else:
                call("mkdir", os.mkdir, directory, 0o755, args=f'"{directory}", 0755')
        self._set(limits, fresh=fresh)

    def limit(self, limits: Limits) -> None:
        self._set(limits, fresh=False)

    def _set(self, limits: Limits, *, fresh: bool) -> None:
        """Set them; each write of CPU limits takes the kernel a walk over all groups."""
        self._limit = self._known = None
        if cpu := self._paths.get("cpu"):
            if not fresh:  # out of the way: the old quota may be too much in the new period
                write_file(f"{cpu}/cpu.cfs_quota_us", "-1")
            if limits.cpu is not None:
                most = self._cgroups.most_cpu or limits.cpu
                quota, period = cpu_quota(min(limits.cpu, most), limits.cpu_period)
                if quota > most * period:  # rounded up: by a hair more than the group above has
                    quota -= 1
                if not fresh or period != USUAL_PERIOD:
                    write_file(f"{cpu}/cpu.cfs_period_us", str(period))
                write_file(f"{cpu}/cpu.cfs_quota_us", str(quota))
        if pids := self._paths.get("pids"):
            write_file(f"{pids}/pids.max", "max" if limits.pids is None else str(limits.pids))
        if memory := self._paths.get("memory"):  # last: it alone may be refused for what is in use
            self._limit_memory(memory, limits, fresh)

    def _limit_memory(self, directory: str, limits: Limits, fresh: bool) -> None:
        """Memory, and memory plus swap: at the same number, there is no swap on top.

        The sum may never be below the part, so which is written first depends on where it goes.
        """
        limit = -1 if limits.memory is None else limits.memory
        both = -1 if limits.memory is None or limits.swap is None else limit + limits.swap
        part, total = (
            f"{directory}/memory.limit_in_bytes",
            f"{directory}/memory.memsw.limit_in_bytes",
        )
        if not os.path.exists(total):  # without swap accounting
            write_file(part, str(limit))
            return
        grows = False
        if not fresh:
            with open(total) as file:
                grows = both == -1 or both > int(file.read())
        values = {part: str(limit), total: str(both)}
        for path in (total, part) if grows else (part, total):
            write_file(path, values[path])

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
        used, cache = number(read(self._memory)), None
        if used is not None and used >= NEAR * self._memory_limit():
            cache = keyed(read(f"{memory}/memory.stat"), b"inactive_file")
        return Readings(
            at=time.monotonic(),
            memory=used,
            memory_peak=number(read(f"{memory}/memory.max_usage_in_bytes")),
            cpu_usec=thousandth(number(read(self._usage))),
            periods=keyed(stat, b"nr_periods"),
            throttled=keyed(stat, b"nr_throttled"),
            throttled_usec=thousandth(keyed(stat, b"throttled_time")),
            pids=number(read(f"{pids}/pids.current")),
            forks_refused=keyed(read(f"{pids}/pids.events"), b"max"),
            oom_kills=keyed(read(f"{memory}/memory.oom_control"), b"oom_kill"),
            memory_cache=cache,
        )

    def _memory_limit(self) -> int:
        """Bytes. Read once, and anew after a change; no limit is a very large one here."""
        if self._limit is None:
            path = f"{self._paths.get('memory', '')}/memory.limit_in_bytes"
            self._limit = number(self._files.read(path)) or sys.maxsize
        return self._limit

    def cpu_sign(self) -> bytes | None:
        return self._files.read(self._usage)

    def memory_sign(self) -> bytes | None:
        return self._files.read(self._memory)

    def events(self) -> Sequence[str]:
        return [f"{self._paths['pids']}/pids.events"] if "pids" in self._paths else []

    def bell(self) -> int | None:
        if not (memory := self._paths.get("memory")):
            return None
        bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(f"{memory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                write_file(f"{memory}/cgroup.event_control", f"{bell} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(bell)
            raise
        return bell

    def hits(self) -> dict[str, int]:
        memory = self._memory_hits()
        pids = keyed(self._files.read(f"{self._paths.get('pids', '')}/pids.events"), b"max")
        return {"memory": 1 if memory is None else memory, "pids": pids or 0}

    def _memory_hits(self) -> int | None:
        """How often the limit was met; None where it was, but nobody counted.

        Where no swap is allowed, the limit of the sum is met first, and newer kernels count the
        other's hits only (Linux 6.18, mm/memcontrol.c: track_failcnt).
        """
        memory, read = self._paths.get("memory", ""), self._files.read
        hits = number(read(f"{memory}/memory.failcnt")) or 0
        if (number(read(f"{memory}/memory.max_usage_in_bytes")) or 0) < self._memory_limit():
            return hits
        return hits + (number(read(f"{memory}/memory.memsw.failcnt")) or 0) or None

    def facts(self) -> dict[str, Fact]:
        found = facts.read_facts(facts.V1, self._paths.get)
        if "memory" in self._paths and (hits := self._memory_hits()) is not None:
            files = "memory.failcnt + memory.memsw.failcnt"
            found["memory_limit_hits"] = Fact(hits, "count", files)
        return found

    def processes(self) -> list[int]:
        return members(f"{self._directories[0]}/cgroup.procs")

    def freeze(self, frozen: bool) -> None:
        if not (directory := self._paths.get("freezer")):
            stopping.freeze(frozen, self.processes, self._signal)
            return
        wanted = "FROZEN" if frozen else "THAWED"
        write_file(f"{directory}/freezer.state", wanted)
        for _ in range(FREEZE_ROUNDS):  # FREEZING until the last process has stopped
            if (state := self._files.read(f"{directory}/freezer.state")) is None:
                return
            if state.decode().strip() == wanted:
                return
            time.sleep(0.001)
        write_file(f"{directory}/freezer.state", "THAWED")
        raise OSError(errno.EBUSY, "some of its processes do not stop: freezer.state FREEZING")

    def frozen(self) -> bool | None:
        if "freezer" not in self._paths:
            return stopping.frozen(self.processes())
        state = self._files.read(f"{self._paths.get('freezer', '')}/freezer.state")
        return None if state is None else state.strip() != b"THAWED"

    def _signal(self, pid: int, number: signal.Signals) -> None:
        signal_member(pid, number, f"{self._directories[0]}/cgroup.procs")

    def kill(self) -> None:
        if "freezer" in self._paths:
            try:
                self.freeze(False)  # a frozen process does not even die
            except OSError:
                pass
        for directory in (path for one in self._directories for path in below(one)):
            for pid in members(f"{directory}/cgroup.procs"):
                signal_member(pid, signal.SIGKILL, f"{directory}/cgroup.procs")

    def remove(self) -> bool:
        self._files.close()
        for fd in self._doors.values():
            os.close(fd)
        self._doors = {}
        gone = [remove_groups(directory) for directory in self._directories]
        return all(gone)

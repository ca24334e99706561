"""The unified hierarchy: one directory a pet, every controller in it.

Source: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.cgroups import facts
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
)
from engine.limits import cpu_quota
from engine.model import Fact, Limits, Readings
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
    "memory_cache": "memory.stat inactive_file",
    "memory_pressure": "memory.pressure some avg10",
    "asleep": "cgroup.freeze 1",
}
CONTROLLERS = ("memory", "cpu", "pids")
COUNTERS = ("io",)
"""Handed down for what they count, where they are there: nothing is limited by them."""


class V2Cgroups(Cgroups):
    """Groups under `base`, a directory of the unified hierarchy that is ours to write."""

    kind = "v2"
    files = FILES

    def __init__(self, base: str, enforced: tuple[str, ...], why: str) -> None:
        self.base, self.enforced, self.why = base, enforced, why
        self.extra = ("memory_high", "swap") if "memory" in enforced else ()

    def cap(self, ceiling: Limits, pets: Iterable[tuple[Group, Limits]]) -> None:
        """Limit the base: the nest must not be in it, nor in a group below it."""
        group = _V2Group(self.base, self.enforced)
        try:
            group.limit(ceiling)
        finally:
            group.close()

    def group(self, name: str) -> Group:
        """The directory `name` under the base."""
        return _V2Group(os.path.join(self.base, name), self.enforced)

    def to_json(self) -> dict[str, Any]:
        """The base, and what is handed down in it."""
        return {"kind": self.kind, "base": self.base, "enforced": list(self.enforced)}

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
        self._limit: float | None = None

    def make(self, limits: Limits) -> None:
        if not os.path.isdir(self._path):
            call("mkdir", os.mkdir, self._path, 0o755, args=f'"{self._path}", 0755')
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        self._limit = self._known = None
        if "cpu" in self._enforced:
            if limits.cpu is None:
                self._write("cpu.max", "max")
            else:
                self._write("cpu.max", "{} {}".format(*cpu_quota(limits.cpu, limits.cpu_period)))
        if "pids" in self._enforced:
            self._write("pids.max", _text(limits.pids))
        if "memory" in self._enforced:  # last: it alone may be refused for what is in use
            self._make_room(limits.memory)
            self._write("memory.max", _text(limits.memory))
            self._write("memory.high", _text(limits.memory_high))
            if os.path.exists(f"{self._path}/memory.swap.max"):  # absent without swap accounting
                self._write("memory.swap.max", _text(limits.swap))

    def _make_room(self, limit: int | None) -> None:
        """Have memory above `limit` taken back; EBUSY where the pet needs it.

        A memory.max below what is in use would have the kernel kill for it. Lowering memory.high
        takes back what can be, and kills nobody.
        """
        current = number(self._files.read(f"{self._path}/memory.current"))
        if limit is None or current is None or current <= limit:
            return
        self._write("memory.high", str(limit))
        if (number(self._files.read(f"{self._path}/memory.current")) or 0) > limit:
            raise SyscallError(errno.EBUSY, "write", f'"memory.max", "{limit}"')

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
        memory, cache, pressure = number(read(f"{path}/memory.current")), None, None
        if memory is not None and memory >= NEAR * self._memory_limit():
            cache = keyed(read(f"{path}/memory.stat"), b"inactive_file")
            pressure = _stall(read(f"{path}/memory.pressure"))
        return Readings(
            at=time.monotonic(),
            memory=memory,
            memory_peak=number(read(f"{path}/memory.peak")),  # since Linux 5.19
            cpu_usec=keyed(stat, b"usage_usec"),
            periods=keyed(stat, b"nr_periods"),
            throttled=keyed(stat, b"nr_throttled"),
            throttled_usec=keyed(stat, b"throttled_usec"),
            pids=number(read(f"{path}/pids.current")),
            forks_refused=keyed(read(f"{path}/pids.events"), b"max"),
            oom_kills=keyed(events, b"oom_kill"),
            memory_cache=cache,
            memory_pressure=pressure,
        )

    def _memory_limit(self) -> float:
        """Bytes; the soft limit where that is lower. Read once, and anew after a change."""
        if self._limit is None:
            content = [self._files.read(f"{self._path}/memory.{key}") for key in ("max", "high")]
            self._limit = min((n for n in map(number, content) if n is not None), default=math.inf)
        return self._limit

    def cpu_sign(self) -> bytes | None:
        return self._files.read(f"{self._path}/cpu.stat")

    def memory_sign(self) -> bytes | None:
        return self._files.read(f"{self._path}/memory.current")

    def events(self) -> Sequence[str]:
        files = {"memory": "memory.events", "pids": "pids.events"}
        return [f"{self._path}/{files[one]}" for one in files if one in self._enforced]

    def hits(self) -> dict[str, int]:
        events = self._files.read(f"{self._path}/memory.events")
        pids = keyed(self._files.read(f"{self._path}/pids.events"), b"max")
        return {
            "memory": keyed(events, b"max") or 0,
            "memory_high": keyed(events, b"high") or 0,
            "pids": pids or 0,
        }

    def facts(self) -> dict[str, Fact]:
        return facts.read_facts(facts.V2, lambda controller: self._path)

    def processes(self) -> list[int]:
        return [pid for path in below(self._path) for pid in members(f"{path}/cgroup.procs")]

    def freeze(self, frozen: bool) -> None:
        self._write("cgroup.freeze", "1" if frozen else "0")
        for _ in range(FREEZE_ROUNDS):  # done when the last process has stopped
            state = keyed(self._files.read(f"{self._path}/cgroup.events"), b"frozen")
            if state in {int(frozen), None}:
                return
            time.sleep(0.001)
        self._write("cgroup.freeze", "0")
        raise OSError(errno.EBUSY, "some of its processes do not stop: cgroup.events frozen 0")

    def frozen(self) -> bool | None:
        state = number(self._files.read(f"{self._path}/cgroup.freeze"))
        return None if state is None else bool(state)

    def kill(self) -> None:
        if os.path.exists(f"{self._path}/cgroup.kill"):  # since Linux 5.14
            self._write("cgroup.kill", "1")
            return
        for directory in below(self._path):
            for pid in members(f"{directory}/cgroup.procs"):
                signal_member(pid, signal.SIGKILL, f"{directory}/cgroup.procs")

    def close(self) -> None:
        """Close what is kept open of its files."""
        self._files.close()
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None

    def remove(self) -> bool:
        self.close()
        return remove_groups(self._path)


def _stall(pressure: bytes | None) -> float | None:
    """Percent of the last ten seconds, of `some avg10=0.00 …`; None without PSI."""
    try:
        return float((pressure or b"").split()[1].removeprefix(b"avg10="))
    except (IndexError, ValueError):
        return None


def _text(limit: int | None) -> str:
    return "max" if limit is None else str(limit)


def hand_down(directory: str) -> tuple[str, ...]:
    """Turn on the controllers for the groups below `directory`; those that limit and are on."""
    for controller in (*CONTROLLERS, *COUNTERS):
        try:
            write_file(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except SyscallError:
            continue  # not there, or EBUSY: processes sit in `directory` itself
    with open(f"{directory}/cgroup.subtree_control") as file:
        on = file.read().split()
    return tuple(controller for controller in CONTROLLERS if controller in on)

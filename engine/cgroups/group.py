"""What the three kinds have in common, and what each must answer."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from engine.model import Limits, Readings

Kind = Literal["v2", "v1", "none"]

PERIOD_USEC = 100_000
"""The period that a CPU quota is counted in: the kernel's own default."""
SMALLEST_QUOTA_USEC = 1_000
LONGEST_PERIOD_USEC = 1_000_000


def cpu_quota(cores: float) -> tuple[int, int]:
    """(quota, period) in microseconds for `cores`.

    The kernel refuses a quota under 1 ms (EINVAL), so a very small share gets its longest
    period, a second.
    """
    period = PERIOD_USEC if cores * PERIOD_USEC >= SMALLEST_QUOTA_USEC else LONGEST_PERIOD_USEC
    return max(SMALLEST_QUOTA_USEC, round(cores * period)), period


class Group(ABC):
    """One pet's control group. It exists from `make` to `remove`; making it twice is harmless."""

    @abstractmethod
    def make(self, limits: Limits) -> None:
        """Make the group and set its limits, before any process is in it. Raises OSError."""

    @abstractmethod
    def limit(self, limits: Limits) -> None:
        """Set the limits of a group that exists. Raises OSError, the kernel's refusal."""

    @abstractmethod
    def birthplace(self) -> int | None:
        """A descriptor for clone3's CLONE_INTO_CGROUP, or None where a child joins by `join`.

        The group keeps it and closes it.
        """

    @abstractmethod
    def doors(self) -> Mapping[str, int]:
        """By path, descriptors through which a process moves itself in: it writes `0` to each."""

    def inhabit(self, pid: int) -> None:  # noqa: B027 (most kinds have no use for it)
        """Say which process is its PID 1: where there is no group, that is all there is."""

    @abstractmethod
    def read(self) -> Readings:
        """The kernel's numbers now. A group that is gone gives Readings without any."""

    @abstractmethod
    def freeze(self, frozen: bool) -> None:
        """Stop every process of the group where it stands, or let them go on."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to every process that is still in the group."""

    @abstractmethod
    def remove(self) -> bool:
        """Remove the group; False while processes are still leaving it. Gone already is fine."""


class Cgroups(ABC):
    """Where the groups of one nest's pets live."""

    kind: Kind
    enforced: tuple[str, ...]
    """Those of `memory`, `cpu` and `pids` that the kernel will enforce."""
    why: str
    """One sentence: what was found, and why it is not more."""
    files: Mapping[str, str]
    """By field of Readings: the kernel file that it is read from."""

    @abstractmethod
    def group(self, name: str) -> Group:
        """The group of the pet `name`. Nothing is made."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the groups that exist."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what holds the groups, if `remove` has taken it away. Raises OSError."""

    @abstractmethod
    def remove(self) -> None:
        """Remove what holds the groups, if none is left in it."""


class Files:
    """The descriptors of a group's files, opened once and read by pread.

    Opening a file costs more than reading it, and a thousand pets are read four times a second.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, path: str) -> bytes | None:
        """The file's content, or None when it or its group does not exist."""
        fd = self._open.get(path)
        try:
            if fd is None:
                fd = self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(fd, 4096, 0)
        except OSError:  # ENOENT, or ENODEV: a kept descriptor whose group has gone
            return None

    def close(self) -> None:
        """Close them all."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def number(content: bytes | None) -> int | None:
    """The number in a file that holds just one; None for `max` or nothing."""
    try:
        return int(content) if content is not None else None
    except ValueError:
        return None


def keyed(content: bytes | None, key: bytes) -> int | None:
    """The number behind `key` in a flat-keyed file (`key value` lines)."""
    if content is None:
        return None
    for line in content.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return number(value)
    return None


def thousandth(value: int | None) -> int | None:
    """Nanoseconds as microseconds."""
    return None if value is None else value // 1000


def members(path: str) -> list[int]:
    """The pids in a `cgroup.procs` file; those of other pid namespaces (0) left out."""
    try:
        with open(path) as file:
            return [pid for pid in map(int, file.read().split()) if pid]
    except OSError:
        return []


def kill_member(pid: int, procs: str) -> None:
    """SIGKILL to `pid`, if it is in the group once it can no longer be somebody else."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if pid in members(procs):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)

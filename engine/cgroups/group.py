"""What the three kinds have in common, and what each must answer."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from engine.idmap import root_is_the_hosts
from engine.limits import LARGEST_MEMORY, MIB, format_size
from engine.model import Fact, Limits, Readings
from engine.syswrap import send_signal

Kind = Literal["v2", "v1", "none"]


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

    def inhabit(self, pid: int, started: int) -> None:  # noqa: B027 (most kinds do without)
        """Say which process is its PID 1: where there is no group, that is all there is.

        `started` is its start time (field 22 of proc_pid_stat(5)), without which a pid may be
        anybody's.
        """

    @abstractmethod
    def read(self) -> Readings:
        """The kernel's numbers now. A group that is gone gives Readings without any."""

    def glance(self) -> Readings:
        """As `read`, for less: the numbers of the last look where nothing has stirred since.

        Without CPU time a process can do nothing, but what it has may be taken from it: so while
        its CPU time stands still, its memory is looked at once in STILL_SECONDS, and where that is
        the same, so is all the rest. While nothing stirs it is the very same object.
        """
        at, cpu, known = time.monotonic(), self.cpu_sign(), self._known
        whole = known is not None and known.memory_cache is None
        if known is not None and whole and cpu == self._signs[0] and at - known.at < STILL_SECONDS:
            return known
        signs = cpu, self.memory_sign()
        if None in signs or signs != self._signs:
            self._signs, self._known = signs, None
            return self.read()
        self._known = known = known._replace(at=at) if known and whole else self.read()
        return known

    def cpu_sign(self) -> bytes | None:
        """What the kernel says of CPU time, as it stands; None where it does not."""
        return None

    def memory_sign(self) -> bytes | None:
        """The same of memory."""
        return None

    _signs: tuple[bytes | None, bytes | None] = None, None
    _known: Readings | None = None
    """None after a change of limits, too: how near they are decides what is read."""

    def events(self) -> Sequence[str]:
        """Files that the kernel says have changed, inotify(7), when a limit was hit."""
        return ()

    def bell(self) -> int | None:
        """A new eventfd that the OOM killer rings, where no file tells. Raises OSError."""
        return None

    def hits(self) -> dict[str, int]:
        """By limit, how often the pet has run into it so far."""
        return {}

    @abstractmethod
    def facts(self) -> dict[str, Fact]:
        """All that is known of the group, by name; for one pet at a time, as it costs more."""

    @abstractmethod
    def processes(self) -> list[int]:
        """Its processes, as the nest counts pids."""

    @abstractmethod
    def freeze(self, frozen: bool) -> None:
        """Stop every process of the group where it stands, or let them go on."""

    @abstractmethod
    def frozen(self) -> bool | None:
        """Whether it is stopped, by the kernel's word; None where nothing is left to ask."""

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
    extra: tuple[str, ...] = ()
    """Those of `memory_high` and `swap` that it would enforce for a pet that asks for them."""
    why: str
    """One sentence: what was found, and why it is not more."""
    files: Mapping[str, str]
    """By field of Readings: the kernel file that it is read from."""

    def enforces(self, limits: Limits) -> tuple[str, ...]:
        """What of `limits` the kernel will enforce, `enforced` first."""
        wanted = {"memory_high": limits.memory_high, "swap": limits.swap}
        return (*self.enforced, *(name for name in self.extra if wanted[name]))

    def rlimits(self, limits: Limits) -> dict[str, int]:
        """What each process gets in place of a limit that no group enforces: setrlimit(2).

        RLIMIT_NPROC counts by user namespace, and so by pet, since Linux 5.14; before, it would
        count whatever else the user runs. The host's root it never holds. RLIMIT_DATA is several
        times the memory limit, for programs reserve more than they use. There is nothing of the
        kind for a share of the CPU.
        """
        found = {}
        counts = _kernel() >= (5, 14) and not root_is_the_hosts()
        if limits.pids and "pids" not in self.enforced and counts:
            found["NPROC"] = limits.pids
        if limits.memory and "memory" not in self.enforced:
            found["DATA"] = min(max(limits.memory * SLACK, LEAST_DATA), LARGEST_MEMORY)
        return found

    @abstractmethod
    def cap(self, ceiling: Limits, pets: Iterable[tuple[Group, Limits]]) -> None:
        """Set what all groups together may use; `pets` are those that exist. Raises OSError."""

    @abstractmethod
    def group(self, name: str) -> Group:
        """The group of the pet `name`. Nothing is made."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Where the groups are, for `find_again` to find them whatever the next nest has."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the groups that exist."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what holds the groups, if `remove` has taken it away. Raises OSError."""

    @abstractmethod
    def remove(self) -> None:
        """Remove what holds the groups, if none is left in it."""


SLACK = 4
"""How many times its memory limit a process may have as data, where nothing limits all of them."""
LEAST_DATA = 64 * MIB
"""Bytes. Our own code is a process of the pet's, too, until it executes the command."""
FREEZE_ROUNDS = 200
"""Milliseconds: how long the processes of a group may take to stop, while the nest waits."""
NEAR = 0.6
"""Share of a memory limit from which on more is asked: what of it is cache, and who waits."""

STILL_SECONDS = 3.0
"""How long a glance gives one and the same reading of a pet in which nothing stirs."""


class Files:
    """The descriptors of a group's files, opened once and read by pread.

    Opening a file costs more than reading it, and a thousand pets are read four times a second.
    Past half of the descriptors that this process may have, none is kept any more.
    """

    kept = 0
    """By all groups of this process."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, path: str) -> bytes | None:
        """The file's content, or None when it or its group does not exist."""
        fd = self._open.get(path)
        try:
            if fd is None:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if Files.kept >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2:
                    try:
                        return os.pread(fd, 4096, 0)
                    finally:
                        os.close(fd)
                self._open[path] = fd
                Files.kept += 1
            return os.pread(fd, 4096, 0)
        except OSError:  # ENOENT, or ENODEV: a kept descriptor whose group has gone
            return None

    def close(self) -> None:
        """Close them all."""
        for fd in self._open.values():
            os.close(fd)
        Files.kept -= len(self._open)
        self._open.clear()


def in_place(rlimits: Mapping[str, int]) -> dict[str, str]:
    """By limit, in words: what `rlimits` do in its place."""
    words = {}
    if pids := rlimits.get("NPROC"):
        words["pids"] = f"each of its users has {pids} tasks at most (RLIMIT_NPROC)"
    if data := rlimits.get("DATA"):
        words["memory"] = f"each process has {format_size(data)} of data at most (RLIMIT_DATA)"
    return words


def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())


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


def below(directory: str) -> list[str]:
    """A group's directory and those of all groups below it, the lowest first.

    Whom a part of the hierarchy was handed over to may make groups in it.
    """
    return [path for path, _, _ in os.walk(directory, topdown=False)] or [directory]


def remove_groups(directory: str) -> bool:
    """Remove a group and those below it; False while somebody is in one. Raises OSError."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        inner = below(directory)[:-1]
        return bool(inner) and all(map(remove_groups, inner)) and remove_groups(directory)
    return True


def signal_member(pid: int, number: signal.Signals, procs: str) -> None:
    """Send a signal to `pid`, if it is in the group with that file."""
    send_signal(pid, number, lambda pid: pid in members(procs))

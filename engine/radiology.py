"""Seeing through one pet: what the kernel tells of its walls, privileges and contents.

Runs in the process that asks, with its rights and no others. A directory of /proc that was
opened belongs to one process for ever, as a pidfd does: once that process is gone, everything in
it fails with ESRCH. So the directory of the pet's PID 1 is opened, the nest's pidfd and the start
time say that it is the right one, and all else is read through it: never a stranger's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from engine.anatomy import IdRange, Mount, Namespace, OpenFile, Process, XRay
from engine.cgroups.group import members
from engine.client import look
from engine.errors import NotAwake
from engine.group_files import own_groups, settings
from engine.nest.records import Record
from engine.places import places
from engine.sockets import interfaces, listeners
from engine.syswrap import CAP

KINDS = {
    "user": "who is who: its root is nobody outside",
    "mnt": "which files there are",
    "pid": "which processes it can see",
    "uts": "its host name",
    "ipc": "shared memory and message queues",
    "net": "network devices, addresses and ports",
    "cgroup": "where its tree of control groups begins",
    "time": "how long the machine has been up",
}
"""What each namespace keeps apart (namespaces(7))."""
SETS = {
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "bounding": "CapBnd",
    "ambient": "CapAmb",
}
"""The line of proc_pid_status(5) for each set of capabilities(7)."""
SECCOMP = ("off", "strict", "filter")
MOST_PROCESSES, MOST_FILES, MOST_MOUNTS = 500, 500, 500
MOST_COMMAND = 4096
"""Bytes of a command line: a pet writes what it likes there."""

T = TypeVar("T")


def xray(name: str) -> XRay:
    """See through the pet `name`, as far as the caller may. Takes a few milliseconds.

    What may not be read is named in `XRay.unread`. Raises NoSuchPet, and NotAwake for a ghost.
    """
    pid, proc = _take_hold(name)
    with proc:
        return _see(name, pid, proc)


class Proc:
    """One process's directory of /proc, held open: it can never become another's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def read(self, path: str, most: int = 1 << 20) -> str:
        """At most so many bytes of a file. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        with open(fd, "rb") as file:
            return file.read(most).decode(errors="replace")

    def link(self, path: str) -> str:
        """What a link refers to. Raises OSError."""
        return os.readlink(os.fsencode(path), dir_fd=self.fd).decode(errors="replace")

    def names(self, path: str) -> list[str]:
        """The entries of a directory. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def status(self) -> dict[str, str]:
        """proc_pid_status(5), by field. Raises OSError."""
        pairs = (line.partition(":") for line in self.read("status").splitlines())
        return {key: value.strip() for key, _, value in pairs}

    def started(self) -> int:
        """Clock ticks since boot: the 20th field behind the last `)`. Raises OSError."""
        return int(self.read("stat").rpartition(")")[2].split()[19])

    def __enter__(self) -> Proc:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _take_hold(name: str) -> tuple[int, Proc]:
    pid = look(name).pid
    if pid is None:
        raise NotAwake(f"{name} is a ghost: there is nothing left to see through")
    try:
        proc = Proc(pid)
        record = Record.load(os.path.join(places().pets, name))
        if (record.pid, record.start_time) == (pid, proc.started()):
            return pid, proc
        os.close(proc.fd)
    except OSError:
        pass
    raise NotAwake(f"{name} has just ended")


def _see(name: str, pid: int, proc: Proc) -> XRay:
    unread: dict[str, str] = {}

    def attempt(field: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except OSError as error:
            unread[field] = error.strerror or str(error)
        except (ValueError, IndexError, KeyError) as error:
            unread[field] = f"not as the kernel's documents have it ({error!r})"
        return otherwise

    def number(path: str) -> int | None:
        return attempt(path, lambda: int(proc.read(path)), None)

    nothing: dict[str, str] = {}
    status = attempt("capabilities", proc.status, nothing)
    groups = attempt("cgroup", lambda: own_groups(proc.read("cgroup"), name), nothing)
    if not groups:
        unread.setdefault("cgroup", "it has no control group of its own here")
    nobody: list[tuple[Process, list[OpenFile]]] = []
    everybody = attempt("processes", lambda: list(_everybody(pid, proc, groups, unread)), nobody)
    seen = XRay(
        pet=name,
        pid=pid,
        namespaces=tuple(_namespaces(proc, unread)),
        uid_map=attempt("uid_map", lambda: _id_map(proc.read("uid_map")), ()),
        gid_map=attempt("gid_map", lambda: _id_map(proc.read("gid_map")), ()),
        mounts=attempt("mounts", lambda: _mounts(proc.read("mountinfo"), unread), ()),
        capabilities=attempt("capabilities", lambda: _capabilities(status), {}),
        no_new_privs=_either(status.get("NoNewPrivs")),
        seccomp=_named(SECCOMP, status.get("Seccomp")),
        oom_score=number("oom_score"),
        oom_score_adj=number("oom_score_adj"),
        cgroup=tuple(settings(groups)),
        processes=tuple(process for process, _ in everybody),
        files=tuple(file for _, files in everybody for file in files)[:MOST_FILES],
        interfaces=attempt("interfaces", lambda: tuple(interfaces(proc.read("net/dev"))), ()),
        listeners=attempt("listeners", lambda: tuple(listeners(proc.read)), ()),
        unread=unread,
    )
    try:
        proc.read("stat")
    except OSError as error:
        raise NotAwake(f"{name} has just ended") from error
    return seen


def _namespaces(proc: Proc, unread: dict[str, str]) -> Iterator[Namespace]:
    for kind, about in KINDS.items():
        try:
            host = _inode(os.readlink(f"/proc/self/ns/{kind}"))
        except OSError:
            continue  # a kernel without that kind
        inode = None
        try:
            inode = _inode(proc.link(f"ns/{kind}"))
        except OSError as error:
            unread["namespaces"] = error.strerror or str(error)
        yield Namespace(kind, about, inode, host)


def _inode(link: str) -> int:
    """`net:[4026531840]` -> 4026531840."""
    return int(link.partition("[")[2].rstrip("]"))


def _id_map(content: str) -> tuple[IdRange, ...]:
    return tuple(IdRange(*map(int, line.split())) for line in content.splitlines())


def _mounts(content: str, unread: dict[str, str]) -> tuple[Mount, ...]:
    lines = content.splitlines()
    if len(lines) > MOST_MOUNTS:
        unread["mounts"] = f"{len(lines) - MOST_MOUNTS} more"
    return tuple(map(_mount, lines[:MOST_MOUNTS]))


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    fields = before.split()
    kind, source, *_ = after.split()
    return Mount(_unescaped(fields[4]), kind, _unescaped(source), fields[5], _unescaped(fields[3]))


def _unescaped(path: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        path = path.replace(code, character)
    return path


def _capabilities(status: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: _decoded(int(status[line], 16)) for name, line in SETS.items() if line in status}


def _decoded(mask: int) -> tuple[str, ...]:
    known = {int(cap): cap.name for cap in CAP}
    return tuple(
        known.get(bit, f"capability {bit}") for bit in range(mask.bit_length()) if mask >> bit & 1
    )


def _either(value: str | None) -> bool | None:
    return None if value is None else value != "0"


def _named(names: tuple[str, ...], value: str | None) -> str | None:
    return names[int(value)] if value and int(value) < len(names) else value


def _everybody(
    pid: int, first: Proc, groups: Mapping[str, str], unread: dict[str, str]
) -> Iterator[tuple[Process, list[OpenFile]]]:
    """Those in its pid namespace, with their files. Its group's list saves a search of all /proc.

    A zombie is on no group's list, but its parent still has it (proc_tid_children(5)).
    """
    if groups:
        living = members(f"{next(iter(groups.values()))}/cgroup.procs")
        pids = [*living, *(child for parent in living for child in _children(parent))]
    else:
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    wanted = first.link("ns/pid")
    found = sorted({pid, *pids}, key=lambda other: (other != pid, other))
    count = 0
    for other in found:
        try:
            with Proc(other) as proc:
                if proc.link("ns/pid") != wanted:
                    continue
                if count == MOST_PROCESSES:
                    unread["processes"] = f"more than {MOST_PROCESSES}"
                    return
                count += 1
                process = _process(proc)
                yield process, [] if process.state == "Z" else list(_files(proc, unread))
        except (OSError, KeyError, ValueError):
            continue  # it ended meanwhile, or is none that we may see


def _children(pid: int) -> list[int]:
    """Those of all its threads, zombies included; none where the kernel has no such file."""
    children: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
    return children


def _process(proc: Proc) -> Process:
    status = proc.status()
    inside = status.get("NSpid", "").split()
    command = proc.read("cmdline", MOST_COMMAND).replace("\0", " ").strip()
    return Process(
        pid=proc.pid,
        inside=int(inside[-1]) if len(inside) > 1 else None,
        parent=int(status["PPid"]),
        state=status["State"][:1],
        uid=int(status["Uid"].split()[0]),
        threads=int(status["Threads"]),
        command=command or f"[{status['Name']}]",
    )


def _files(proc: Proc, unread: dict[str, str]) -> Iterator[OpenFile]:
    try:
        numbers = sorted(map(int, proc.names("fd")))
    except OSError as error:
        unread["files"] = f"of process {proc.pid}: {error.strerror}"
        return
    if len(numbers) > MOST_FILES:
        unread["files"] = f"process {proc.pid} has {len(numbers)}"
    for fd in islice(numbers, MOST_FILES):
        try:
            yield OpenFile(proc.pid, fd, proc.link(f"fd/{fd}"))
        except OSError:
            continue  # closed meanwhile

"""What an X-ray shows: a pet's walls, privileges and contents, as the kernel names them.

Plain values, read by `engine.xray`. Whatever could not be read is listed in `XRay.unread`, by the
name of its field, with the kernel's reason; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Namespace(NamedTuple):
    """One kind of namespace (namespaces(7))."""

    kind: str
    """As /proc/PID/ns calls it: `user`, `mnt`, `pid`, …"""
    about: str
    """What it keeps apart."""
    inode: int | None
    """The inode number that names the pet's; None where it may not be read."""
    host: int | None
    """The same of the process that asked."""

    @property
    def own(self) -> bool:
        """Whether it is a wall: one that the pet has for itself."""
        return self.inode is not None and self.inode != self.host


class IdRange(NamedTuple):
    """A line of uid_map or gid_map (user_namespaces(7))."""

    inside: int
    outside: int
    """As the user namespace of the process that asked counts."""
    length: int
    """How many ids in a row."""


class Mount(NamedTuple):
    """A line of proc_pid_mountinfo(5)."""

    target: str
    """Where it is, as the pet sees it."""
    kind: str
    """The type of the file system."""
    source: str
    options: str
    """Of the mount, comma-separated: `ro,nosuid`, …"""
    root: str = "/"
    """Which part of that file system is seen there."""


class Setting(NamedTuple):
    """A file of the pet's control group, live."""

    controller: str
    file: str
    value: str
    """Its content, lines joined by `; `."""
    path: str
    about: str


class Process(NamedTuple):
    """A process in the pet."""

    pid: int
    """As the host counts."""
    inside: int | None
    """As the pet counts (the last number of NSpid in proc_pid_status(5))."""
    parent: int
    """As the host counts."""
    state: str
    """One letter, as in proc_pid_stat(5)."""
    uid: int
    """Its real user, as the process that asked counts."""
    threads: int
    command: str
    """Its arguments, or `[name]` where it has none; written by the pet."""


class OpenFile(NamedTuple):
    """What one descriptor of a process refers to."""

    pid: int
    """As the host counts."""
    fd: int
    target: str
    """As in proc_pid_fd(5); a path is the pet's."""


class Interface(NamedTuple):
    """A line of proc_net_dev(5)."""

    name: str
    received: int
    """Bytes."""
    sent: int
    """Bytes."""


class Listener(NamedTuple):
    """A socket that waits for others to speak first."""

    protocol: str
    """`tcp`, `tcp6`, `udp` or `udp6`."""
    address: str
    port: int


class XRay(NamedTuple):
    """One living pet, seen through."""

    pet: str
    pid: int
    """Of its PID 1, as the host sees it."""
    namespaces: tuple[Namespace, ...]
    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]
    mounts: tuple[Mount, ...]
    capabilities: Mapping[str, tuple[str, ...]]
    """By set (`effective`, `permitted`, `inheritable`, `bounding`, `ambient`): names, sorted."""
    no_new_privs: bool | None
    seccomp: str | None
    """`off`, `strict` or `filter`."""
    oom_score: int | None
    """0 to 2000: who is highest dies first (proc_pid_oom_score(5))."""
    oom_score_adj: int | None
    """-1000 to 1000, added to it."""
    cgroup: tuple[Setting, ...]
    processes: tuple[Process, ...]
    """PID 1 first, then by pid."""
    files: tuple[OpenFile, ...]
    interfaces: tuple[Interface, ...]
    listeners: tuple[Listener, ...]
    unread: Mapping[str, str]
    """By field: why it, or some of it, is not here."""

    def to_json(self) -> dict[str, Any]:
        """Every field by name; the rows of a list likewise."""
        return {
            key: [row._asdict() for row in value] if key in _ROWS else value
            for key, value in self._asdict().items()
        }


_ROWS = frozenset(
    "namespaces uid_map gid_map mounts cgroup processes files interfaces listeners".split()
)

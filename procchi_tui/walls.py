"""A pet's namespaces, read from /proc beside the host's (namespaces(7))."""

from __future__ import annotations

import os
from typing import NamedTuple

KINDS = {
    "user": "who is who: its root is nobody here",
    "mnt": "which files there are",
    "pid": "which processes it can see",
    "uts": "its hostname",
    "ipc": "shared memory and message queues",
    "net": "network devices, addresses, ports",
    "cgroup": "where its cgroup tree begins",
    "time": "how long the machine has been up",
}


class Wall(NamedTuple):
    """One kind of namespace."""

    kind: str
    about: str
    pet: str
    """The inode number that names the pet's, or why it cannot be read."""
    host: str


def read_walls(pid: int) -> list[Wall]:
    """Every kind of namespace that this kernel has, for the process `pid` and for this one."""
    walls = []
    for kind, about in KINDS.items():
        host = _inode("self", kind)
        if host:
            walls.append(Wall(kind, about, _inode(pid, kind) or "gone", host))
    return walls


def _inode(process: int | str, kind: str) -> str:
    try:
        link = os.readlink(f"/proc/{process}/ns/{kind}")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return link.partition("[")[2].rstrip("]")

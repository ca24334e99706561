"""Who runs a pet's command: a user of the egg's own, found in its /etc/passwd and /etc/group.

Both files are the egg's, and so a stranger's: they are read once the egg is the root and no
descriptor of the host's is left, they must be ordinary files, and only their beginning counts.
What they say decides nothing but which of the pet's own ids its command gets.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from engine.idmap import Extent, IdMap
from engine.syswrap import call

LARGEST = 1 << 20
"""Bytes of either file that are read. Ten thousand users have half of that."""
LARGEST_ID = (1 << 31) - 1


class User(NamedTuple):
    """Whom a process becomes."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Supplementary ones; none where a group was asked for by name, as container tools do it."""
    home: str = "/"


def find(wanted: str, idmap: IdMap, passwd: str = "/etc/passwd", group: str = "/etc/group") -> User:
    """The user that `wanted` means: `name`, `uid`, `name:group` or `uid:gid`, in any mixture.

    A number needs no entry; one that has an entry gets its group and home directory. Raises
    OSError where there is no such user or group, or `idmap` has no such id.
    """
    user = _find(wanted, passwd, group)
    if _has(idmap.uids, user.uid) and _has(idmap.gids, user.gid):
        return user._replace(groups=tuple(gid for gid in user.groups if _has(idmap.gids, gid)))
    shown = f"{_shown(wanted)} is user {user.uid} of group {user.gid}, and this pet has"
    if idmap.single:
        remedy = "ask for the user root, or for ranges in /etc/subuid and /etc/subgid"
        raise OSError(errno.EINVAL, f"{shown} no ids but 0: {remedy}")
    raise OSError(errno.EINVAL, f"{shown} ids from 0 to {_last(idmap.uids)} only")


def _find(wanted: str, passwd: str, group: str) -> User:
    name, colon, group_name = wanted.partition(":")
    users = _entries(passwd, 6)
    entry = next((fields for fields in users if fields[0] == name), None)
    if entry is None and (number := _id(name)) is not None:
        entry = next((fields for fields in users if _id(fields[2]) == number), None)
        found = User(number, 0)
    elif entry is None:
        raise _missing("user", name, passwd)
    if entry is not None:
        uid, gid = _id(entry[2]), _id(entry[3])
        if uid is None or gid is None:
            raise OSError(errno.EINVAL, f"the egg's {passwd} gives user {_shown(name)} no numbers")
        found = User(uid, gid, home=entry[5] or "/")
    if colon:
        return found._replace(gid=_group(group_name, group))
    if entry is None:
        return found
    members = [_id(fields[2]) for fields in _entries(group, 4) if entry[0] in fields[3].split(",")]
    return found._replace(groups=tuple(gid for gid in members if gid is not None))


def _group(name: str, path: str) -> int:
    entry = next((fields for fields in _entries(path, 3) if fields[0] == name), None)
    gid = _id(entry[2]) if entry else _id(name)
    if gid is None:
        raise _missing("group", name, path)
    return gid


def _missing(what: str, name: str, path: str) -> OSError:
    return OSError(errno.ENOENT, f"the egg's {path} has no {what} {_shown(name)}")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:40] + "…")


def _id(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return None
    return number if (number := int(text)) <= LARGEST_ID else None


def _entries(path: str, least: int) -> list[list[str]]:
    """The lines of passwd(5) or group(5) that have as many fields; none where there is no file."""
    return [fields for line in _lines(path) if len(fields := line.split(":")) >= least]


def _lines(path: str) -> Iterator[str]:
    try:
        # Non-blocking: a pet's own FIFO in its place would hold us for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            # No larger a buffer than it takes: every page of it would be the pet's memory.
            content = os.read(fd, min(found.st_size, LARGEST))
            yield from content.decode("utf-8", "replace").splitlines()
    finally:
        os.close(fd)


def become(user: User, idmap: IdMap) -> None:
    """Become `user`, whose capabilities end with that unless it is root. Raises SyscallError."""
    if not idmap.single:  # which forbids setgroups
        call("setgroups", os.setgroups, list(user.groups))
    call("setresgid", os.setresgid, *[user.gid] * 3)
    call("setresuid", os.setresuid, *[user.uid] * 3)


def _has(extents: tuple[Extent, ...], number: int) -> bool:
    return any(one.inside <= number < one.inside + one.length for one in extents)


def _last(extents: tuple[Extent, ...]) -> int:
    return max(one.inside + one.length for one in extents) - 1

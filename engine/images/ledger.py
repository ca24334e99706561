"""What a tree held when it was unpacked, file by file, so that damage can be found and named.

A line for each entry: its path, mode, owner, size, time and number of links, and a CRC-32 of what
is in a file or the target of a symlink. That finds what disks, crashes and slips of the hand do.
It is no seal against somebody who writes to the store: they could write the ledger as well.

Both sides run in a confined child whose `/` is the tree, for the tree is a stranger's.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from engine.images.saying import printable

try:
    from isal.isal_zlib import crc32
except ImportError:  # on machines for which isal is not made
    from zlib import crc32

NAMED = 20
"""Damaged files that are named; the others are counted."""
_BLOCK = 1 << 20
_FIELDS = ("mode", "owner", "group", "size", "time", "links", "content")
_SIZE = 1 + _FIELDS.index("size")
"""Where in a line, behind the path."""

__all__ = ["NAMED", "compare", "crc32", "record"]


def record(file: int, sums: Mapping[int, int]) -> int:
    """Write the ledger of `/` to `file`. `sums` are checksums of files known already, by inode.

    Returns how many bytes all files have, holes included; each inode counts once.
    """
    sizes = dict[int, int]()
    with open(file, "w", encoding="utf-8", closefd=False) as out:
        for inode, *line in _facts(sums):
            sizes[inode] = line[_SIZE]
            out.write(json.dumps(line) + "\n")
    return sum(sizes.values())


def compare(file: int) -> dict[str, Any]:
    """Read all of `/`, and tell where it is not what the ledger in `file` says.

    `{"entries": number, "damage": [lines], "more": number of those not named}`.
    """
    with open(file, encoding="utf-8", closefd=False) as lines:
        expected = {path: tuple(facts) for path, *facts in map(json.loads, lines)}
    entries = len(expected)

    def damage() -> Iterator[str]:
        for _, path, *facts in _facts({}):
            before = expected.pop(path, None)
            if before is None:
                yield f"{printable(path)}: was not there"
            elif before != tuple(facts):
                both = zip(_FIELDS, before, facts, strict=True)
                yield f"{printable(path)}: {', '.join(f for f, old, new in both if old != new)}"
        for path in expected:
            yield f"{printable(path)}: is missing"

    found = damage()
    return {
        "entries": entries,
        "damage": list(islice(found, NAMED)),
        "more": sum(1 for _ in found),
    }


def _facts(sums: Mapping[int, int]) -> Iterator[tuple[Any, ...]]:
    """The inode and the line of each entry below `/`, in an order that is always the same."""
    for path, name, found in _walk():
        content: int | str | None = None
        size = time = links = 0
        if stat.S_ISREG(found.st_mode):
            content = sums.get(found.st_ino)
            content = _crc32_of(name) if content is None else content
            size, time, links = found.st_size, found.st_mtime_ns, found.st_nlink
        elif stat.S_ISLNK(found.st_mode):
            content, time = os.readlink(name), found.st_mtime_ns
        elif stat.S_ISDIR(found.st_mode):
            time = found.st_mtime_ns
        owner, group = found.st_uid, found.st_gid
        yield found.st_ino, path, found.st_mode, owner, group, size, time, links, content


def _walk() -> Iterator[tuple[str, str, os.stat_result]]:
    """Path, name in the working directory, and attributes of all below `/`, however deep.

    By chdir(2), as in walking.py, and for its reasons.
    """
    os.chdir("/")
    yield "/", ".", os.lstat(".")
    way = [""]
    waiting = [sorted(os.listdir(), reverse=True)]
    while waiting:
        if not waiting[-1]:
            waiting.pop()
            way.pop()
            os.chdir("..")
            continue
        name = waiting[-1].pop()
        found = os.lstat(name)
        path = f"{way[-1]}/{name}"
        yield path, name, found
        if stat.S_ISDIR(found.st_mode):
            os.chdir(name)
            way.append(path)
            waiting.append(sorted(os.listdir(), reverse=True))


def _crc32_of(name: str) -> int:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = 0
        while block := os.read(fd, _BLOCK):
            found = crc32(block, found)
        return found
    finally:
        os.close(fd)

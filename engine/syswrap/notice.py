"""Files that tell when they change, and files with a hole: inotify(7) and fallocate(2)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_int64, c_uint32
from enum import IntFlag
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)

FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02


class IN(IntFlag):
    """Events of inotify(7), from sys/inotify.h."""

    MODIFY = 0x002
    MOVED_FROM = 0x040
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONESHOT = 0x80000000


class Notice(NamedTuple):
    """One struct inotify_event, its name left out."""

    watch: int
    """-1 where the kernel's queue was full, and something was lost."""
    mask: int


_HEAD = struct.Struct("iIII")


def _int(name: str, *argtypes: type) -> ctypes._NamedFuncPointer:
    function = _libc[name]
    function.argtypes, function.restype = argtypes, c_int
    return function


_inotify_init1 = _int("inotify_init1", c_int)
_inotify_add_watch = _int("inotify_add_watch", c_int, c_char_p, c_uint32)
_inotify_rm_watch = _int("inotify_rm_watch", c_int, c_int)
_fallocate = _int("fallocate", c_int, c_int, c_int64, c_int64)


def _checked(result: int, path: str | None = None) -> int:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), path)
    return result


def inotify_init() -> int:
    """inotify_init1(2): a descriptor that does not block, closed at execve. Raises OSError."""
    return _checked(_inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(fd: int, path: str, mask: IN) -> int:
    """inotify_add_watch(2). Raises OSError: ENOSPC where the user has no watch left."""
    return _checked(_inotify_add_watch(fd, os.fsencode(path), int(mask)), path)


def inotify_rm_watch(fd: int, watch: int) -> None:
    """inotify_rm_watch(2). Raises OSError: EINVAL where the kernel has removed it by itself."""
    _checked(_inotify_rm_watch(fd, watch))


def notices(data: bytes) -> Iterator[Notice]:
    """What read(2) gave of an inotify descriptor."""
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        yield Notice(watch, mask)
        at += _HEAD.size + length


def punch_hole(fd: int, length: int) -> None:
    """fallocate(2): give back the first `length` bytes of a file, whose size stays.

    They read as zeroes. Raises OSError: EOPNOTSUPP where the file system cannot.
    """
    _checked(_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length))

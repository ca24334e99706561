"""A pet's log: what its PID 1 has written, bounded on disk without losing a line of the newest.

The oldest part is given back to the disk as a hole (fallocate(2), FALLOC_FL_PUNCH_HOLE), while
the pet goes on writing at the end: no byte moves, so none is lost. The file's size says how much
was ever written; what is left begins behind the hole.
"""

from __future__ import annotations

import errno
import os

from engine.syswrap.notice import punch_hole

LIMIT = 1 << 20
"""Bytes on disk. Past it the oldest are dropped, and the newest half of this is kept."""
LONGEST_LINE = 1 << 16
"""Bytes within which a whole line is looked for, to begin with."""
FARTHEST = 1 << 40
"""Bytes. A file of this size is begun anew, before file systems refuse to let it grow."""
UNLEASED = os.O_NONBLOCK
"""An ordinary user's pet owns its log, and may take a lease on it: whoever opens the file then
would wait, three quarters of a minute as a rule (fcntl(2), F_SETLEASE)."""


class Log:
    """Reads a log, from the oldest line that is kept; more may come."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it. Raises OSError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | UNLEASED)
        self._at = 0

    def read(self, size: int = 1 << 16) -> bytes:
        """What follows, at most `size` bytes; empty when all has been read."""
        end = os.fstat(self._fd).st_size
        if end < self._at:  # it was begun anew
            self._at = 0
        while self._at < end:
            try:
                self._at = os.lseek(self._fd, self._at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nothing but a hole
                    raise
                return b""
            chunk = os.pread(self._fd, size, self._at)
            self._at += len(chunk)
            if not chunk:
                return b""
            # A hole ends where a block does: the rest of it, up to a line's beginning, is zeroes.
            if said := chunk.lstrip(b"\0"):
                return said
        return b""

    def tail(self, size: int) -> bytes:
        """The last `size` bytes at most, from the beginning of a line where there is one."""
        end = os.fstat(self._fd).st_size
        self._at = max(0, end - size)
        cut = self._at > 0
        said = b""
        while chunk := self.read(size):
            said += chunk
        said = said[-size:]
        _, newline, rest = said.partition(b"\n")
        return rest if cut and newline and rest else said

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def trim(path: str) -> None:
    """Drop the oldest lines of a log that has grown past its limit. Raises OSError."""
    if os.stat(path).st_blocks * 512 <= LIMIT:  # in units of 512 bytes, whatever the file system
        return
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | UNLEASED)
    try:
        size = os.fstat(fd).st_size
        begin = max(0, size - LIMIT // 2)
        begin += os.pread(fd, LONGEST_LINE, begin).find(b"\n") + 1
        if size < FARTHEST:
            try:
                punch_hole(fd, begin)
                return
            except OSError as error:
                if error.errno not in {errno.EOPNOTSUPP, errno.ENOSYS}:
                    raise
        # Not atomic: what is written between these calls is lost.
        kept = os.pread(fd, LIMIT, begin)
        os.ftruncate(fd, 0)
        os.pwrite(fd, kept, 0)
    finally:
        os.close(fd)

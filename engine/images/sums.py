"""The SHA-256 of a file, which what has just been written to it need not be read for again."""

from __future__ import annotations

import hashlib
import os

_BLOCK = 1 << 20


class Sum:
    """Of a file from its beginning, up to where it was added or read."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes that it is the sum of."""

    def add(self, block: bytes) -> None:
        """The file goes on with `block`."""
        self._hash.update(block)
        self.size += len(block)

    def read_on(self, fd: int) -> str:
        """The sum of the whole file open at `fd`, hexadecimal: what was not added is read."""
        while block := os.pread(fd, _BLOCK, self.size):
            self.add(block)
        return self._hash.hexdigest()

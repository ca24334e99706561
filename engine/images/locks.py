"""One pull at a time where two would do the same work."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from engine.model import Progress


@contextmanager
def locked(path: str, progress: Callable[[Progress], None]) -> Iterator[BinaryIO]:
    """The file at `path`, made if need be, once no other pull works on it.

    Or, where another one has got it done meanwhile and removed it, that file, with what is in it
    and without a name.
    """
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb+", 0)
        with file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    progress(Progress("resolving", 0, None))
                    time.sleep(0.1)
            if _is_there(path, file) or os.fstat(file.fileno()).st_size:
                yield file
                return
        # The other pull has removed it, and there is nothing in it: start afresh.


def _is_there(path: str, file: BinaryIO) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    return False

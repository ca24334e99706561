"""What a pet can be fed: the programs in its PATH, as it sees its own files now.

Its root is reached through /proc/PID/root (proc_pid_root(5)), which shows the overlay that it
lives on, whiteouts and its own writes included. The pet may be hostile, and write while we read:
each directory is opened by openat2(2) with RESOLVE_IN_ROOT, so that no link of its leads to the
host's files, and nothing but names is read.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from itertools import islice
from stat import S_ISLNK, S_ISREG

from engine.client import look
from engine.errors import NotAwake, ProcchiError
from engine.handover import ENVIRONMENT
from engine.syswrap import RESOLVE, openat2

MOST_ENTRIES = 20_000
"""Looked at in one directory: a pet can make as many as it likes."""
_PLAIN = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.+\[-]*", re.ASCII)
"""Names that a shell takes as they are."""


def commands(name: str) -> list[str]:
    """The names of the programs that a pet's PATH holds, sorted.

    Raises NoSuchPet, NotAwake for a ghost, and ProcchiError where its files cannot be seen.
    """
    pet = look(name)
    if pet.pid is None:
        raise NotAwake(f"{name} is a ghost: it eats nothing any more")
    try:
        root = os.open(f"/proc/{pet.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ProcchiError(f"{name}'s files cannot be seen: {error.strerror}") from error
    try:
        if look(name).pid != pet.pid:  # then that root may have been another process's
            raise NotAwake(f"{name} has just ended")
        path = pet.environment.get("PATH") or ENVIRONMENT["PATH"]
        return sorted({found for place in path.split(":") for found in _programs(root, place)})
    finally:
        os.close(root)


def _programs(root: int, place: str) -> Iterator[str]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
    try:
        directory = openat2(root, place or ".", flags, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS)
    except OSError:  # not there, not a directory, or a link in a circle: nothing to be found
        return
    try:
        with os.scandir(directory) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                with contextlib.suppress(OSError):  # gone again
                    if _PLAIN.fullmatch(entry.name) and _is_program(entry):
                        yield entry.name
    finally:
        os.close(directory)


def _is_program(entry: os.DirEntry[str]) -> bool:
    """A file that somebody may execute; or a link, which is not followed: busybox has hundreds."""
    mode = entry.stat(follow_symlinks=False).st_mode
    return S_ISLNK(mode) or (S_ISREG(mode) and bool(mode & 0o111))

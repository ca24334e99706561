"""Whiteouts: how a layer says what of the layers below it is gone.

The OCI image specification (layer.md, "Whiteouts"): an empty file `.wh.NAME` hides NAME, and
`.wh..wh..opq` hides every sibling; both hide lower layers only, wherever among the layer's own
entries they stand. The layers are unpacked one over the other into one tree, so to hide is to
remove: what the layer itself has made by then must be told from what it found.
"""

from __future__ import annotations

import os
import stat
from enum import Enum

from engine.errors import PullFailed
from engine.images.removal import remove_contents
from engine.images.walking import walk

_PREFIX = b".wh."
_OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
"""Of the bookkeeping of aufs, which early images carry along and which says nothing."""


class Says(Enum):
    """What an entry's name says."""

    NOTHING = "an ordinary name"
    HIDDEN = "one name is hidden"
    OPAQUE = "a whole directory is hidden"
    IGNORED = "bookkeeping"


def read(path: bytes) -> tuple[Says, bytes]:
    """What an entry at `path` says, and the name that it hides.

    Raises PullFailed where the name says what cannot be: `.wh.` alone hides nothing, and
    `.wh...` would hide the directory above.
    """
    if _PREFIX not in path:
        return Says.NOTHING, b""
    *way, last = path.split(b"/")
    if last == _OPAQUE:
        return Says.OPAQUE, b""
    if any(part.startswith(_AUFS) for part in (*way, last)):
        return Says.IGNORED, b""
    if any(part.startswith(_PREFIX) for part in way):
        raise PullFailed("has a whiteout that is a directory")
    if not last.startswith(_PREFIX):
        return Says.NOTHING, b""
    name = last.removeprefix(_PREFIX)
    if name in (b"", b".", b".."):
        raise PullFailed(f"has a whiteout of {name.decode()!r}, which is no name")
    return Says.HIDDEN, name


class Upper:
    """What one layer has made so far in a tree that has lower layers in it.

    Kept by the directories' inode numbers, because a symlink gives a directory two paths.
    """

    def __init__(self, root: int) -> None:
        self._made = set[tuple[int, bytes]]()
        self._on_the_way = {os.fstat(root).st_ino}
        """Directories below which the layer has made something."""

    def note(self, parent: int, name: bytes) -> None:
        """The layer has made `name` in the directory open at `parent`."""
        inode = os.fstat(parent).st_ino
        self._made.add((inode, name))
        fd = os.dup(parent)
        try:
            while inode not in self._on_the_way:
                self._on_the_way.add(inode)
                above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = above
                inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)

    def hide(self, parent: int, name: bytes) -> None:
        """Remove what lower layers have at `name`. Changes the working directory."""
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        os.fchdir(parent)
        if not self._is_own(os.fstat(parent).st_ino, name, found):
            _remove(name, found)
        elif stat.S_ISDIR(found.st_mode):
            os.chdir(name)
            walk(self._hide_in_one)

    def hide_all(self, directory: int) -> None:
        """Remove all that lower layers have in `directory`. Changes the working directory."""
        os.fchdir(directory)
        walk(self._hide_in_one)

    def _is_own(self, directory: int, name: bytes, found: os.stat_result) -> bool:
        in_the_way = stat.S_ISDIR(found.st_mode) and found.st_ino in self._on_the_way
        return in_the_way or (directory, name) in self._made

    def _hide_in_one(self) -> list[bytes]:
        """Remove what is not the layer's from the working directory; its directories stay."""
        here, own = os.stat("."), []
        for name in os.listdir(b"."):
            found = os.lstat(name)
            if not self._is_own(here.st_ino, name, found):
                _remove(name, found)
            elif stat.S_ISDIR(found.st_mode):
                own.append(name)
        os.utime(".", ns=(here.st_mtime_ns, here.st_mtime_ns))
        return own


def _remove(name: bytes, found: os.stat_result) -> None:
    """Remove `name`, which is `found`, from the working directory."""
    if stat.S_ISDIR(found.st_mode):
        os.chdir(name)
        remove_contents()
        os.chdir("..")
        os.rmdir(name)
    else:
        os.unlink(name)

"""A folder as an archive, so that it is unpacked like any other: under the pets' id map.

The folder may be somebody else's, who changes it while it is read: each file is opened once,
without following a link, and what is written down of it is what was opened.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from engine.errors import PullFailed

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_PIECES = 20_000
"""Of one sparse file: their map must fit into a header (tar.LARGEST_EXTENSION)."""


def pack(folder: int, file: BinaryIO, store: str) -> None:
    """Write the root filesystem in the directory open at `folder` to `file` as a tar archive.

    Sorted, with the holes of sparse files kept. What is mounted in it stays behind: a /proc that
    somebody forgot is no part of it. So does what is in the directory `store`, where `file` lies,
    too. Raises PullFailed, without the folder's name.
    """
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _Packer(tar, _place(os.stat(store))).add_all(folder)


class _Level(NamedTuple):
    """A directory on the way to the one at hand."""

    prefix: str
    place: tuple[int, int]
    waiting: list[str]


class _Packer:
    def __init__(self, tar: tarfile.TarFile, store: tuple[int, int]) -> None:
        self._tar = tar
        self._store = store
        self._names = dict[tuple[int, int], str]()
        """By which each file of several names is in the archive already."""

    def add_all(self, folder: int) -> None:
        """However deep: at most two descriptors are open, and nothing recurs."""
        here = os.dup(folder)
        try:
            top = os.fstat(here)
            levels = [_level(here, "")]
            if not levels[0].waiting:
                raise PullFailed("is an empty folder")
            self._tar.addfile(_entry(".", top))
            while levels:
                if levels[-1].waiting:
                    path = levels[-1].prefix + (name := levels[-1].waiting.pop())
                    try:
                        below = self._add(here, name, path, top.st_dev)
                        if below is not None:
                            os.close(here)
                            here = below
                            levels.append(_level(here, f"{path}/"))
                    except OSError as error:
                        if error.filename is None:  # it is the archive that cannot be written
                            raise
                        raise PullFailed(f"{path} cannot be read: {error.strerror}") from None
                    continue
                levels.pop()
                above = os.open("..", _READ | os.O_DIRECTORY, dir_fd=here)
                os.close(here)
                here = above
                if levels and _place(os.fstat(here)) != levels[-1].place:
                    raise PullFailed("was moved about while it was read: pull again")
        finally:
            os.close(here)

    def _add(self, parent: int, name: str, path: str, device: int) -> int | None:
        """Add one entry; of a directory to enter, its descriptor."""
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            fd = os.open(name, _READ | os.O_DIRECTORY, dir_fd=parent)
            found = os.fstat(fd)
            self._tar.addfile(_entry(path, found))
            if found.st_dev == device and _place(found) != self._store:
                return fd
            os.close(fd)
        elif stat.S_ISREG(found.st_mode):
            with open(os.open(name, _READ, dir_fd=parent), "rb") as content:
                self._add_file(content, path)
        elif not stat.S_ISSOCK(found.st_mode):  # of a program that runs: no archive holds one
            entry = _entry(path, found)
            if entry.issym():
                entry.linkname = os.readlink(name, dir_fd=parent)
            self._tar.addfile(entry)
        return None

    def _add_file(self, content: BinaryIO, path: str) -> None:
        found = os.fstat(content.fileno())
        entry = _entry(path, found)
        if not entry.isreg():
            raise PullFailed("was changed while it was read: pull again")
        if found.st_nlink > 1 and (known := self._names.setdefault(_place(found), path)) != path:
            entry.type, entry.linkname = tarfile.LNKTYPE, known
            self._tar.addfile(entry)
            return
        pieces = list(_pieces(content.fileno(), found))
        while len(pieces) > _MOST_PIECES:  # by twos, with the hole between them
            last = len(pieces) - 1
            starts = range(0, len(pieces), 2)
            pieces = [(pieces[at][0], pieces[min(at + 1, last)][1]) for at in starts]
        if pieces != [(0, found.st_size)]:  # version 0.1 of GNU tar's sparse files in PAX
            numbers = [number for start, end in pieces for number in (start, end - start)]
            text = ",".join(map(str, numbers or [found.st_size, 0]))
            sparse = {"GNU.sparse.size": str(found.st_size), "GNU.sparse.map": text}
            entry.pax_headers = {**entry.pax_headers, **sparse}
        entry.size = sum(end - start for start, end in pieces)
        self._tar.addfile(entry, _Pieces(content, pieces))


class _Pieces:
    """The data of a file without its holes, as `TarFile.addfile` reads it."""

    def __init__(self, file: BinaryIO, pieces: list[tuple[int, int]]) -> None:
        self._file = file
        self._waiting = pieces[::-1]

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, all of one piece or of several; fewer at the end."""
        found = b""
        while self._waiting and len(found) < size:
            start, end = self._waiting.pop()
            block = os.pread(self._file.fileno(), min(size - len(found), end - start), start)
            if not block:  # it has shrunk, which addfile takes for an error
                break
            found += block
            if start + len(block) < end:
                self._waiting.append((start + len(block), end))
        return found


def _pieces(fd: int, found: os.stat_result) -> Iterator[tuple[int, int]]:
    """Where the file's data begins and ends, again and again: lseek(2), SEEK_DATA."""
    at, size = 0, found.st_size
    if found.st_blocks * 512 >= size:
        yield 0, size
        return
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: no more data
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        if start < size:
            yield start, min(at, size)


def _level(directory: int, prefix: str) -> _Level:
    waiting = sorted(os.listdir(directory), reverse=True)
    return _Level(prefix, _place(os.fstat(directory)), waiting)


def _place(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def _entry(path: str, found: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = _TYPES[stat.S_IFMT(found.st_mode)]
    entry.mode = stat.S_IMODE(found.st_mode)
    entry.uid, entry.gid = found.st_uid, found.st_gid
    if entry.ischr() or entry.isblk():
        entry.devmajor, entry.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    seconds, nanoseconds = divmod(found.st_mtime_ns, 10**9)
    entry.mtime = seconds
    if nanoseconds:
        # A PAX time is a decimal fraction after a sign: before 1970 it counts from zero, too.
        sign, whole = ("-", -found.st_mtime_ns) if seconds < 0 else ("", found.st_mtime_ns)
        entry.pax_headers = {"mtime": f"{sign}{whole // 10**9}.{whole % 10**9:09d}"}
    return entry

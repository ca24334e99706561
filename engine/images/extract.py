"""Writing an archive's entries as files. Runs in a confined child only, whose `/` is the tree.

So there is nothing outside to reach; the rules below keep entries from surprising each other,
and make the tree what other tools make of the same archive:

- Names are taken below the root: a leading `/` is dropped, as every tar does, and a name with
  a `..` in it is refused, for no honest tar writes one.
- A directory on the way to an entry, or to a hard link's target, may be a symlink
  (`bin -> usr/bin`): the kernel resolves it inside the root. The last part of a path never is
  followed: what stands there is replaced, or linked to.
- A symlink's target is text: stored, never looked at.
- A hard link's target is an earlier entry.
- A directory over a directory takes the new attributes; anything else is removed first.
- An image's layers are unpacked into one tree, one over the other, and whiteouts remove what
  lower layers made. A directory for each layer, as an overlay takes them, could not hold a hard
  link to a file of a lower layer, and would give a directory that has no entry of its own in an
  upper layer the wrong owner and mode. The price is that two images share a tree only where all
  of their layers are the same.
- What a name that begins with `.wh.` means holds for every archive, of an image or not: the
  same bytes always make the same tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from engine.errors import PullFailed
from engine.images.blocks import Blocks
from engine.images.ledger import crc32
from engine.images.removal import remove_contents
from engine.images.tar import Entry, Kind
from engine.images.whiteouts import Says, Upper, read

T = TypeVar("T")

DEVICE_NODES = "device nodes"
SET_ID_BITS = "set-uid and set-gid bits"
XATTRS = "extended attributes"
OWNERS = "owners"
UNKNOWN = "entries of an unknown kind"

_OPEN_DIRECTORIES = 64
_DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_ID = stat.S_ISUID | stat.S_ISGID
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Owners:
    """How many user and group ids, from 0 on, exist in the tree's user namespace."""

    uids: int
    gids: int

    def of(self, entry: Entry) -> tuple[int, int]:
        """Whom the entry will belong to.

        An id beyond the range becomes nobody, not root, to whom it would give a stranger's
        file; where a single id is mapped there is only root.
        """
        uid = entry.uid if entry.uid < self.uids else _instead(self.uids)
        gid = entry.gid if entry.gid < self.gids else _instead(self.gids)
        return uid, gid


def _instead(ids: int) -> int:
    return _NOBODY if ids > _NOBODY else 0


class Extractor:
    """Makes one archive's entries below `/`, one after the other.

    `over` says that there are lower layers in the tree already. The checksums of files are put
    into `sums`, by inode number: here they are still at hand.
    """

    def __init__(
        self, blocks: Blocks, owners: Owners, sums: dict[int, int], over: bool = False
    ) -> None:
        os.umask(0)
        self._sums = sums
        self._blocks = blocks
        self._owners = owners
        self._left_out: Counter[str] = Counter()
        root = os.open("/", os.O_PATH | _DIRECTORY)
        self._open = {b"": root}
        self._upper = Upper(root) if over else None
        self._times = {os.fstat(root).st_ino: os.fstat(root).st_mtime_ns}
        """Of open directories, by inode number: nanoseconds, as they were when opened."""
        self._outdated = False
        self._directories: dict[int, tuple[bytes, int, int, int, int]] = {}
        """By inode number: a symlink gives one of them two paths, or another one's."""

    @property
    def left_out(self) -> Counter[str]:
        """How many entries were kept out or changed, by reason."""
        return self._left_out

    def make(self, entry: Entry) -> None:
        """Make one entry, reading its data and padding. Raises PullFailed, naming the entry."""
        if self._outdated or len(self._open) > _OPEN_DIRECTORIES:
            self._forget_directories()
        try:
            self._make(entry, _path(entry.name))
        except OSError as error:
            raise _failure(entry.name, error) from None

    def finish(self) -> None:
        """Give the directories their owners, modes and times, now that nothing changes them."""
        self._forget_directories()
        root = self._open.pop(b"")
        self._restore_time(root)
        os.close(root)
        for inode, (path, mode, uid, gid, mtime_ns) in self._directories.items():
            try:
                fd = os.open(b"/" + path, os.O_RDONLY | os.O_NOFOLLOW | _DIRECTORY)
            except OSError:
                continue  # a later entry took its place, or that of a directory above
            try:
                if os.fstat(fd).st_ino != inode:
                    continue
                os.fchown(fd, uid, gid)
                os.fchmod(fd, mode)
                os.utime(fd, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(fd)

    def _make(self, entry: Entry, path: bytes) -> None:
        says, hidden = read(path)
        if says is not Says.NOTHING:
            self._skip(entry)
            self._hide(says, path.rpartition(b"/")[0], hidden)
            return
        kind = entry.kind
        if kind is Kind.DIRECTORY:
            self._make_directory(entry, path)
            return
        if not path:
            raise PullFailed(f"entry {_shown(entry.name)} would take the place of the root")
        place, _, name = path.rpartition(b"/")
        parent = self._directory(place)
        if kind is Kind.FILE:
            self._make_file(entry, parent, name)
        elif kind is Kind.SYMLINK:
            self._replacing(parent, name, lambda: os.symlink(entry.link, name, dir_fd=parent))
            self._give_attributes(entry, parent, name)
        elif kind is Kind.HARDLINK:
            self._make_hardlink(entry, parent, name)
        elif kind is Kind.FIFO:
            mode = self._mode(entry)
            self._replacing(parent, name, lambda: os.mkfifo(name, mode, dir_fd=parent))
            self._give_attributes(entry, parent, name)
        else:
            self._skip(entry)
            self._left_out[DEVICE_NODES if kind is Kind.DEVICE else UNKNOWN] += 1
            with contextlib.suppress(FileNotFoundError):
                self._remove(parent, name)
            return
        if self._upper:
            self._upper.note(parent, name)

    def _hide(self, says: Says, place: bytes, name: bytes) -> None:
        """Remove what a whiteout in the directory `place` hides."""
        if not self._upper or says is Says.IGNORED:
            return
        try:
            parent = self._directory(place, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return  # there is nothing to hide
        if says is Says.OPAQUE:
            self._upper.hide_all(parent)
        else:
            self._upper.hide(parent, name)
        os.chdir("/")
        self._outdated = True

    def _make_directory(self, entry: Entry, path: bytes) -> None:
        self._skip(entry)
        place, _, name = path.rpartition(b"/")
        parent = self._directory(place)
        if path and not _is_directory(parent, name):
            self._replacing(parent, name, lambda: os.mkdir(name, 0o700, dir_fd=parent))
        if path and self._upper:
            self._upper.note(parent, name)
        uid, gid = self._owner(entry)
        inode = os.stat(name or b".", dir_fd=parent, follow_symlinks=False).st_ino
        self._directories[inode] = (path, self._mode(entry), uid, gid, entry.mtime_ns)

    def _make_file(self, entry: Entry, parent: int, name: bytes) -> None:
        mode = self._mode(entry)
        fd = self._replacing(parent, name, lambda: os.open(name, _NEW_FILE, mode, dir_fd=parent))
        try:
            end = crc = 0
            sparse = False
            for offset, length in entry.extents:
                if length and offset != end:
                    os.lseek(fd, offset, os.SEEK_SET)
                    sparse = True
                for piece in self._blocks.pieces(length):
                    _write(fd, piece)
                    crc = crc32(piece, crc)
                end = offset + length if length else end
            if end != entry.size:
                os.ftruncate(fd, entry.size)
                sparse = True
            made = os.fstat(fd)
            if sparse:
                self._sums.pop(made.st_ino, None)  # its holes count, too: read when all is done
            else:
                self._sums[made.st_ino] = crc
            self._blocks.skip(entry.padding)
            owner = self._owner(entry)
            if owner != (made.st_uid, made.st_gid):  # a set-gid directory gives its own group
                os.fchown(fd, *owner)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _make_hardlink(self, entry: Entry, parent: int, name: bytes) -> None:
        place, _, target = _path(entry.link).rpartition(b"/")
        try:
            source = self._directory(place, make=False)
            there = os.stat(target, dir_fd=source, follow_symlinks=False)
        except OSError:
            raise PullFailed(
                f"entry {_shown(entry.name)} is a hard link to {_shown(entry.link)}, "
                "which is no earlier entry of this archive"
            ) from None
        if stat.S_ISDIR(there.st_mode):
            raise PullFailed(f"entry {_shown(entry.name)} is a hard link to a directory")
        if not _is_same(parent, name, there):
            self._replacing(
                parent,
                name,
                lambda: os.link(
                    target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
                ),
            )

    def _skip(self, entry: Entry) -> None:
        self._blocks.skip(sum(extent.length for extent in entry.extents) + entry.padding)

    def _give_attributes(self, entry: Entry, parent: int, name: bytes) -> None:
        times = (entry.mtime_ns, entry.mtime_ns)
        os.chown(name, *self._owner(entry), dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _mode(self, entry: Entry) -> int:
        """The permission bits, without those that would lend somebody's privilege.

        Set-gid on a directory lends none: it hands the directory's group down to new files.
        """
        if entry.xattrs:
            self._left_out[XATTRS] += 1
        stripped = stat.S_ISUID if entry.kind is Kind.DIRECTORY else _SET_ID
        if entry.mode & stripped:
            self._left_out[SET_ID_BITS] += 1
        return entry.mode & ~stripped

    def _owner(self, entry: Entry) -> tuple[int, int]:
        owner = self._owners.of(entry)
        if owner != (entry.uid, entry.gid):
            self._left_out[OWNERS] += 1
        return owner

    def _directory(self, path: bytes, make: bool = True) -> int:
        """A descriptor of the directory at `path`, which is made if it has no entry of its own."""
        fd = self._open.get(path)
        if fd is None:
            try:
                fd = os.open(b"/" + path, os.O_PATH | _DIRECTORY)
            except FileNotFoundError:
                if not make:
                    raise
                fd = _make_way(path)
            self._open[path] = fd
            if self._upper:
                found = os.fstat(fd)
                self._times.setdefault(found.st_ino, found.st_mtime_ns)
        return fd

    def _forget_directories(self) -> None:
        for path in [path for path in self._open if path]:
            fd = self._open.pop(path)
            self._restore_time(fd)
            os.close(fd)
        self._outdated = False

    def _restore_time(self, directory: int) -> None:
        """A directory that a lower layer made keeps its time, whatever changes in it.

        Unless it has an entry in this layer, too: then `finish` gives it that time.
        """
        time = self._times.get(os.fstat(directory).st_ino)
        if self._upper and time is not None:
            with contextlib.suppress(FileNotFoundError):  # it may have been removed
                os.utime(".", ns=(time, time), dir_fd=directory)

    def _replacing(self, parent: int, name: bytes, make: Callable[[], T]) -> T:
        """What `make` returns; what stands in its way is removed first."""
        try:
            return make()
        except FileExistsError:
            self._remove(parent, name)
            return make()

    def _remove(self, parent: int, name: bytes) -> None:
        if _is_directory(parent, name):
            os.fchdir(parent)
            os.chdir(name)
            remove_contents()
            os.chdir("/")
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        self._outdated = True  # a path that led through it may lead elsewhere now


def _make_way(path: bytes) -> int:
    """A descriptor of the directory at `path`, each missing one made."""
    fd = os.open("/", os.O_PATH | _DIRECTORY)
    for part in path.split(b"/"):
        try:
            time = os.fstat(fd).st_mtime_ns
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
                os.utime(".", ns=(time, time), dir_fd=fd)  # what it was made in stays as it was
            below = os.open(part, os.O_PATH | _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def _path(name: bytes) -> bytes:
    """`name` below the root, without empty and `.` parts."""
    if b"//" not in name and b"./" not in name and b"/." not in name and name[:1] not in b"/.":
        return name.removesuffix(b"/")  # nearly all names
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise PullFailed(f"entry {_shown(name)} would leave the egg: it was refused")
    return b"/".join(parts)


def _is_directory(parent: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_same(parent: int, name: bytes, there: os.stat_result) -> bool:
    try:
        here = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _shown(name: bytes) -> str:
    text = name.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _failure(name: bytes, error: OSError) -> PullFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PullFailed(
            "there is no room left on the disk for this egg: free some and pull again"
        )
    return PullFailed(f"entry {_shown(name)} cannot be made: {error.strerror}")

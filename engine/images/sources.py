"""What an egg's reference means, and the archive behind it as an open file."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import BadRequest, NoSuchEgg, PullFailed
from engine.images.store import Store
from engine.model import Progress

HOME = "home"
_FORMS = "write `home`, the path of a tarball, or an http(s):// or file:// URL of one"
_SUFFIX = re.compile(r"(\.tar)?\.(gz|xz|bz2|zst|tar)$|\.t(gz|xz|bz2?|zst)$", re.IGNORECASE)
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive at hand, whose digest is known."""

    reference: str
    fd: int
    sha256: str
    """Hexadecimal, of the file as it is, compressed or not."""
    seen: os.stat_result

    def check_unchanged(self) -> None:
        """Raises PullFailed where the file is not what was hashed any more."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self.seen.st_size, self.seen.st_mtime_ns):
            raise PullFailed(f"{self.reference}: changed while it was read: pull again")


def default_name(reference: str) -> str:
    """The egg's name where none is given: the file's, without its suffix, in our letters."""
    if reference == HOME:
        return HOME
    path = urllib.parse.urlsplit(reference).path if "://" in reference else reference
    last = urllib.parse.unquote(path).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", _SUFFIX.sub("", last))
    name = stem.lstrip("._-")[:63]
    if not name:
        raise BadRequest(f"{reference!r} makes no name for an egg: give one with --name")
    return name


def without_password(reference: str) -> str:
    """The reference as it may be shown and kept: a URL loses its user and password."""
    scheme, separator, rest = reference.partition("://")
    place, slash, path = rest.partition("/")
    return scheme + separator + place.rpartition("@")[2] + slash + path if separator else reference


@contextmanager
def opened(
    reference: str, store: Store, wanted: str | None, progress: Callable[[Progress], None]
) -> Iterator[Archive]:
    """The archive that `reference` means, open and checked against the `wanted` SHA-256.

    Raises NoSuchEgg or PullFailed.
    """
    scheme, separator, _ = reference.partition("://")
    if reference == HOME:
        with store.staging() as staging:
            path = os.path.join(staging.path, "home.tar")
            _cook(path, progress)
            with _file(reference, path, wanted) as archive:
                yield archive
    elif separator and scheme.lower() in ("http", "https"):
        from engine.images.download import downloaded  # requests takes 0.2 s to import

        shown = without_password(reference)
        with (
            downloaded(reference, shown, store.downloads, wanted, progress) as path,
            _file(shown, path, wanted) as archive,
        ):
            yield archive
    else:
        with _file(reference, _path(reference), wanted) as archive:
            yield archive


def _cook(path: str, progress: Callable[[Progress], None]) -> None:
    from engine.images.home import cook

    with open(path, "xb") as file:
        cook("/", file, progress)


def _path(reference: str) -> str:
    scheme, separator, _ = reference.partition("://")
    if not separator:
        if "/" not in reference and not os.path.lexists(reference):
            raise NoSuchEgg(f"nothing is known of an egg {reference!r}: {_FORMS}")
        return reference
    if scheme.lower() != "file":
        raise NoSuchEgg(f"{reference}: eggs do not come by {scheme}: {_FORMS}")
    url = urllib.parse.urlsplit(reference)
    if url.netloc not in ("", "localhost"):
        raise NoSuchEgg(f"{reference}: a file:// URL names a file here: write file:///path")
    return urllib.parse.unquote(url.path)


@contextmanager
def _file(reference: str, path: str, wanted: str | None) -> Iterator[Archive]:
    if "\0" in path:
        raise NoSuchEgg(f"{reference!r} is no path")
    try:
        # Non-blocking, or a pipe given in place of a file would hold us until somebody writes.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoSuchEgg(f"{reference}: there is no such file; {_FORMS}") from None
    except OSError as error:
        raise PullFailed(f"{reference}: cannot be read: {error.strerror}") from None
    try:
        seen = os.fstat(fd)
        if stat.S_ISDIR(seen.st_mode):
            raise PullFailed(f"{reference}: is a directory, and an egg comes from a tar archive")
        if not stat.S_ISREG(seen.st_mode):
            raise PullFailed(f"{reference}: is no ordinary file")
        if not seen.st_size:
            raise PullFailed(f"{reference}: is empty")
        found = _sha256(fd)
        if wanted not in (None, found):
            raise PullFailed(f"{reference}: has the SHA-256 {found}, and {wanted} was asked for")
        yield Archive(reference, fd, found, seen)
    finally:
        os.close(fd)


def _sha256(fd: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while block := os.pread(fd, _BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()

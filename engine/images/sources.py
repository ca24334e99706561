"""The archive or the image behind the words for an egg."""

from __future__ import annotations

import os
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from engine.errors import BadRequest, NoSuchEgg, PullFailed
from engine.images.layout import Image, find
from engine.images.saying import about
from engine.images.store import Store
from engine.images.sums import Sum
from engine.images.terms import Terms
from engine.images.words import HOME, in_a_registry, without_password
from engine.model import Progress

_FORMS = (
    "write `home`, a name of the catalogue (`procchi eggs --catalogue`), the path of a tarball "
    "or a folder, an http(s):// or file:// URL of a tarball, or an image in a registry"
)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive at hand, whose digest is known."""

    words: str
    """What was asked for."""
    fd: int
    sha256: str
    """Hexadecimal, of the file as it is, compressed or not."""
    seen: os.stat_result

    def check_unchanged(self) -> None:
        """Raises PullFailed where the file is not what was hashed any more."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self.seen.st_size, self.seen.st_mtime_ns):
            raise PullFailed(f"{self.words}: changed while it was read: pull again")


@contextmanager
def opened(words: str, store: Store, terms: Terms) -> Iterator[Archive | Image]:
    """What `words` mean: an archive, open and checked against the SHA-256 wanted, or an image.

    Raises BadRequest, NoSuchEgg or PullFailed.
    """
    scheme, separator, _ = words.partition("://")
    wanted = terms.sha256
    if words == HOME:
        with _written(words, store, wanted, lambda file: _cook(file, terms.progress)) as archive:
            yield archive
    elif separator and scheme.lower() in ("http", "https"):
        from engine.images.download import Wanted, downloaded  # requests takes 0.2 s to import

        shown = without_password(words)
        file = Wanted(words, shown, wanted, most=terms.bounds.size)
        with (
            downloaded(words, file, store.downloads, terms.progress) as fetched,
            _file(shown, fetched.path, wanted, fetched.sha256) as archive,
        ):
            yield archive
    elif there := in_a_registry(words):
        from engine.images.remote import remote

        with remote(there, store.downloads, terms) as image:
            yield image
    elif os.path.isdir(path := _path(words)):
        with _folder(words, path, store, terms) as found:
            yield found
    else:
        with _file(words, path, wanted) as archive:
            yield archive


def _cook(file: BinaryIO, progress: Callable[[Progress], None]) -> None:
    from engine.images.home import cook

    cook("/", file, progress)


@contextmanager
def _written(
    words: str, store: Store, wanted: str | None, write: Callable[[BinaryIO], None]
) -> Iterator[Archive]:
    """An archive that `write` makes, for as long as the block takes."""
    with store.staging() as staging:
        path = os.path.join(staging.path, "made.tar")
        with open(path, "xb") as file:
            write(file)
        with _file(words, path, wanted) as archive:
            yield archive


@contextmanager
def _folder(words: str, path: str, store: Store, terms: Terms) -> Iterator[Archive | Image]:
    """The image that a folder holds, or the root filesystem that it is, as an archive."""
    from engine.images.folder import pack

    if terms.sha256:
        raise BadRequest(f"{words}: a folder has no SHA-256: give one with an archive")
    with ExitStack() as held:
        try:
            root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise PullFailed(f"{words}: cannot be read: {error.strerror}") from None
        held.callback(os.close, root)
        if image := find(root, words, terms.platform):
            yield image
            return
        with about(words):
            written = _written(words, store, None, lambda file: pack(root, file, store.directory))
            archive = held.enter_context(written)
        yield archive


def _path(words: str) -> str:
    """The absolute path that the words are, as `made_whole` leaves it. Raises NoSuchEgg."""
    scheme, separator, _ = words.partition("://")
    if not separator:
        if not words.startswith("/"):
            raise NoSuchEgg(f"nothing is known of an egg {words!r}: {_FORMS}")
        return words
    if scheme.lower() != "file":
        raise NoSuchEgg(f"{words}: eggs do not come by {scheme}: {_FORMS}")
    try:
        url = urllib.parse.urlsplit(words)
    except ValueError as error:
        raise NoSuchEgg(f"{words}: is no URL: {error}") from None
    if url.netloc not in ("", "localhost"):
        raise NoSuchEgg(f"{words}: a file:// URL names a file here: write file:///path")
    return urllib.parse.unquote(url.path)


@contextmanager
def _file(words: str, path: str, wanted: str | None, known: str | None = None) -> Iterator[Archive]:
    """The archive at `path`, whose SHA-256 is `known`, or read."""
    if "\0" in path:
        raise NoSuchEgg(f"{words!r} is no path")
    try:
        # Non-blocking, or a pipe given in place of a file would hold us until somebody writes.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoSuchEgg(f"{words}: there is no such file; {_FORMS}") from None
    except OSError as error:
        raise PullFailed(f"{words}: cannot be read: {error.strerror}") from None
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode):
            raise PullFailed(f"{words}: is no ordinary file")
        if not seen.st_size:
            raise PullFailed(f"{words}: is empty")
        found = known or Sum().read_on(fd)
        if wanted not in (None, found):
            raise PullFailed(f"{words}: has the SHA-256 {found}, and {wanted} was asked for")
        yield Archive(words, fd, found, seen)
    finally:
        os.close(fd)

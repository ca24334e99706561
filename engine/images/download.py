"""Fetching a file over HTTP, going on from where an earlier try stopped.

What has come is kept beside a note of what the server called it (its ETag or its date), so that
the rest can be asked for with Range and If-Range (RFC 9110, sections 13.1.5 and 14.2): the
server sends the rest of the same file, or all of a changed one, and never half of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import BinaryIO, NamedTuple

import requests

from engine.errors import NoSuchEgg, ProcchiError, PullFailed
from engine.images import web
from engine.images.bounds import MORE
from engine.images.locks import locked
from engine.images.saying import about
from engine.images.sums import Sum
from engine.images.web import TryAgain
from engine.model import Progress, format_size

Ask = Callable[[Mapping[str, str]], AbstractContextManager[requests.Response]]
"""Asks for the file with these headers; its answer's body is not read yet."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class Wanted(NamedTuple):
    """What is known of a file before it is fetched."""

    key: str
    """What tells it from every other: a URL, or a digest."""
    shown: str
    """How messages may name it."""
    sha256: str | None = None
    """Hexadecimal. Where it is known, a download goes on even if the server gives no way to tell
    one version of the file from another: the whole will be checked."""
    size: int | None = None
    """Bytes, where they are known: it has no more and no less."""
    most: int | None = None
    """Bytes that are taken where nobody knows how many there are."""


@dataclass(frozen=True, slots=True)
class _Note:
    """What the server said of the file whose beginning is at hand."""

    etag: str | None = None
    modified: str | None = None
    length: int | None = None
    """Bytes of the whole."""

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, or a date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Fetched(NamedTuple):
    """A file that is whole."""

    path: str
    sha256: str
    """Hexadecimal."""


@contextmanager
def downloaded(
    url: str, wanted: Wanted, directory: str, progress: Callable[[Progress], None]
) -> Iterator[Fetched]:
    """What `url` holds; removed after the block, unless it was interrupted.

    A download that fails on the way leaves its beginning in `directory` for the next one.
    Raises NoSuchEgg or PullFailed.
    """
    with web.session() as session:

        @contextmanager
        def ask(headers: Mapping[str, str]) -> Iterator[requests.Response]:
            with session.get(url, headers=headers, stream=True, timeout=web.TIMEOUTS) as answer:
                if not wanted.sha256:
                    web.check_way(answer)
                yield answer

        with fetched(ask, wanted, directory, progress) as found:
            try:
                yield found
            except ProcchiError:
                drop(found.path)  # whatever is wrong with it will be wrong with it again
                raise
            forget(found.path)


@contextmanager
def fetched(
    ask: Ask, wanted: Wanted, directory: str, progress: Callable[[Progress], None]
) -> Iterator[Fetched]:
    """What `ask` brings, whole, locked during the block; it stays in `directory`.

    Nothing is asked for where another pull has brought it while we waited for the lock. Raises
    NoSuchEgg or PullFailed.
    """
    path = path_of(wanted.key, directory)
    with locked(path, progress) as file:
        if not os.fstat(file.fileno()).st_nlink:
            yield Fetched(f"/proc/self/fd/{file.fileno()}", Sum().read_on(file.fileno()))
            return
        try:
            sha256 = _Download(ask, wanted, file, path + ".json", progress).run()
        except ProcchiError:
            if not os.fstat(file.fileno()).st_size:
                drop(path)
            raise
        yield Fetched(path, sha256)


def path_of(key: str, directory: str) -> str:
    """Where the file with this key is kept."""
    return os.path.join(directory, hashlib.sha256(key.encode()).hexdigest() + ".part")


def keep(path: str) -> None:
    """It is whole, and what it should be: let it lie for whoever needs it next."""
    os.utime(path)
    with suppress(FileNotFoundError):
        os.unlink(path + ".json")


def drop(path: str) -> None:
    """Forget what was fetched, or the beginning of it; nobody who waits for it may use it."""
    with suppress(FileNotFoundError):
        os.truncate(path, 0)
    forget(path)


def forget(path: str) -> None:
    """Forget what was fetched; whoever has it open reads on."""
    for name in (path, path + ".json"):
        with suppress(FileNotFoundError, PermissionError):  # or it has no name any more
            os.unlink(name)


class _Download:
    """One file, and the tries that it takes to fetch it."""

    def __init__(
        self,
        ask: Ask,
        wanted: Wanted,
        file: BinaryIO,
        note_path: str,
        progress: Callable[[Progress], None],
    ) -> None:
        self._ask = ask
        self._wanted = wanted
        self._file = file
        self._note_path = note_path
        self._progress = progress
        self._sum = Sum()
        self._is_all_ours = False
        """Nothing of it has lain here before."""

    def run(self) -> str:
        """Fetch it all. Returns its SHA-256, hexadecimal."""
        with about(self._wanted.shown):
            found = self._fetch()
            if self._wanted.sha256 not in (None, found) and not self._is_all_ours:
                self._start_over(_Note())  # what lay here has rotted: after a crash, perhaps
                found = self._fetch()
        return found

    def _fetch(self) -> str:
        web.persistently(self._try, self._size)
        return self._sum.read_on(self._file.fileno())

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _try(self) -> None:
        note, have = self._read_note(), self._size()
        self._sum.read_on(self._file.fileno())  # now: later a server would wait
        if have and have == self._wanted.size:
            return
        headers = dict(web.HEADERS)
        if have and (note.validator or self._wanted.sha256):
            headers["Range"] = f"bytes={have}-"
            if note.validator:
                headers["If-Range"] = note.validator
        with web.Patience() as patience, self._ask(headers) as answer:
            total = self._begin(answer, note, have)
            if self._wanted.size is not None and total not in (None, self._wanted.size):
                self._start_over(_Note())
                raise PullFailed(f"has {total} bytes, and {self._wanted.size} were promised")
            total = self._wanted.size if total is None else total
            self._check_most(total or 0)
            if total is None or self._size() < total:
                self._receive(answer, total, patience)

    def _begin(self, answer: requests.Response, note: _Note, have: int) -> int | None:
        """Make the file ready for what the server will send; the length of the whole, if known."""
        status, ranges = (
            answer.status_code,
            _CONTENT_RANGE.match(answer.headers.get("Content-Range", "")),
        )
        if status in (206, 416):
            total = int(ranges[2]) if ranges and ranges[2] != "*" else note.length
            same_length = note.length in (None, total)
            if status == 206 and same_length and ranges and ranges[1] == str(have):
                self._file.seek(have)
                return total
            if status == 416 and same_length and have == total:
                return total  # it was complete
            self._start_over(_Note())
            raise TryAgain("sends another part of the file than was asked for")
        if status == 200:
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            headers = answer.headers
            self._start_over(_Note(headers.get("ETag"), headers.get("Last-Modified"), total))
            return total
        said = web.refusal(answer)
        if status in (404, 410):
            raise NoSuchEgg(f"{said}: there is no such file")
        raise PullFailed(said)

    def _receive(
        self, answer: requests.Response, total: int | None, patience: web.Patience
    ) -> None:
        have = self._file.tell()
        for block in answer.raw.stream(web.BLOCK, decode_content=False):
            patience.renew()
            if not have and block.lstrip()[:1] == b"<":
                self._start_over(_Note())
                raise PullFailed("answers with a web page, not with an archive")
            have += len(block)
            if self._wanted.size is not None and have > self._wanted.size:
                self._start_over(_Note())
                raise PullFailed(f"is more than the {self._wanted.size} bytes promised")
            self._check_most(have)
            self._write(block)
            self._progress(Progress("downloading", have, total))
        if total is not None and have != total:
            raise TryAgain(f"ended after {have} of {total} bytes")

    def _check_most(self, size: int) -> None:
        most = self._wanted.most
        if most is not None and size > most:
            self._start_over(_Note())
            more = f"{MORE}size={format_size(2 * most)}"
            raise PullFailed(f"is a file of more than {format_size(most)} ({more})")

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            self._sum.add(block)
        except OSError:
            self._start_over(_Note())  # a full disk is no place to keep half a file
            raise

    def _start_over(self, note: _Note) -> None:
        self._is_all_ours = True
        self._file.truncate(0)
        self._file.seek(0)
        self._sum = Sum()
        with open(self._note_path + ".new", "w", encoding="utf-8") as file:
            json.dump(asdict(note), file)
        os.rename(self._note_path + ".new", self._note_path)

    def _read_note(self) -> _Note:
        try:
            with open(self._note_path, encoding="utf-8") as file:
                return _Note(**json.load(file))
        except (OSError, ValueError, TypeError):
            return _Note()

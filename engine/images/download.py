"""Fetching a file over HTTP, going on from where an earlier try stopped.

What has come is kept beside a note of what the server called it (its ETag or its date), so that
the rest can be asked for with Range and If-Range (RFC 9110, sections 13.1.5 and 14.2): the
server sends the rest of the same file, or all of a changed one, and never half of each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import BinaryIO

import requests
import urllib3.exceptions

from engine.errors import NoSuchEgg, ProcchiError, PullFailed
from engine.model import Progress

_TRIES = 4
"""In a row that bring nothing new."""
_PAUSE = 0.5
"""Seconds before the second try, doubled before each further one."""
_LONGEST_PAUSE = 10.0
"""Seconds; also the most that a server's Retry-After is obeyed."""
_TIMEOUTS = (10.0, 30.0)
"""Seconds to connect, and to wait for anything more to arrive."""
_BLOCK = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class _TryAgain(Exception):
    """What failed may go well in a moment."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


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


@contextmanager
def downloaded(
    url: str, shown: str, directory: str, wanted: str | None, progress: Callable[[Progress], None]
) -> Iterator[str]:
    """The path of what `url` holds; removed after the block, unless it was interrupted.

    A download that fails on the way leaves its beginning in `directory` for the next one.
    `shown` is the URL as messages may name it. With `wanted`, a SHA-256 that the whole will be
    checked against, it goes on even where a server gives no way to tell one version from
    another. Raises NoSuchEgg or PullFailed.
    """
    path = os.path.join(directory, hashlib.sha256(url.encode()).hexdigest() + ".part")
    with _locked(path, progress) as file:
        try:
            _Download(url, shown, file, path + ".json", wanted, progress).run()
        except ProcchiError:
            if not os.fstat(file.fileno()).st_size:
                _drop(path)
            raise
        try:
            yield path
        except ProcchiError:
            _drop(path)  # whatever is wrong with it will be wrong with it again
            raise
        _drop(path)


def _drop(path: str) -> None:
    for name in (path, path + ".json"):
        with suppress(FileNotFoundError):
            os.unlink(name)


@contextmanager
def _locked(path: str, progress: Callable[[Progress], None]) -> Iterator[BinaryIO]:
    """The file at `path`, made if need be, once no other pull works on it."""
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
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                    yield file
                    return
        # The other pull is done and has removed it: start afresh.


class _Download:
    """One file, and the tries that it takes to fetch it."""

    def __init__(
        self,
        url: str,
        shown: str,
        file: BinaryIO,
        note_path: str,
        wanted: str | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._url = url
        self._shown = shown
        self._file = file
        self._note_path = note_path
        self._wanted = wanted
        self._progress = progress

    def run(self) -> None:
        """Fetch it all."""
        failures, best = 0, self._size()
        with requests.Session() as session:
            while True:
                try:
                    self._try(session)
                    return
                except _TryAgain as error:
                    failures = 1 if self._size() > best else failures + 1
                    best = max(best, self._size())
                    if failures >= _TRIES:
                        raise PullFailed(
                            f"{self._shown}: {error} (tried {_TRIES} times; "
                            "what has come is kept, and the next pull goes on from there)"
                        ) from None
                    pause = max(error.pause, _PAUSE * 2 ** (failures - 1))
                    time.sleep(min(pause, _LONGEST_PAUSE))

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _try(self, session: requests.Session) -> None:
        note, have = self._read_note(), self._size()
        headers = {"Accept-Encoding": "identity", "User-Agent": "procchi"}
        if have and (note.validator or self._wanted):
            headers["Range"] = f"bytes={have}-"
            if note.validator:
                headers["If-Range"] = note.validator
        try:
            with session.get(self._url, headers=headers, stream=True, timeout=_TIMEOUTS) as answer:
                self._check_way(answer)
                total = self._begin(answer, note, have)
                if total is None or self._size() < total:
                    self._receive(answer, total)
        except requests.exceptions.SSLError as error:
            raise PullFailed(f"{self._shown}: cannot be trusted: {_reason(error)}") from None
        except requests.TooManyRedirects:
            raise PullFailed(f"{self._shown}: redirects in circles") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise PullFailed(f"{self._shown}: is no http URL, or leads to none: {error}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _TryAgain(_reason(error)) from None

    def _check_way(self, answer: requests.Response) -> None:
        downgraded = self._url.startswith("https:") and not answer.url.startswith("https:")
        if downgraded and not self._wanted:
            raise PullFailed(
                f"{self._shown}: redirects to plain http, where anybody can change it: "
                "give the file's digest with --sha256"
            )

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
            raise _TryAgain("sends another part of the file than was asked for")
        if status == 200:
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            headers = answer.headers
            self._start_over(_Note(headers.get("ETag"), headers.get("Last-Modified"), total))
            return total
        said = f"answers {status} {answer.reason or ''}".rstrip()
        if status == 429 or status >= 500:
            wait = answer.headers.get("Retry-After", "")
            raise _TryAgain(said, float(wait[:3]) if wait.isdecimal() else 0.0)
        if status in (404, 410):
            raise NoSuchEgg(f"{self._shown}: {said}: there is no such file, check the URL")
        raise PullFailed(f"{self._shown}: {said}")

    def _receive(self, answer: requests.Response, total: int | None) -> None:
        have = self._file.tell()
        for block in answer.raw.stream(_BLOCK, decode_content=False):
            if not have and block.lstrip()[:1] == b"<":
                self._start_over(_Note())
                raise PullFailed(f"{self._shown}: answers with a web page, not with an archive")
            self._write(block)
            have += len(block)
            self._progress(Progress("downloading", have, total))
        if total is not None and have != total:
            raise _TryAgain(f"ended after {have} of {total} bytes")

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._start_over(_Note())  # a full disk is no place to keep half a file
            raise

    def _start_over(self, note: _Note) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        with open(self._note_path + ".new", "w", encoding="utf-8") as file:
            json.dump(asdict(note), file)
        os.rename(self._note_path + ".new", self._note_path)

    def _read_note(self) -> _Note:
        try:
            with open(self._note_path, encoding="utf-8") as file:
                return _Note(**json.load(file))
        except (OSError, ValueError, TypeError):
            return _Note()


def _reason(error: BaseException) -> str:
    """The innermost reason, on one line: urllib3 wraps what the system said several times."""
    while inner := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = " ".join(str(error).split())
    return text.rpartition(">: ")[2] or type(error).__name__

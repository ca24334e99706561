"""The bytes of an archive, uncompressed, read once from beginning to end.

Decompression and hashing have a thread each, a few megabytes ahead of whoever writes the files;
both release the interpreter's lock, so that three cores are busy where there are as many. Start
this only in a confined child: it starts threads, and a decompressor is a parser of hostile data.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import queue
import sys
import threading
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from engine.errors import PullFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GzipFile: Any = gzip.GzipFile
try:
    from isal import igzip
except ImportError:
    pass  # it is not built for every processor, and is only faster
else:
    _GzipFile = igzip.IGzipFile

_CHUNK = 1 << 19
_AHEAD = 8
"""Chunks decompressed and not yet written: 4 MiB."""
_XZ_MEMORY = 256 << 20
"""Bytes that an xz dictionary may take; `xz -9`, the largest preset, takes 65 MiB."""
_ZSTD_WINDOW_LOG = 27
"""Bits: a window of 128 MiB, as the zstd command allows; more needs its --long option."""

_UNSUPPORTED = {
    b"\x1f\x9d": "compress (.Z)",
    b"\x04\x22\x4d\x18": "lz4",
    b"LZIP": "lzip",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
}


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    """What bz2, lzma and zstd agree on."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Streams:
    """Any number of compressed streams, one after the other, as one file."""

    def __init__(self, file: _Reader, make: Callable[[], _Decompressor]) -> None:
        self._file = file
        self._make = make
        self._now: _Decompressor | None = make()

    def read(self, size: int) -> bytes:
        while self._now:
            if self._now.eof:
                rest = self._now.unused_data or self._file.read(_CHUNK)
                # xz pads with zero bytes; other tools leave them too
                while rest and not (rest := rest.lstrip(b"\0")):
                    rest = self._file.read(_CHUNK)
                self._now = self._make() if rest else None
            else:
                rest = self._file.read(_CHUNK) if self._now.needs_input else b""
                if not rest and self._now.needs_input:
                    raise EOFError
            if self._now and (data := self._now.decompress(rest, size)):
                return data
        return b""


def _uncompressed(fd: int) -> _Reader:
    """A file of the bytes that the archive at `fd` holds, told by its first bytes alone."""
    start = os.pread(fd, 6, 0)
    file = open(fd, "rb", buffering=0, closefd=False)
    if start.startswith(b"\x1f\x8b"):
        gzipped: _Reader = _GzipFile(fileobj=file, mode="rb")
        return gzipped
    if start.startswith(b"\xfd7zXZ\0"):
        return _Streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY))
    if start.startswith(b"BZh"):
        return _Streams(file, BZ2Decompressor)
    if start[:4] == b"\x28\xb5\x2f\xfd" or (start[1:4] == b"\x2a\x4d\x18" and start[0] >> 4 == 5):
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
        return _Streams(file, lambda: zstd.ZstdDecompressor(options=options))
    for magic, name in _UNSUPPORTED.items():
        if start.startswith(magic):
            raise PullFailed(f"is a {name} file: use a tar archive, plain or as gz, xz, bz2 or zst")
    return file


class Blocks:
    """The archive at `fd`, from its beginning; never more than `budget` bytes of it."""

    def __init__(self, fd: int, budget: int) -> None:
        self._source = _uncompressed(fd)
        self._budget = budget
        self._hash = hashlib.sha256()
        self._ahead: queue.Queue[bytes | Exception] = queue.Queue(_AHEAD)
        self._unhashed: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._chunk = memoryview(b"")
        self.ended = False
        self._hashing = threading.Thread(target=self._hash_all, daemon=True)
        self._hashing.start()
        threading.Thread(target=self._decompress_all, daemon=True).start()

    def _decompress_all(self) -> None:
        end: bytes | Exception = b""
        try:
            while chunk := self._source.read(_CHUNK):
                self._unhashed.put(chunk)
                self._ahead.put(chunk)
        except Exception as error:  # whatever a decompressor raises is the archive's fault
            end = error
        self._unhashed.put(b"")
        self._ahead.put(end)

    def _hash_all(self) -> None:
        while chunk := self._unhashed.get():
            self._hash.update(chunk)

    def _next(self) -> memoryview:
        """What is at hand, at least one byte, or nothing at the end."""
        if not self._chunk and not self.ended:
            got = self._ahead.get()
            if isinstance(got, Exception):
                raise _damage(got) from None
            self.ended = not got
            self._budget -= len(got)
            if self._budget < 0:
                raise OverBudget
            self._chunk = memoryview(got)
        return self._chunk

    def has_more(self) -> bool:
        """Whether anything is left."""
        return bool(self._next())

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        if size <= len(self._chunk):
            taken = bytes(self._chunk[:size])
            self._chunk = self._chunk[size:]
            return taken
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Exactly `size` bytes, in pieces as they come."""
        while size:
            piece = self._next()[:size]
            if not piece:
                raise CutOff("ends too early: the archive was cut off")
            self._chunk = self._chunk[len(piece) :]
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        for _ in self.pieces(size):
            pass

    def digest(self) -> str:
        """The sha256 of the whole, read to its end."""
        while self._next():
            self._chunk = memoryview(b"")
        self._hashing.join()
        return f"sha256:{self._hash.hexdigest()}"


class CutOff(PullFailed):
    """The archive ended where more of it was expected."""


class OverBudget(Exception):
    """The archive holds more bytes than it may."""


def _damage(error: Exception) -> Exception:
    if isinstance(error, EOFError):
        return PullFailed("ends too early: the archive was cut off")
    if isinstance(error, MemoryError) or "Memory usage limit" in str(error):
        return PullFailed("needs more memory to decompress than any honest archive does")
    return PullFailed(f"is damaged: {_one_line(error)}")


def _one_line(value: Any) -> str:
    return " ".join(str(value).split()) or type(value).__name__

"""Reading a tar archive's headers: ustar, PAX, GNU and what came before them.

Formats: POSIX.1-2017 pax(1), and tar(5) of libarchive for the older ones; sparse files as in
the GNU tar manual, "Storing Sparse Files". Names stay bytes, as the kernel has them. Every
number is checked before it is used: a header is what a stranger wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from engine.errors import PullFailed
from engine.images.blocks import Blocks, CutOff

BLOCK = 512
LONGEST_NAME = 4095
"""Bytes: PATH_MAX without its final zero; no program could open a longer one."""
LARGEST_EXTENSION = 1 << 20
"""Bytes of all PAX and GNU extension headers of one entry, which are held in memory."""
MOST_EXTENTS = 1 << 16
"""Pieces of data in one sparse file, which are held in memory."""
_LATEST = 1 << 62
"""Nanoseconds: a modification time further from 1970 is nonsense, and overflows utimensat(2)."""
_ZEROS = bytes(BLOCK)
_KNOWN = frozenset(
    b"path linkpath size uid gid mtime GNU.sparse.name GNU.sparse.major GNU.sparse.minor "
    b"GNU.sparse.size GNU.sparse.realsize GNU.sparse.map".split()
)
"""PAX records that mean something here."""
_XATTRS = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.", b"SCHILY.acl.", b"RHT.security.selinux")
"""How the records of extended attributes begin; access lists and labels are such, too."""


class Kind(Enum):
    """What an entry makes."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    FIFO = "pipe"
    DEVICE = "device node"
    UNKNOWN = "entry of an unknown kind"


_KINDS = {
    0: Kind.FILE,
    ord("0"): Kind.FILE,
    ord("1"): Kind.HARDLINK,
    ord("2"): Kind.SYMLINK,
    ord("3"): Kind.DEVICE,
    ord("4"): Kind.DEVICE,
    ord("5"): Kind.DIRECTORY,
    ord("6"): Kind.FIFO,
    ord("7"): Kind.FILE,
    ord("D"): Kind.DIRECTORY,  # GNU tar --incremental: its data is a list of names
    ord("S"): Kind.FILE,
}
_WITH_DATA = {Kind.FILE, Kind.UNKNOWN}


class Extent(NamedTuple):
    """A piece of a sparse file that is data, in bytes."""

    offset: int
    length: int


class Entry(NamedTuple):
    """One entry, as the archive says. Its numbers have been checked, its names have not."""

    kind: Kind
    name: bytes
    link: bytes
    """What a symlink says, or the name of the entry that a hard link is another name of."""
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    """Bytes of the file, holes included."""
    extents: tuple[Extent, ...]
    """Where its data goes, in order; an ordinary file has one extent."""
    padding: int
    """Bytes between its data and the next header."""
    xattrs: int
    """How many extended attributes the archive gives it."""


class _Extensions:
    """What extension headers say about the one entry that follows them."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.map: list[int] = []  # GNU.sparse.offset and .numbytes, which repeat
        self.xattrs = 0
        self._size = 0

    def read(self, kind: int, payload: bytes) -> None:
        self._size += len(payload)
        if self._size > LARGEST_EXTENSION:
            raise PullFailed(f"has headers of {self._size} bytes, and {LARGEST_EXTENSION} is most")
        if kind == ord("L"):
            self.records[b"path"] = payload.rstrip(b"\0")
        elif kind == ord("K"):
            self.records[b"linkpath"] = payload.rstrip(b"\0")
        else:
            for key, value in _pax_records(payload):
                if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                    self.map.append(_decimal(value, "sparse map"))
                elif key in _KNOWN:
                    self.records[key] = value
                elif key.startswith(_XATTRS):
                    self.xattrs += 1


_NOTHING = _Extensions()
"""What is said about most entries."""


def entries(blocks: Blocks) -> Iterator[Entry]:
    """The archive's entries in order.

    Read an entry's data and padding, no less and no more, from `blocks` before asking for the
    next. Raises PullFailed where it is not a tar archive, or a broken one.
    """
    everywhere: dict[bytes, bytes] = {}
    extensions: _Extensions | None = None
    header = _first_header(blocks)
    while header != _ZEROS:
        _check_sum(header)
        kind = header[156]
        if kind in b"xXLK":
            extensions = extensions or _Extensions()
            extensions.read(kind, _payload(blocks, header))
        elif kind == ord("g"):
            # For all entries that follow. A name or a size that all share would make no sense.
            for key, value in _pax_records(_payload(blocks, header)):
                if key in (b"uid", b"gid", b"mtime"):
                    everywhere[key] = value
        elif kind == ord("V"):  # the volume's label: no file
            _payload(blocks, header)
        elif kind in b"MN":
            raise PullFailed("is one part of a multi-volume archive, or older than 1990")
        else:
            yield _entry(blocks, header, everywhere, extensions or _NOTHING)
            extensions = None
        # The zeros at the end are missing from some archives, and other tars do without.
        header = blocks.take(BLOCK) if blocks.has_more() else _ZEROS
    if extensions:
        raise PullFailed("is damaged: its last header has no file")


def _first_header(blocks: Blocks) -> bytes:
    if not blocks.has_more():
        return _ZEROS  # a layer of nothing at all, as Go's tar reads it
    try:
        header = blocks.take(BLOCK)
        if header != _ZEROS:
            _check_sum(header)
    except (CutOff, _WrongSum):
        raise PullFailed("is not a tar archive") from None
    return header


class _WrongSum(PullFailed):
    pass


def _check_sum(header: bytes) -> None:
    """Some old tars summed signed bytes; both sums take the checksum's own field as spaces."""
    try:
        said = _number(header[148:156], "checksum")
    except PullFailed:
        said = -1
    unsigned = _sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if said == unsigned:
        return  # the usual case, and the cheap one
    signed = unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
    if said != signed:
        raise _WrongSum("is damaged: the checksum of a header is wrong")


def _sum(header: bytes) -> int:
    """Of all bytes."""
    if header.isascii():  # then it is less than 65521, modulo which Adler-32 has it, and one
        return (adler32(header) & 0xFFFF) - 1  # in its low half: RFC 1950, section 2.2
    return sum(header)


@lru_cache(256)  # owners, modes and times come again and again
def _number(raw: bytes, what: str) -> int:
    """Octal digits, or, for what they cannot hold, a big-endian number with the top bit set."""
    if raw[0] == 0xFF:
        return int.from_bytes(raw, "big", signed=True)
    if raw[0] & 0x80:
        return int.from_bytes(raw, "big") - (1 << 8 * len(raw) - 1)
    digits = raw.rstrip(b"\0 ")
    if not digits.isdigit():  # spaces before them, or something behind a zero
        digits = raw.split(b"\0", 1)[0].strip(b" ")
    if digits.isdigit() and b"8" not in digits and b"9" not in digits:
        return int(digits, 8)
    if digits:
        raise PullFailed(f"is damaged: {digits!r} is no {what}")
    return 0


def _natural(raw: bytes, what: str) -> int:
    value = _number(raw, what)
    if not 0 <= value < 1 << 63:
        raise PullFailed(f"is damaged: {value} is no {what}")
    return value


def _decimal(text: bytes, what: str) -> int:
    if not text.isdigit() or len(text) > 19:
        raise PullFailed(f"is damaged: {text[:40]!r} is no {what}")
    return int(text)


def _padding(size: int) -> int:
    return -size % BLOCK


def _payload(blocks: Blocks, header: bytes) -> bytes:
    size = _natural(header[124:136], "size of a header")
    if size > LARGEST_EXTENSION:
        raise PullFailed(f"has a header of {size} bytes, and {LARGEST_EXTENSION} is the most")
    payload = blocks.take(size)
    blocks.skip(_padding(size))
    return payload


def _pax_records(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Lines of `LENGTH KEY=VALUE`, whose length counts the whole line."""
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 20)
        end = at + _decimal(payload[at:space], "length of a PAX record") if space > 0 else at
        record = payload[space + 1 : end - 1]
        key, equals, value = record.partition(b"=")
        if end <= space + 1 or payload[end - 1 : end] != b"\n" or not equals:
            raise PullFailed("is damaged: a PAX header is broken")
        yield key, value
        at = end


def _mtime_ns(text: bytes) -> int:
    """Nanoseconds of a PAX time: decimal seconds, perhaps negative, perhaps with a fraction."""
    seconds, _, fraction = text.lstrip(b"-").partition(b".")
    whole = _decimal(seconds, "time") * 10**9 + (
        _decimal(fraction[:9].ljust(9, b"0"), "time") if fraction else 0
    )
    return -whole if text.startswith(b"-") else whole


def _entry(
    blocks: Blocks, header: bytes, everywhere: dict[bytes, bytes], extensions: _Extensions
) -> Entry:
    # One without a value takes back what was said before: the header counts (pax(1)).
    records = everywhere | extensions.records if everywhere else extensions.records
    flag = header[156]
    kind = _KINDS.get(flag, Kind.UNKNOWN)
    name = records.get(b"GNU.sparse.name") or records.get(b"path") or _name(header)
    link = records.get(b"linkpath") or header[157:257].split(b"\0", 1)[0]
    stored = 0
    has_data = kind in _WITH_DATA or flag == ord("D")
    if kind is Kind.FILE and name.endswith(b"/"):  # how tars older than ustar wrote a directory
        kind = Kind.DIRECTORY
    if has_data:
        stored = (
            _decimal(records[b"size"], "size")
            if records.get(b"size")
            else _natural(header[124:136], "size")
        )
    padding = _padding(stored)
    size = stored
    whole: tuple[Extent, ...] = (Extent(0, stored),)
    extents = whole
    if flag == ord("S"):
        size, extents = _old_gnu_sparse(blocks, header)
    elif kind is Kind.FILE and b"GNU.sparse.major" in records:
        size, extents, used = _pax_sparse_1(blocks, records, stored)
        stored -= used
    elif kind is Kind.FILE and (extensions.map or b"GNU.sparse.map" in records):
        size, extents = _pax_sparse_0(records, extensions.map)
    if kind is Kind.FILE and extents is not whole:
        _check_extents(size, extents, stored)
    mtime_ns = (
        _mtime_ns(records[b"mtime"])
        if records.get(b"mtime")
        else _number(header[136:148], "time") * 10**9
    )
    return Entry(
        kind,
        _checked(name, "name"),
        _checked(link, "link"),
        _natural(header[100:108], "mode") & 0o7777,
        _owner(records.get(b"uid"), header[108:116]),
        _owner(records.get(b"gid"), header[116:124]),
        max(-_LATEST, min(mtime_ns, _LATEST)),
        size,
        extents,
        padding,
        extensions.xattrs,
    )


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:  # GNU's own headers have other things there
        return header[345:500].split(b"\0", 1)[0] + b"/" + name
    return name


def _owner(record: bytes | None, raw: bytes) -> int:
    """An id that no map knows, where the archive has nonsense."""
    value = _decimal(record, "owner") if record else _number(raw, "owner")
    return value if 0 <= value < 1 << 32 else (1 << 32) - 1


def _checked(name: bytes, what: str) -> bytes:
    if b"\0" in name:
        raise PullFailed(f"is damaged: a {what} has a zero byte in it")
    if len(name) > LONGEST_NAME:
        raise PullFailed(f"has a {what} of {len(name)} bytes, and Linux knows {LONGEST_NAME}")
    return name


def _check_extents(size: int, extents: tuple[Extent, ...], stored: int) -> None:
    """Data must lie in order, inside the file, and be as much as the archive holds of it."""
    end = 0
    for extent in extents:
        if extent.offset < end:
            raise PullFailed("is damaged: the map of a sparse file overlaps itself")
        end = extent.offset + extent.length
    if end > size or sum(extent.length for extent in extents) != stored:
        raise PullFailed("is damaged: the map of a sparse file does not fit the file")


def _extents(numbers: list[int]) -> tuple[Extent, ...]:
    if len(numbers) % 2 or len(numbers) > 2 * MOST_EXTENTS:
        raise PullFailed("is damaged: the map of a sparse file is too long, or odd")
    return tuple(map(Extent, numbers[::2], numbers[1::2]))


def _old_gnu_sparse(blocks: Blocks, header: bytes) -> tuple[int, tuple[Extent, ...]]:
    """A map of four extents in the header, and 21 more in each block that follows it."""
    numbers: list[int] = []
    table, more = header[386:482], header[482]
    while True:
        for at in range(0, len(table) - 23, 24):
            if table[at]:
                numbers.append(_natural(table[at : at + 12], "sparse map"))
                numbers.append(_natural(table[at + 12 : at + 24], "sparse map"))
        if not more:
            return _natural(header[483:495], "size"), _extents(numbers)
        if len(numbers) > 2 * MOST_EXTENTS:
            raise PullFailed("is damaged: the map of a sparse file is too long")
        block = blocks.take(BLOCK)
        table, more = block[:504], block[504]


def _pax_sparse_0(
    records: dict[bytes, bytes], repeated: list[int]
) -> tuple[int, tuple[Extent, ...]]:
    """Versions 0.0, a record for each number, and 0.1, all of them in one."""
    if b"GNU.sparse.map" in records:
        texts = records[b"GNU.sparse.map"].split(b",")
        repeated = [_decimal(text, "sparse map") for text in texts]
    return _decimal(records.get(b"GNU.sparse.size", b""), "size"), _extents(repeated)


def _pax_sparse_1(
    blocks: Blocks, records: dict[bytes, bytes], stored: int
) -> tuple[int, tuple[Extent, ...], int]:
    """Version 1.0: the map is lines of decimals before the data. Also how many bytes it took."""
    if (records[b"GNU.sparse.major"], records.get(b"GNU.sparse.minor")) != (b"1", b"0"):
        raise PullFailed("has a sparse file in a format that is not known")
    text, used = b"", 0

    def lines(count: int) -> list[bytes]:
        nonlocal text, used
        found: list[bytes] = []
        while len(found) < count:
            line, newline, rest = text.partition(b"\n")
            if newline:
                found.append(line)
                text = rest
            elif used + BLOCK > stored or len(line) > BLOCK:
                raise PullFailed("is damaged: the map of a sparse file has no end")
            else:
                text += blocks.take(BLOCK)
                used += BLOCK
        return found

    count = _decimal(lines(1)[0], "sparse map")
    if count > MOST_EXTENTS:
        raise PullFailed("is damaged: the map of a sparse file is too long")
    numbers = [_decimal(line, "sparse map") for line in lines(2 * count)]
    return _decimal(records.get(b"GNU.sparse.realsize", b""), "size"), _extents(numbers), used

"""What a program needs to start: read from the ELF file itself, without executing anything.

Formats: elf(5), and for /etc/ld.so.cache glibc's dl-cache.h (since 2.2).
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, NamedTuple

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29
_MOST = 1 << 20
"""Bytes of a dynamic section, or of its strings, that are read at most."""
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"


class Elf(NamedTuple):
    """The parts of an ELF file that say what else it takes to run it."""

    kind: tuple[int, int, int]
    """Word size, byte order and machine: a library serves only programs of its own kind."""
    interpreter: str | None
    """The dynamic loader; None for a library, and for a program that needs none."""
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    """Directories to search first, for this file and for what it needs in turn."""
    runpath: tuple[str, ...]
    """Directories to search first, for this file alone; with it an rpath counts for nothing."""


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def read(file: BinaryIO) -> Elf | None:
    """What `file` says, or None where it is no ELF file, or a broken one."""
    try:
        return _read(file)
    except (struct.error, LookupError, OverflowError, ValueError):
        return None


def _read(file: BinaryIO) -> Elf | None:
    ident = file.read(16)
    if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        return None
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    header = _unpack(file, 16, order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"))
    machine, table, entry_size, count = header[1], header[4], header[8], header[9]
    segments = []
    for at in range(table, table + entry_size * count, entry_size or 1):
        if wide:
            kind, _, offset, address, _, size = _unpack(file, at, order + "IIQQQQ")
        else:
            kind, offset, address, _, size = _unpack(file, at, order + "IIIII")
        segments.append(_Segment(kind, offset, address, size))
    interpreter = None
    dynamic: list[tuple[int, int]] = []
    for segment in segments:
        if segment.kind == _PT_INTERP:
            interpreter = _at(file, segment.offset, segment.size).rstrip(b"\0").decode()
        elif segment.kind == _PT_DYNAMIC:
            raw = _at(file, segment.offset, segment.size)
            pair = struct.Struct(order + ("qQ" if wide else "iI"))
            dynamic = list(pair.iter_unpack(raw[: len(raw) // pair.size * pair.size]))
            if (_DT_NULL, 0) in dynamic:
                dynamic = dynamic[: dynamic.index((_DT_NULL, 0))]
    tables = [value for tag, value in dynamic if tag == _DT_STRTAB]
    strings = _at(file, _offset(segments, tables[0]), _MOST) if tables else b""

    def texts(tag: int) -> tuple[str, ...]:
        found = [value for found, value in dynamic if found == tag]
        return tuple(strings[at : strings.index(b"\0", at)].decode() for at in found)

    runpath = _directories(texts(_DT_RUNPATH))
    rpath = () if runpath else _directories(texts(_DT_RPATH))
    return Elf((*ident[4:6], machine), interpreter, texts(_DT_NEEDED), rpath, runpath)


def _unpack(file: BinaryIO, offset: int, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, _at(file, offset, struct.calcsize(layout)))


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(min(size, _MOST))


def _offset(segments: list[_Segment], address: int) -> int:
    """Where in the file lies what will be loaded at `address`."""
    for segment in segments:
        if segment.kind == _PT_LOAD and 0 <= address - segment.address < segment.size:
            return address - segment.address + segment.offset
    raise ValueError("no segment holds this address")


def _directories(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for path in paths for part in path.split(":") if part)


def read_cache(data: bytes) -> dict[str, list[str]]:
    """The paths that /etc/ld.so.cache knows for each library's name, best first.

    Those for special processors (glibc-hwcaps) are left out: the plain ones run everywhere.
    """
    start = data.find(_CACHE_MAGIC)
    found: dict[str, list[str]] = {}
    try:
        count = struct.unpack_from("=I", data, start + len(_CACHE_MAGIC))[0]
        for number in range(count if start >= 0 else 0):
            _, key, value, _, hwcap = struct.unpack_from("=iIIIQ", data, start + 48 + 24 * number)
            if not hwcap:
                name, path = (
                    data[start + at : data.index(b"\0", start + at)].decode() for at in (key, value)
                )
                found.setdefault(name, []).append(path)
    except (struct.error, ValueError):
        return {}
    return found

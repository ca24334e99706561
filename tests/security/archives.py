"""Archives that no honest tool would write, built byte by byte.

`HOSTILE` maps a name, which says the rule or the CVE, to a Trap: how to build it, and what must
become of it.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backports import zstd

BLOCK = 512
END = bytes(2 * BLOCK)


def number(value: int, width: int) -> bytes:
    """A header's number: octal, or binary where octal cannot hold it."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    if value < 0:
        return b"\xff" + value.to_bytes(width - 1, "big", signed=True)
    return b"\x80" + value.to_bytes(width - 1, "big")


def entry(
    name: str | bytes,
    kind: str = "0",
    data: bytes = b"",
    *,
    link: str | bytes = "",
    mode: int = 0o644,
    uid: int = 0,
    size: int | bytes | None = None,
    mtime: int = 1_000_000_000,
    checksum: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """A header, and its data padded to whole blocks. `size` and `checksum` may lie.

    A name or a link that is too long for it goes into a PAX header before it.
    """
    raw_name, raw_link = (text.encode() if isinstance(text, str) else text for text in (name, link))
    long = {"path": raw_name, "linkpath": raw_link}
    before = pax({key: text for key, text in long.items() if len(text) > 100})
    header = b"".join(
        (
            raw_name[:100].ljust(100, b"\0"),
            number(mode, 8),
            number(uid, 8),
            number(0, 8),
            size if isinstance(size, bytes) else number(len(data) if size is None else size, 12),
            number(mtime, 12),
            b" " * 8,
            kind.encode(),
            raw_link[:100].ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            number(0, 8),
            number(0, 8),
            tail,
        )
    ).ljust(BLOCK, b"\0")
    total = sum(header) if checksum is None else checksum
    header = header[:148] + b"%06o\0 " % total + header[156:]
    return before + header + data + bytes(-len(data) % BLOCK)


def pax(records: Mapping[str, str | bytes], kind: str = "x") -> bytes:
    """A PAX header for the entry after it; nothing for no records."""
    if not records:
        return b""
    payload = b""
    for key, value in records.items():
        text = value.encode() if isinstance(value, str) else value
        body = b" " + key.encode() + b"=" + text + b"\n"
        length = len(body) + 1
        while length != len(body) + len(str(length)):
            length = len(body) + len(str(length))
        payload += str(length).encode() + body
    return entry("pax", kind, payload)


def long_name(name: bytes, kind: str = "L") -> bytes:
    """A GNU header with the name, or with kind K the link, of the entry after it."""
    return entry("././@LongLink", kind, name + b"\0")


def directory(name: str, mode: int = 0o755) -> bytes:
    return entry(name, "5", mode=mode)


def symlink(name: str, target: str) -> bytes:
    return entry(name, "2", link=target, mode=0o777)


def hardlink(name: str, target: str) -> bytes:
    return entry(name, "1", link=target)


def archive(*parts: bytes) -> bytes:
    return b"".join(parts) + END


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def configuration(*layers: bytes) -> bytes:
    """An image's configuration, for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    root = {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}
    return json.dumps({"os": "linux", "architecture": machine, "rootfs": root}).encode()


def write_layout(place: Path, *layers: bytes) -> None:
    """An image of these layers, uncompressed and lowest first, as an OCI image layout."""
    kind = "application/vnd.oci.image"
    (place / "blobs/sha256").mkdir(parents=True)

    def put(media_type: str, body: bytes) -> dict[str, object]:
        (place / "blobs" / digest(body).replace(":", "/")).write_bytes(body)
        return {"mediaType": media_type, "digest": digest(body), "size": len(body)}

    manifest = {
        "schemaVersion": 2,
        "config": put(f"{kind}.config.v1+json", configuration(*layers)),
        "layers": [put(f"{kind}.layer.v1.tar", layer) for layer in layers],
    }
    one = put(f"{kind}.manifest.v1+json", json.dumps(manifest).encode())
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [one]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@dataclass(frozen=True)
class Trap:
    """An archive, made for a canary file outside the tree, and what is to become of it."""

    build: Callable[[str], bytes]
    refused: str | None = None
    """A part of the one line that refuses it; None if it is harmless, once unpacked right."""
    holds: dict[str, bytes] | None = None
    """Of a harmless one: files that must be in the tree, and their content."""


BAD = b"written by the archive"
DEEP = "d/" * 12
"""So far down that as many steps up, taken from the top of the tree, lead to the host's root."""


def _realpath_overflow(canary: str, *last: bytes) -> bytes:
    """Directories and links so deep that realpath() stops resolving, and a filter that checks
    with it believes that the link `escape`, to the canary's directory, stays inside (published
    with CVE-2025-4517; Python 3.11.7's `data` filter lets it out). Then the entries `last`."""
    parts, path, steps = [], "", "abcdefghijklmnop"
    for step in steps:
        name = f"{path}{'d' * 247}"
        parts += [directory(name), symlink(f"{path}{step}", "d" * 247)]
        path = name + "/"
    overflow = "/".join(steps) + "/" + "l" * 254
    outside = overflow + "/.." * 12  # seemingly still inside; really, from the top, to the root
    parts += [
        symlink(overflow, "../" * len(steps)),
        symlink("escape", outside + canary.rpartition("/")[0]),
    ]
    return archive(*parts, *last)


def _zeros(megabytes: int) -> bytes:
    return archive(entry("zeros", data=bytes(megabytes << 20)))


def _sparse_1(map_lines: bytes, real: str, data: bytes = b"") -> bytes:
    padded = map_lines + bytes(-len(map_lines) % BLOCK)
    records: dict[str, str | bytes] = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.realsize": real,
    }
    return archive(pax(records) + entry("GNUSparseFile.0/sparse", data=padded + data))


def _deep(levels: int) -> bytes:
    return directory("d/" * levels)


def _xz_with_a_huge_dictionary(content: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    return compressor.compress(content) + compressor.flush()


def _zstd_with_a_huge_window() -> bytes:
    # Frame header (RFC 8878, 3.1.1.1): no single segment, window of 2^41 bytes; then one raw block.
    return (
        b"\x28\xb5\x2f\xfd"
        + b"\x00"
        + bytes([31 << 3])
        + struct.pack("<I", 1 | 5 << 3)[:3]
        + b"hello"
    )


HOSTILE: dict[str, Trap] = {
    # Names
    "CVE-2007-4559 a name with dot-dot": Trap(
        lambda canary: archive(entry("../" * 12 + canary.lstrip("/"), data=BAD)), "would leave"
    ),
    "dot-dot in the middle of a name": Trap(
        lambda _: archive(directory("a"), entry("a/../../../x", data=BAD)), "would leave"
    ),
    "dot-dot that stays inside": Trap(
        lambda _: archive(directory("a"), entry("a/../b", data=BAD)), "would leave"
    ),
    "a directory called dot-dot": Trap(lambda _: archive(directory("..", 0o777)), "would leave"),
    "an absolute name": Trap(lambda canary: archive(entry(canary, data=BAD))),
    "an absolute name with many slashes": Trap(
        lambda _: archive(entry("//etc///passwd", data=b"inside")), holds={"etc/passwd": b"inside"}
    ),
    "dot-dot in a PAX path": Trap(
        lambda _: archive(pax({"path": "x/../../y"}) + entry("innocent", data=BAD)), "would leave"
    ),
    "dot-dot in a GNU long name": Trap(
        lambda _: archive(long_name(b"../" * 60 + b"y") + entry("innocent", data=BAD)),
        "would leave",
    ),
    "dot-dot in a ustar prefix": Trap(
        lambda _: archive(entry("y", data=BAD, tail=b"../..")), "would leave"
    ),
    "a sparse name with dot-dot": Trap(
        lambda _: archive(
            pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": "1", "GNU.sparse.name": "../../y"})
            + entry("innocent", data=b"x")
        ),
        "would leave",
    ),
    "a zero byte in a PAX path": Trap(
        lambda _: archive(pax({"path": b"a\0b"}) + entry("x", data=BAD)), "zero byte"
    ),
    "a name longer than a path can be": Trap(
        lambda _: archive(directory("n/" * 2500)), "has a name of 5000 bytes"
    ),
    "a part of a name longer than a file name can be": Trap(
        lambda _: archive(entry("n" * 300)), "File name too long"
    ),
    "no name at all": Trap(lambda _: archive(entry("", data=BAD)), "place of the root"),
    "a name that only a terminal would notice": Trap(
        lambda _: archive(entry("../\x1b[2J\nroot", data=BAD)), r"'../\x1b[2J\nroot' would leave"
    ),
    # The root itself
    "CVE-2021-29136 the root replaced by a symlink": Trap(
        lambda canary: archive(symlink(".", canary), entry("x", data=BAD)), "place of the root"
    ),
    "the root replaced by a file": Trap(lambda _: archive(entry("./", "0", data=b"")), None),
    "a root that nobody may enter": Trap(
        lambda _: archive(directory("./", 0), entry("x", data=b"x")), holds={"x": b"x"}
    ),
    # Symlinks
    "a symlink to outside, then a file through it": Trap(
        lambda canary: archive(
            symlink("s", canary.rpartition("/")[0]),
            entry("s/" + canary.rpartition("/")[2], data=BAD),
        ),
        "cannot be made",
    ),
    "a relative symlink to outside, then a file through it": Trap(
        lambda canary: archive(
            directory("a"),
            symlink("a/s", "../" * 12 + canary.rpartition("/")[0]),
            entry("a/s/" + canary.rpartition("/")[2], data=BAD),
        ),
        "cannot be made",
    ),
    "a symlink to the root above, then a file through it": Trap(
        lambda _: archive(symlink("s", "../" * 12), entry("s/x", data=b"in")), holds={"x": b"in"}
    ),
    "a chain of symlinks to outside": Trap(
        lambda canary: archive(
            symlink("a", "b"),
            symlink("b", "c"),
            symlink("c", canary.rpartition("/")[0]),
            entry("a/" + canary.rpartition("/")[2], data=BAD),
        ),
        "cannot be made",
    ),
    "a symlink over which a file is written": Trap(
        lambda canary: archive(symlink("s", canary), entry("s", data=b"own")),
        holds={"s": b"own"},
    ),
    "a symlink that becomes a directory": Trap(
        lambda canary: archive(
            symlink("s", canary.rpartition("/")[0]),
            directory("s", 0o700),
            entry("s/" + canary.rpartition("/")[2], data=b"own"),
        )
    ),
    "a directory that becomes a symlink": Trap(
        lambda canary: archive(
            directory("d"),
            entry("d/x"),
            symlink("d", canary.rpartition("/")[0]),
            entry("d/" + canary.rpartition("/")[2], data=BAD),
        ),
        "cannot be made",
    ),
    "symlinks in a circle": Trap(
        lambda _: archive(symlink("a", "b"), symlink("b", "a"), entry("a/x")),
        "Too many levels of symbolic links",
    ),
    "a symlink into proc": Trap(
        lambda _: archive(symlink("s", "/proc/self/root"), entry("s/x", data=BAD)),
        "cannot be made",
    ),
    "a symlink to nothing": Trap(lambda _: archive(symlink("s", "")), "cannot be made"),
    "a symlink that is too long": Trap(
        lambda _: archive(symlink("s", "t" * 4096)), "has a link of 4096 bytes"
    ),
    # Hard links
    "a hard link to outside by dot-dot": Trap(
        lambda canary: archive(hardlink("h", "../" * 12 + canary), entry("h", data=BAD)),
        "would leave",
    ),
    "a hard link to outside by its absolute name": Trap(
        lambda canary: archive(hardlink("h", canary), entry("h", data=BAD)), "no earlier entry"
    ),
    "a hard link through a symlink": Trap(
        lambda canary: archive(
            symlink("s", canary.rpartition("/")[0]),
            hardlink("h", "s/" + canary.rpartition("/")[2]),
        ),
        "no earlier entry",
    ),
    "a hard link through a symlink that stays inside": Trap(
        lambda _: archive(
            directory("d"), entry("d/x", data=b"1"), symlink("s", "/d"), hardlink("h", "s/x")
        ),
        holds={"h": b"1", "d/x": b"1"},
    ),
    "a hard link through symlinks in circles": Trap(
        lambda _: archive(symlink("a", "b"), symlink("b", "a"), hardlink("h", "a/x")),
        "no earlier entry",
    ),
    "a hard link through a symlink that climbs": Trap(
        lambda canary: archive(
            symlink("s", "../" * 40 + canary.rpartition("/")[0]), hardlink("h", "s/canary")
        ),
        "no earlier entry",
    ),
    "a hard link to a symlink, then written to": Trap(
        lambda canary: archive(symlink("s", canary), hardlink("h", "s"), entry("h", data=b"own")),
        holds={"h": b"own"},
    ),
    "a hard link to itself": Trap(lambda _: archive(hardlink("h", "h")), "no earlier entry"),
    "a hard link to itself, once it exists": Trap(
        lambda _: archive(entry("h", data=b"1"), hardlink("h", "./h")), holds={"h": b"1"}
    ),
    "a hard link to a directory": Trap(
        lambda _: archive(directory("d"), hardlink("h", "d")), "hard link to a directory"
    ),
    "a hard link to the root": Trap(lambda _: archive(hardlink("h", "/")), "no earlier entry"),
    "a hard link to what takes its target away": Trap(
        lambda _: archive(directory("d"), entry("d/x"), hardlink("d", "d/x")), "cannot be made"
    ),
    # Kinds of files
    "device nodes": Trap(
        lambda _: archive(entry("sda", "4", mode=0o666), entry("kmem", "3", mode=0o666))
    ),
    "set-uid and set-gid programs": Trap(
        lambda _: archive(entry("a", mode=0o4755), entry("b", mode=0o2755), entry("c", mode=0o6777))
    ),
    "a set-uid program that is made twice": Trap(
        lambda _: archive(entry("a"), hardlink("b", "a"), entry("a", mode=0o6755))
    ),
    "a directory of before ustar, with data that is an entry": Trap(
        lambda _: archive(entry("f", data=b"f"), entry("d/", data=entry("f", data=BAD))),
        holds={"f": b"f"},
    ),
    "a pipe": Trap(lambda _: archive(entry("p", "6"), entry("p", data=b"x")), holds={"p": b"x"}),
    "a file below a file": Trap(lambda _: archive(entry("f"), entry("f/x")), "cannot be made"),
    "a file below a pipe": Trap(lambda _: archive(entry("f", "6"), entry("f/x")), "cannot be made"),
    "a directory 2,000 deep, taken away again": Trap(
        lambda _: archive(_deep(2000), entry("d", data=b"flat")), holds={"d": b"flat"}
    ),
    "overlay attributes that would hide or redirect": Trap(
        lambda _: archive(
            pax(
                {
                    "SCHILY.xattr.user.overlay.redirect": "/",
                    "SCHILY.xattr.trusted.overlay.opaque": "y",
                    "LIBARCHIVE.xattr.security.capability": "AQAAAv////8AAAAA",
                }
            )
            + directory("d")
        )
    ),
    # Numbers
    "CVE-2025-8194 a negative size": Trap(
        lambda _: archive(entry("x", size=-512), entry("y", data=BAD)), "is no size"
    ),
    "CVE-2025-8194 a negative size of an extension": Trap(
        lambda _: archive(entry("x", "x", size=-1024), entry("y", data=BAD)), "is no size"
    ),
    "a negative size in PAX": Trap(
        lambda _: archive(pax({"size": "-512"}) + entry("x", data=BAD)), "is no size"
    ),
    "a size of 2^70 in PAX": Trap(
        lambda _: archive(pax({"size": str(2**70)}) + entry("x")), "is no size"
    ),
    "a size of 2^62": Trap(lambda _: archive(entry("x", size=1 << 62)), "is a bomb"),
    "a size that is no number": Trap(
        lambda _: archive(entry("x", size=b"0x1ff_ff+12\0")), "is damaged"
    ),
    "a time beyond the end of time": Trap(
        lambda _: archive(pax({"mtime": "9" * 18}) + entry("x", data=b"1")), holds={"x": b"1"}
    ),
    "a time that is no number": Trap(
        lambda _: archive(pax({"mtime": "nan"}) + entry("x")), "is no time"
    ),
    "owners beyond every map": Trap(
        lambda _: archive(pax({"uid": str(2**32 - 1)}) + entry("x"), entry("y", uid=-5))
    ),
    # Headers
    "a broken checksum": Trap(
        lambda _: archive(entry("good", data=b"1"), entry("bad", data=BAD, checksum=1)),
        "checksum",
    ),
    "a PAX header of a gigabyte": Trap(
        lambda _: entry("x", "x", size=1 << 30) + bytes(1 << 20), "has a header of"
    ),
    "a GNU name of a gigabyte": Trap(
        lambda _: entry("x", "L", size=1 << 30) + bytes(1 << 20), "has a header of"
    ),
    "a PAX record that is longer than its header": Trap(
        lambda _: archive(entry("x", "x", b"999 path=y\n"), entry("x")), "PAX header is broken"
    ),
    "a PAX record of length zero": Trap(
        lambda _: archive(entry("x", "x", b"0 path=y\n"), entry("x")), "PAX header is broken"
    ),
    "CVE-2024-6232 a PAX length that goes on for ever": Trap(
        lambda _: archive(entry("x", "x", b"1" * 500_000), entry("x")), "is damaged"
    ),
    "a PAX header for nothing": Trap(lambda _: archive(pax({"path": "x"})), "has no file"),
    "PAX records without a value, which say nothing": Trap(
        lambda _: archive(pax(dict.fromkeys(("size", "mtime", "uid", "path"), "")), entry("x")),
        holds={"x": b""},
    ),
    "a global PAX header that names every file": Trap(
        lambda _: archive(
            pax({"path": "../../x", "size": "5", "linkpath": "/"}, "g"), entry("y", data=b"mine")
        ),
        holds={"y": b"mine"},
    ),
    "ten thousand PAX headers in a row": Trap(
        lambda _: archive(pax({"comment": "x"}) * 10_000 + entry("y", data=b"1")), holds={"y": b"1"}
    ),
    "PAX headers of three megabytes for one file": Trap(
        lambda _: archive(pax({"comment": "x" * 900_000}) * 3 + entry("y")), "has headers of"
    ),
    "large attributes of one file after the other": Trap(
        lambda _: archive(
            *(pax({f"SCHILY.xattr.user.{n}": "x" * 900_000}) + entry("y") for n in range(3))
        ),
        holds={"y": b""},
    ),
    "one volume of several": Trap(lambda _: archive(entry("x", "M", data=BAD)), "multi-volume"),
    # Sparse files
    "a sparse file of eight exabytes": Trap(
        lambda _: _sparse_1(b"1\n0\n0\n", str(2**63 - 1)), "is a bomb"
    ),
    "a sparse map that overlaps itself": Trap(
        lambda _: _sparse_1(b"2\n0\n512\n256\n512\n", "4096", bytes(1024)), "overlaps itself"
    ),
    "a sparse map that goes backwards": Trap(
        lambda _: _sparse_1(b"2\n2048\n512\n0\n512\n", "4096", bytes(1024)), "overlaps itself"
    ),
    "a sparse map beyond the end of its file": Trap(
        lambda _: _sparse_1(b"1\n4096\n512\n", "1024", bytes(512)), "does not fit"
    ),
    "a sparse map of more data than there is": Trap(
        lambda _: _sparse_1(b"1\n0\n1024\n", "4096", bytes(512)), "does not fit"
    ),
    "a sparse map without end": Trap(lambda _: _sparse_1(b"9" * 10 + b"\n", "4096"), "too long"),
    "a sparse map whose lines never end": Trap(
        lambda _: _sparse_1(b"1" * 5120, "4096"), "has no end"
    ),
    "a sparse map with a negative number": Trap(
        lambda _: _sparse_1(b"1\n-512\n512\n", "4096", bytes(512)), "is no sparse map"
    ),
    # Bombs
    "a gzip bomb": Trap(lambda _: gzip.compress(_zeros(40), 9), "is a bomb"),
    "a bzip2 bomb": Trap(lambda _: bz2.compress(_zeros(40)), "is a bomb"),
    "an xz bomb": Trap(lambda _: lzma.compress(_zeros(40), preset=0), "is a bomb"),
    "a zstd bomb": Trap(lambda _: zstd.compress(_zeros(40)), "is a bomb"),
    "a bomb behind the end of the archive": Trap(
        lambda _: zstd.compress(archive(entry("x")) + bytes(40 << 20)), "is a bomb"
    ),
    "an xz dictionary of half a gigabyte": Trap(
        lambda _: _xz_with_a_huge_dictionary(archive(entry("x"))), "more memory"
    ),
    "a zstd window of terabytes": Trap(lambda _: _zstd_with_a_huge_window(), "is damaged"),
    # What went through Python's own filters
    "CVE-2024-12718 attributes given through a symlink": Trap(
        lambda canary: archive(
            directory("d", 0o777), symlink("d", canary.rpartition("/")[0]), entry("x")
        ),
        holds={"x": b""},
    ),
    "CVE-2025-4138 a symlink beyond what realpath resolves": Trap(
        lambda canary: _realpath_overflow(canary, entry("escape/canary", data=BAD)),
        "cannot be made",
    ),
    "CVE-2025-4330 a symlink that leaves once a later one is there": Trap(
        lambda canary: archive(
            directory(DEEP),
            symlink("out", f"{DEEP}up" + "/.." * 12 + canary.rpartition("/")[0]),
            symlink(f"{DEEP}up", "../" * 12),
            entry("out/" + canary.rpartition("/")[2], data=BAD),
        ),
        "cannot be made",
    ),
    "CVE-2025-4435 an entry refused, and others that follow": Trap(
        lambda _: archive(entry("../x", data=BAD), entry("y", data=b"1")), "would leave"
    ),
    "CVE-2025-4517 a file written beyond what realpath resolves": Trap(
        lambda canary: _realpath_overflow(
            canary, hardlink("flag", "escape/canary"), entry("flag", data=BAD)
        ),
        "no earlier entry",
    ),
    "CVE-2026-7774 a symlink with a directory's name": Trap(
        lambda canary: archive(
            symlink("d/", canary.rpartition("/")[0]), entry("d/canary", data=BAD)
        ),
        "cannot be made",
    ),
    "CVE-2026-7774 a symlink without a name": Trap(
        lambda canary: archive(symlink("", canary.rpartition("/")[0]), entry("canary", data=BAD)),
        "take the place of the root",
    ),
    "CVE-2026-11940 a symlink that leaves where its hard link is": Trap(
        lambda canary: archive(
            directory(DEEP),
            symlink(f"{DEEP}link", "../" * 12 + canary.rpartition("/")[0][1:]),
            hardlink("near", f"{DEEP}link"),
            entry("near/canary", data=BAD),
        ),
        "cannot be made",
    ),
    "CVE-2026-19672 a name that leaves, makes a directory and comes back": Trap(
        lambda canary: archive(
            entry("../" * 12 + canary.rpartition("/")[0][1:] + "/made/../../x", data=BAD)
        ),
        "would leave",
    ),
    "CVE-2026-82049 attributes given through a hard link to a symlink": Trap(
        lambda canary: archive(
            directory(DEEP),
            symlink(f"{DEEP}link", "../" * 12 + canary[1:]),
            entry("near", "1", link=f"{DEEP}link", mode=0o777, mtime=5),
            entry("x"),
        ),
        holds={"x": b""},
    ),
    # Whiteouts
    "a whiteout of nothing": Trap(
        lambda _: archive(entry("x"), entry(".wh.")), "a whiteout of '', which is no name"
    ),
    "a whiteout of the directory above": Trap(
        lambda _: archive(directory("d"), entry("d/.wh...")), "a whiteout of '..'"
    ),
    "a whiteout of the directory itself": Trap(
        lambda _: archive(directory("d"), entry("d/.wh..")), "a whiteout of '.'"
    ),
    "a whiteout that is a directory": Trap(
        lambda _: archive(entry(".wh.x/y", data=BAD)), "a whiteout that is a directory"
    ),
    "a whiteout through a symlink to outside": Trap(
        lambda canary: archive(
            symlink("s", canary.rpartition("/")[0]),
            entry("s/.wh.canary"),
            entry("s/.wh..wh..opq"),
            entry("x", data=b"1"),
        ),
        holds={"x": b"1"},
    ),
    "bookkeeping of aufs": Trap(
        lambda _: archive(directory(".wh..wh.plnk"), entry(".wh..wh.plnk/1.2"), entry("x")),
        holds={"x": b""},
    ),
    # No archives at all
    "nothing": Trap(lambda _: b"", "is empty"),
    "nothing, compressed": Trap(lambda _: gzip.compress(b""), "holds nothing"),
    "an archive of nothing": Trap(lambda _: END, "holds nothing"),
    "a text": Trap(lambda _: b"hello\n" * 1000, "is not a tar archive"),
    "a short text": Trap(lambda _: b"hello\n", "is not a tar archive"),
    "a compressed text": Trap(lambda _: gzip.compress(b"hello\n" * 1000), "is not a tar archive"),
    "a zip file": Trap(lambda _: b"PK\x03\x04" + bytes(1000), "is a zip file"),
    "gzip's first bytes and then noise": Trap(
        lambda _: b"\x1f\x8b\x08" + bytes(range(256)), "is damaged"
    ),
    "xz's first bytes and then noise": Trap(
        lambda _: b"\xfd7zXZ\0" + bytes(range(256)), "is damaged"
    ),
    "zstd's first bytes and then noise": Trap(
        lambda _: b"\x28\xb5\x2f\xfd" + bytes(range(256)), "is damaged"
    ),
    "an archive that ends within an entry": Trap(
        lambda _: entry("x", data=b"1")[:-1], "ends too early"
    ),
    "an archive without zeros at its end, as GNU tar takes it": Trap(
        lambda _: entry("x", data=b"1") + entry("y"), holds={"x": b"1", "y": b""}
    ),
}

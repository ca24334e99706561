"""Looking at trees, and making one worth archiving."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from engine.idmap import Extent, IdMap

Node = dict[str, object]


class Shift(NamedTuple):
    """Turns the host's ids back into those of the tree's user namespace."""

    extents: tuple[Extent, ...]

    def inside(self, host_id: int) -> int:
        for inside, outside, length in self.extents:
            if outside <= host_id < outside + length:
                return host_id - outside + inside
        raise AssertionError(f"{host_id} belongs to nobody in the tree's namespace")


def look_at(root: str, idmap: IdMap | None = None) -> dict[bytes, Node]:
    """Every file below `root` with all that a tar archive says of it, owners as inside."""
    top = os.fsencode(root)
    nodes: dict[bytes, Node] = {}
    names: dict[tuple[int, int], list[bytes]] = {}
    for directory, below, files in os.walk(top):
        for name in [
            b".",
            *files,
            *(n for n in below if os.path.islink(os.path.join(directory, n))),
        ]:
            path = os.path.join(directory, name)
            found = os.lstat(path)
            key = os.path.relpath(path, top)
            node: Node = {
                "type": stat.S_IFMT(found.st_mode),
                "mode": stat.S_IMODE(found.st_mode),
                "uid": Shift(idmap.uids).inside(found.st_uid) if idmap else found.st_uid,
                "gid": Shift(idmap.gids).inside(found.st_gid) if idmap else found.st_gid,
                "mtime": found.st_mtime_ns,
            }
            if stat.S_ISLNK(found.st_mode):
                node["target"] = os.readlink(path)
            if stat.S_ISREG(found.st_mode):
                node["size"] = found.st_size
                with open(path, "rb") as file:
                    node["content"] = hashlib.file_digest(file, "sha256").hexdigest()
            if not stat.S_ISDIR(found.st_mode):
                names.setdefault((found.st_dev, found.st_ino), []).append(key)
            nodes[key] = node
    for same in names.values():
        for key in same:
            nodes[key]["names"] = sorted(same)
    return nodes


def without(nodes: dict[bytes, Node], *kinds: int) -> dict[bytes, Node]:
    """The tree without nodes of these types."""
    return {path: node for path, node in nodes.items() if node["type"] not in kinds}


def stripped(nodes: dict[bytes, Node]) -> dict[bytes, Node]:
    """The tree as it is to be: no device nodes, no set-uid, no set-gid but on directories."""
    for node in nodes.values():
        mode = node["mode"]
        assert isinstance(mode, int)
        lending = stat.S_ISUID if node["type"] == stat.S_IFDIR else stat.S_ISUID | stat.S_ISGID
        node["mode"] = mode & ~lending
    return without(nodes, stat.S_IFCHR, stat.S_IFBLK)


def make_plain_tree(root: str) -> None:
    """A tree that the oldest tar can hold, but with all that usually goes wrong in it."""
    os.makedirs(f"{root}/usr/bin")
    os.makedirs(f"{root}/etc")
    os.symlink("usr/bin", f"{root}/bin")
    for name, content in {
        "usr/bin/sh": os.urandom(70_000),
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
        "etc/empty": b"",
        "etc/exactly-512": b"x" * 512,
        "etc/a name with spaces": b"1",
        "etc/-dash": b"2",
        "etc/new\nline": b"3",
        "etc/ünïcode-☃": b"4",
    }.items():
        _write(f"{root}/{name}", content)
    _write(os.fsencode(root) + b"/etc/not-utf8-\xff\xfe", b"5")
    os.chmod(f"{root}/usr/bin/sh", 0o755)
    os.chmod(f"{root}/etc/empty", 0o000)
    os.symlink("/usr/bin/sh", f"{root}/usr/bin/absolute")
    os.symlink("../../../../../../etc/passwd", f"{root}/etc/relative")
    os.symlink("nowhere", f"{root}/etc/dangling")
    os.link(f"{root}/usr/bin/sh", f"{root}/usr/bin/zsh")
    os.link(f"{root}/usr/bin/sh", f"{root}/etc/sh-too")
    os.mkdir(f"{root}/tmp")
    os.chmod(f"{root}/tmp", 0o1777)
    os.mkdir(f"{root}/locked")
    _write(f"{root}/locked/inside", b"6")
    os.chmod(f"{root}/locked", 0o500)
    if os.geteuid() == 0:
        os.chown(f"{root}/etc/passwd", 1234, 4321)
        os.chown(f"{root}/etc/dangling", 7, 8, follow_symlinks=False)
        os.chown(f"{root}/tmp", 65534, 65534)
    os.utime(f"{root}/etc/empty", (0, 0))
    os.utime(f"{root}/usr", (1_000_000_000, 1_000_000_000))


def make_tree(root: str) -> None:
    """A tree with what only newer formats hold, too."""
    make_plain_tree(root)
    os.mkfifo(f"{root}/etc/pipe", 0o640)
    os.makedirs(f"{root}/opt/" + "/".join(["directory-with-a-name"] * 20))
    _write(f"{root}/opt/" + "directory-with-a-name/" * 20 + "n" * 200, b"deep")
    _write(f"{root}/" + "l" * 255, b"long")
    os.symlink("t" * 3000, f"{root}/long-target")
    os.link(f"{root}/" + "l" * 255, f"{root}/" + "m" * 240)
    os.makedirs(f"{root}/var/local")
    os.chmod(f"{root}/var/local", 0o2775)
    _write(f"{root}/usr/bin/su", b"set-uid")
    os.chmod(f"{root}/usr/bin/su", 0o6755)
    os.utime(f"{root}/etc/passwd", ns=(1_700_000_000_123_456_789,) * 2)
    os.utime(f"{root}/usr/bin/su", ns=(-86_400_000_000_000,) * 2)
    make_sparse(f"{root}/sparse-ends", 5_000_000, [(0, b"start"), (4_999_990, b"the finish")])
    make_sparse(f"{root}/sparse-middle", 3_000_000, [(1_048_576, b"m" * 5000)])
    make_sparse(f"{root}/sparse-empty", 2_000_000, [])
    make_sparse(
        f"{root}/sparse-many", 9_000_000, [(at, b"data") for at in range(8192, 9_000_000, 131_072)]
    )


def make_sparse(path: str, size: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    with open(path, "wb") as file:
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        file.truncate(size)


def _write(path: str | bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def run(*command: str, cwd: str | None = None, status: int = 0) -> None:
    """Run a command, which must end with `status`."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    assert done.returncode == status, done.stderr.decode()

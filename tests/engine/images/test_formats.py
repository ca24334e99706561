"""Archives by every tool, format and compressor: the tree must be what those tools make of them."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.idmap import ROOT_BASE, Extent, IdMap
from engine.images import pull
from engine.images.store import Store
from tests.engine.images.trees import look_at, make_plain_tree, make_tree, run, stripped

PLAIN = {
    "GNU tar v7": ["tar", "--format=v7"],
    "GNU tar ustar": ["tar", "--format=ustar"],
    "bsdtar ustar": ["bsdtar", "--format=ustar"],
    "bsdtar v7": ["bsdtar", "--format=v7"],
    "busybox tar": ["busybox", "tar"],
}
FULL = {
    "GNU tar gnu": ["tar", "--format=gnu"],
    "GNU tar oldgnu sparse": ["tar", "--format=oldgnu", "--sparse"],
    "GNU tar gnu sparse": ["tar", "--format=gnu", "--sparse"],
    "GNU tar pax": ["tar", "--format=pax"],
    "GNU tar pax sparse 0.0": ["tar", "--format=pax", "--sparse", "--sparse-version=0.0"],
    "GNU tar pax sparse 0.1": ["tar", "--format=pax", "--sparse", "--sparse-version=0.1"],
    "GNU tar pax sparse 1.0": ["tar", "--format=pax", "--sparse", "--sparse-version=1.0"],
    "bsdtar pax": ["bsdtar", "--format=pax"],
    "bsdtar gnutar": ["bsdtar", "--format=gnutar"],
}
COMPRESSORS: dict[str, list[str]] = {
    "gz": ["gzip", "-1"],
    "xz": ["xz", "-1"],
    "bz2": ["bzip2", "-1"],
    "zst": ["zstd", "-q", "-1"],
}


@pytest.fixture(scope="module")
def plain_tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    tree = tmp_path_factory.mktemp("plain") / "tree"
    tree.mkdir()
    make_plain_tree(str(tree))
    return str(tree)


@pytest.fixture(scope="module")
def full_tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    tree = tmp_path_factory.mktemp("full") / "tree"
    tree.mkdir()
    make_tree(str(tree))
    return str(tree)


def check_same(store: Store, archive: Path, tool: str = "tar") -> None:
    """Pull `archive`, and compare with what `tool -xp` makes of it."""
    reference = archive.parent / "reference"
    reference.mkdir()
    run(tool, "--numeric-owner", "-xpf", str(archive), "-C", str(reference))
    egg = pull(str(archive), store=store)
    expected = stripped(look_at(str(reference)))
    found = look_at(store.layer_tree(egg.digest), store.idmap)
    if tool == "bsdtar":  # gives the directory that it unpacks into no time
        expected[b"."]["mtime"] = found[b"."]["mtime"]
    assert found == expected


def reference_for(tool: str) -> str:
    # bsdtar writes breadth first, and GNU tar, unpacking that, loses directories' times.
    return "bsdtar" if tool.startswith("bsdtar") else "tar"


def test_busyboxs_own_unpacking(plain_tree: str, tmp_path: Path, store: Store) -> None:
    """It loses what others keep: links' owners, and the times of all but files."""
    archive = tmp_path / "egg.tar"
    run("busybox", "tar", "-cf", str(archive), ".", cwd=plain_tree)
    reference = tmp_path / "reference"
    reference.mkdir()
    run("busybox", "tar", "-xpf", str(archive), "-C", str(reference))
    expected = stripped(look_at(str(reference)))
    egg = pull(str(archive), store=store)
    found = look_at(store.layer_tree(egg.digest), store.idmap)
    for node in (*expected.values(), *found.values()):
        if node["type"] != stat.S_IFREG:
            node["mtime"] = 0
        if node["type"] == stat.S_IFLNK:
            node["uid"] = node["gid"] = 0
    assert found == expected


@pytest.mark.parametrize("tool", PLAIN)
def test_plain_tree(tool: str, plain_tree: str, tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    run(*PLAIN[tool], "-cf", str(archive), ".", cwd=plain_tree)
    check_same(store, archive, reference_for(tool))


@pytest.mark.parametrize("tool", FULL)
def test_full_tree(tool: str, full_tree: str, tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    run(*FULL[tool], "-cf", str(archive), ".", cwd=full_tree)
    check_same(store, archive, reference_for(tool))


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_python_tarfile(tar_format: int, plain_tree: str, tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w", format=tar_format) as tar:
        tar.add(plain_tree, ".")
    check_same(store, archive)


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_extended_attributes_stay_behind_and_are_counted(
    tool: str, plain_tree: str, tmp_path: Path, store: Store
) -> None:
    """Of a tree that has some, whatever tmpfs thinks of `user.` on links and pipes."""
    run("cp", "-a", plain_tree, str(tmp_path / "tree"))
    for name in ("etc/passwd", "usr"):
        run("setfattr", "-n", "user.overlay.opaque", "-v", "y", str(tmp_path / "tree" / name))
    if os.geteuid() == 0:
        capability = "0x0100000200240000000000000000000000000000"
        shell = str(tmp_path / "tree/usr/bin/sh")
        run("setfattr", "-n", "security.capability", "-v", capability, shell)
    archive = tmp_path / "egg.tar"
    options = ["--xattrs", "--xattrs-include=*"] if tool == "tar" else ["--xattrs"]
    run(tool, "--format=pax", *options, "-cf", str(archive), ".", cwd=str(tmp_path / "tree"))
    check_same(store, archive, tool)
    egg = store.egg("egg")
    assert egg.left_out["extended attributes"] >= 2
    for place, below, files in os.walk(store.layer_tree(egg.digest)):
        for name in (*below, *files):
            assert os.listxattr(os.path.join(place, name), follow_symlinks=False) == []


def test_sparse_files_stay_sparse(full_tree: str, tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    run("tar", "--format=pax", "--sparse", "-cf", str(archive), ".", cwd=full_tree)
    tree = store.layer_tree(pull(str(archive), store=store).digest)
    assert os.stat(f"{tree}/sparse-ends").st_blocks * 512 < 100_000


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressed(suffix: str, full_tree: str, tmp_path: Path, store: Store) -> None:
    plain = tmp_path / "egg.tar"
    run("tar", "--format=pax", "-cf", str(plain), ".", cwd=full_tree)
    packed = tmp_path / f"egg.tar.{suffix}"
    with packed.open("wb") as file:
        subprocess.run([*COMPRESSORS[suffix], "-c", str(plain)], stdout=file, check=True)
    check_same(store, packed)
    egg = pull(str(plain), store=store, name="uncompressed")
    assert egg.digest == store.egg("egg").digest, "the digest is that of the uncompressed content"
    assert len(os.listdir(f"{store.directory}/layers/sha256")) == 1, "stored once"


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressed_in_several_parts(
    suffix: str, plain_tree: str, tmp_path: Path, store: Store
) -> None:
    plain = tmp_path / "egg.tar"
    run("tar", "-cf", str(plain), ".", cwd=plain_tree)
    content = plain.read_bytes()
    packed = tmp_path / "egg.packed"  # the name says nothing: the content does
    for half in (content[:30_001], content[30_001:]):
        done = subprocess.run(COMPRESSORS[suffix], input=half, capture_output=True, check=True)
        packed.write_bytes((packed.read_bytes() if packed.exists() else b"") + done.stdout)
    check_same(store, packed)


def test_the_name_and_not_the_content_may_be_wrong(
    plain_tree: str, tmp_path: Path, store: Store
) -> None:
    plain = tmp_path / "egg.tar"
    run("tar", "-cf", str(plain), ".", cwd=plain_tree)
    lying = tmp_path / "really-gzip.tar.xz"
    lying.write_bytes(gzip.compress(plain.read_bytes()))
    assert pull(str(lying), store=store).digest == pull(str(plain), store=store).digest


def test_entries_that_come_twice(tmp_path: Path, store: Store) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    archive = str(tmp_path / "egg.tar")

    def add(change: Callable[[], object]) -> None:
        change()
        mode = "-rf" if os.path.exists(archive) else "-cf"
        run("tar", mode, archive, "-C", str(tree), ".")
        run("find", str(tree), "-mindepth", "1", "-delete")

    add(lambda: (tree / "file-then-file").write_text("a longer first text"))
    add(lambda: (tree / "file-then-file").write_text("second"))
    add(lambda: (tree / "file-then-link").write_text("first"))
    add(lambda: (tree / "file-then-link").symlink_to("/etc/passwd"))
    add(lambda: (tree / "link-then-file").symlink_to("file-then-file"))
    add(lambda: (tree / "link-then-file").write_text("not through the link"))
    add(lambda: (tree / "directory-twice").mkdir(0o700))
    add(lambda: (tree / "directory-twice").mkdir(0o750))
    add(lambda: (tree / "file-then-directory").write_text("first"))
    add(lambda: (tree / "file-then-directory").mkdir(0o711))
    check_same(store, Path(archive))


def test_a_full_directory_gives_way_to_a_file(tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("d", "d/below"):
            tar.addfile(_entry(name, tarfile.DIRTYPE))
        tar.addfile(_entry("d/below/file"))
        tar.addfile(_entry("d"))
    tree = look_at(store.layer_tree(pull(str(archive), store=store).digest))
    assert sorted(tree) == [b".", b"d"]
    assert tree[b"d"]["type"] == stat.S_IFREG


def _entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    return entry


def test_directories_without_entries_are_made(tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(_entry("/a/b/c/file"))
        hard = _entry("x/y/hard", tarfile.LNKTYPE)
        hard.linkname = "/a/b/c/file"
        tar.addfile(hard)
    tree = look_at(store.layer_tree(pull(str(archive), store=store).digest), store.idmap)
    assert tree[b"a/b"]["mode"] == 0o755
    assert tree[b"a/b/c/file"]["names"] == [b"a/b/c/file", b"x/y/hard"]


def test_a_directory_has_what_its_last_entry_says(tmp_path: Path, store: Store) -> None:
    """Neither what was said of another one, in whose place a symlink leads to it, nor before."""
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w") as tar:
        modes = [("a", 0o755), ("a/x", 0o700), ("a/y", 0o700), ("b", 0o755), ("b/x", 0o711)]
        for name, mode in (*modes, ("a/x", 0o750), ("b", 0), ("b/y", 0o711), ("a/y", 0o750)):
            entry = _entry(name, tarfile.DIRTYPE if mode else tarfile.SYMTYPE)
            entry.mode, entry.linkname = mode, "a"
            tar.addfile(entry)
    tree = look_at(store.layer_tree(pull(str(archive), store=store).digest))
    assert {name: tree[name]["mode"] for name in (b"a/x", b"a/y")} == {b"a/x": 0o750, b"a/y": 0o750}


def test_files_behind_a_merged_usr(tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(_entry("usr/bin", tarfile.DIRTYPE))
        link = _entry("bin", tarfile.SYMTYPE)
        link.linkname = "/usr/bin"
        tar.addfile(link)
        tar.addfile(_entry("bin/sh"))
    tree = look_at(store.layer_tree(pull(str(archive), store=store).digest))
    assert sorted(tree) == [b".", b"bin", b"usr", b"usr/bin", b"usr/bin/sh"]


def test_what_is_kept_out_is_counted(tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, kind in enumerate((tarfile.CHRTYPE, tarfile.BLKTYPE)):
            tar.addfile(_entry(f"device-{number}", kind))
        for number, mode in enumerate((0o4755, 0o2755, 0o755)):
            entry = _entry(f"program-{number}")
            entry.mode = mode
            tar.addfile(entry)
        entry = _entry("attributed")
        entry.pax_headers = {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.x": "y"}
        tar.addfile(entry)
        for key in ("SCHILY.acl.access", "SCHILY.acl.default", "RHT.security.selinux"):
            entry = _entry(key)
            entry.pax_headers = {key: "x"}
            tar.addfile(entry)
        entry = _entry("stranger")
        entry.uid, entry.gid = 3_000_000, 70_000
        tar.addfile(entry)
    egg = pull(str(archive), store=store)
    owners = {"owners": 1}
    assert egg.left_out == {
        "device nodes": 2,
        "set-uid and set-gid bits": 2,
        "extended attributes": 4,
        **owners,
    }
    tree = look_at(store.layer_tree(egg.digest), store.idmap)
    assert (tree[b"stranger"]["uid"], tree[b"stranger"]["gid"]) == (
        (0, 0) if store.idmap.single else (65534, 65534)
    )
    assert tree[b"program-0"]["mode"] == 0o755
    assert b"device-0" not in tree
    assert os.listxattr(f"{store.layer_tree(egg.digest)}/attributed") == []
    assert store.egg("egg").left_out == egg.left_out


def test_with_a_single_id_everything_is_roots(tmp_path: Path) -> None:
    uid, gid = os.geteuid() or ROOT_BASE, os.getegid() or ROOT_BASE
    single = IdMap((Extent(0, uid, 1),), (Extent(0, gid, 1),))
    store = Store(str(tmp_path / "store"), single)
    archive = tmp_path / "egg.tar"
    with tarfile.open(archive, "w") as tar:
        entry = _entry("somebody's")
        entry.uid, entry.gid = 1000, 1000
        tar.addfile(entry)
        tar.addfile(_entry("root's"))
    egg = pull(str(archive), store=store)
    assert egg.left_out == {"owners": 1}
    tree = look_at(store.layer_tree(egg.digest), single)
    assert {(node["uid"], node["gid"]) for node in tree.values()} == {(0, 0)}

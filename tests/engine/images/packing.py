"""Images made by other tools: umoci packs and unpacks them, skopeo carries them about."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from tests.engine.images.trees import Node, look_at, make_tree, run, stripped
from tests.security.archives import archive, directory, entry, hardlink, symlink


class Packed(NamedTuple):
    """An image, and the tree that umoci makes of it."""

    layout: Path
    """A directory in the OCI image layout, whose image is tagged `three`."""
    tree: dict[bytes, Node]
    unpacked_at: int
    """Nanoseconds: when umoci began to unpack it."""

    @property
    def source(self) -> str:
        """As skopeo names it."""
        return f"oci:{self.layout}:three"


def pack(place: Path, base: Path, change: list[list[str]], top: bytes) -> Packed:
    """An image of three layers: the tar archive `base`, what `change` does to it, and `top`.

    `change` are commands run in the tree, which umoci then packs into a layer with whiteouts of
    its own; `top` is a tar archive, with those that umoci would not write.
    """
    layout, bundle = place / "layout", place / "bundle"
    image = f"{layout}:three"
    run("umoci", "init", "--layout", str(layout))
    run("umoci", "new", "--image", image)
    run("umoci", "raw", "add-layer", "--image", image, str(base))
    run("umoci", "unpack", "--image", image, str(bundle))
    for command in change:
        run(*command, cwd=str(bundle / "rootfs"))
    run("umoci", "repack", "--image", image, str(bundle))
    shutil.rmtree(bundle)
    (place / "top.tar").write_bytes(top)
    run("umoci", "raw", "add-layer", "--image", image, str(place / "top.tar"))
    options = {
        "entrypoint": ["/bin/sh", "-c"],
        "cmd": ["echo hello"],
        "env": ["A=b=c", "LANG=C.UTF-8"],
    }
    run(
        *("umoci", "config", "--image", image, "--config.workingdir", "/srv"),
        *("--config.user", "1000:1000", "--config.stopsignal", "SIGINT"),
        *(f"--config.{key}={value}" for key, values in options.items() for value in values),
    )
    started = time.time_ns()
    run("umoci", "unpack", "--image", image, str(bundle))
    tree = stripped(look_at(str(bundle / "rootfs")))
    shutil.rmtree(bundle)
    return Packed(layout, tree, started)


def pack_small(place: Path) -> Packed:
    """An image of a tree with all that tar can hold."""
    tree = place / "tree"
    tree.mkdir()
    make_tree(str(tree))
    base = place / "base.tar"
    run("tar", "--format=pax", "--numeric-owner", "-C", str(tree), "-cf", str(base), ".")
    shutil.rmtree(tree)
    change = [
        ["rm", "usr/bin/zsh", "etc/empty"],
        ["rm", "-r", "opt"],
        ["ln", "-sf", "new-target", "etc/dangling"],
        ["mkdir", "-p", "srv/a/b"],
        ["ln", "usr/bin/sh", "srv/a/b/sh"],
        ["chmod", "711", "var/local"],
        ["cp", "etc/passwd", "srv/a/passwd"],
    ]
    top = archive(
        directory("srv/a", 0o750),
        entry("srv/a/.wh..wh..opq"),
        entry("srv/a/after", data=b"it stands behind the opaque whiteout, and is this layer's"),
        hardlink("etc/sh-of-below", "usr/bin/sh"),
        hardlink("etc/passwd-of-below", "etc/passwd"),
        entry("etc/.wh.exactly-512"),
        entry("etc/exactly-512", data=b"the same name, made anew after its whiteout"),
        entry("etc/own", data=b"made before its whiteout, which means the lower layers'"),
        entry("etc/.wh.own"),
        entry("bin/through-a-link", data=b"1"),
        symlink("locked", "etc"),
        entry("locked/through-a-new-link", data=b"2"),
        directory("sparse-ends"),
        entry("sparse-ends/file-becomes-directory", data=b"3"),
        entry(".wh.sparse-many"),
        entry(".wh.never-was"),
        entry("no/such/directory/.wh.x"),
    )
    return pack(place, base, change, top)


def pack_debian(place: Path, tarball: Path) -> Packed:
    """An image of a Debian root filesystem."""
    base = place / "base.tar"
    with base.open("wb") as file:
        run("sh", "-c", 'exec gzip -dc "$0" > "$1"', str(tarball), file.name)
    change = [
        ["rm", "-r", "usr/share/doc/apt", "usr/share/locale", "var/lib/dpkg/info"],
        ["cp", "-a", "etc/apt", "etc/apt-too"],
        ["ln", "usr/bin/perl", "usr/local/bin/perl"],
        ["rm", "etc/hostname"],
        ["mv", "srv", "srv-too"],
        ["ln", "-s", "srv-too", "srv"],
    ]
    top = archive(
        directory("etc/apt"),
        entry("etc/apt/.wh..wh..opq"),
        entry("etc/apt/sources.list", data=b"deb http://deb.debian.org/debian bookworm main\n"),
        hardlink("usr/local/bin/bash-of-below", "usr/bin/bash"),
        entry("usr/share/.wh.man"),
        entry("bin/own", data=b"through bin, which is a link to usr/bin"),
    )
    return pack(place, base, change, top)


def assert_equal(found: dict[bytes, Node], packed: Packed) -> None:
    """The tree is umoci's, but for times that umoci invents.

    A directory that a layer changes and has no entry of gets the time of unpacking from umoci,
    though no layer says so. Such a time of a directory is not compared.
    """
    expected = packed.tree
    for path, node in expected.items():
        time_of_it = node["mtime"]
        assert isinstance(time_of_it, int)
        if os.path.basename(path) and time_of_it >= packed.unpacked_at and "names" not in node:
            found[path]["mtime"] = node["mtime"]
    assert found.keys() == expected.keys()
    assert found == expected

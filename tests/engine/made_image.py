"""Images made on the spot: folders as `docker save` would write them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import platform
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def make_image(
    place: pathlib.Path, layers: Sequence[pathlib.Path], config: Mapping[str, Any]
) -> str:
    """The folder `place` with an image of these layers (uncompressed tar archives)."""
    place.mkdir()
    names, diff_ids = [], []
    for number, layer in enumerate(layers):
        names.append(f"layer{number}.tar")
        os.link(layer, place / names[-1])
        with layer.open("rb") as file:
            diff_ids.append("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    machine = platform.machine()
    configuration = {
        "os": "linux",
        "architecture": MACHINES.get(machine, machine),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "config": config,
    }
    (place / "config.json").write_text(json.dumps(configuration))
    saved = [{"Config": "config.json", "RepoTags": [f"{place.name}:latest"], "Layers": names}]
    (place / "manifest.json").write_text(json.dumps(saved))
    return str(place)


def make_layer(path: pathlib.Path, files: Mapping[str, str]) -> pathlib.Path:
    """A layer of these files; a content that begins with `->` makes a symlink."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content.startswith("#!") else 0o644
            if content.startswith("->"):
                entry.type, entry.linkname = tarfile.SYMTYPE, content.removeprefix("->")
                tar.addfile(entry)
            else:
                entry.size = len(content.encode())
                tar.addfile(entry, io.BytesIO(content.encode()))
    return path

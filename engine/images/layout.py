"""Images that lie in a directory: OCI image layouts, and what `docker save` writes.

An archive of either is unpacked first, as any other, and then is such a directory. Nothing in it
is trusted: its files are opened without leaving it, whatever a symlink says, and its documents
are read like a registry's.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import PullFailed
from engine.images import manifest
from engine.images.manifest import Configuration, Descriptor, Document
from engine.images.platforms import Platform
from engine.images.saying import about
from engine.images.saying import shown as shown_value
from engine.images.sums import Sum
from engine.model import Progress

_MOST_LINKS = 40
"""On one path, as for the kernel (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image whose configuration is at hand, and whose layers can be brought."""

    configuration: Configuration
    size: int
    """Bytes that bringing its layers takes, compressed as they are."""
    names: tuple[str, ...]
    """What tells its layers apart, lowest first: digests."""
    layers: Callable[[Callable[[Progress], None]], AbstractContextManager[Iterator[int]]]
    """Brings them, telling how it goes: open files of the layers, lowest first, each as soon as it
    is there. They stay open during the block. Raises PullFailed."""


class Unfit(PullFailed):
    """What came was what was promised, and is no root filesystem all the same."""


def find(root: int, shown: str, platform: Platform) -> Image | None:
    """The image for `platform` in the directory open at `root`, or None where there is none.

    `shown` is what messages call it. Raises PullFailed.
    """
    with about(shown):
        if _has(root, "oci-layout") and _has(root, "index.json"):
            return _oci(root, shown, platform)
        if _has(root, "manifest.json") and _is_docker(saved := _read(root, "manifest.json")):
            return _docker(root, shown, platform, json.loads(saved))
    return None


def _oci(root: int, shown: str, platform: Platform) -> Image:
    """By image-layout.md of the OCI image specification."""

    def fetch(named: Descriptor) -> Document:
        if named.size > manifest.LARGEST:
            raise PullFailed(f"has a document of {named.size} bytes")
        body = _read(root, _blob(named))
        named.check(body)
        return Document(named.media_type, body)

    index = manifest.read_index(Document(manifest.INDEXES[0], _read(root, "index.json")))
    one = _the_one(index, platform)
    found, said = manifest.find(fetch(one), platform, fetch)
    if one.platform and platform.takes(one.platform):
        said = said or one.platform
    configuration = manifest.read_configuration(fetch(found.configuration).body)
    configuration = configuration.checked(len(found.layers), platform, said)

    @contextmanager
    def layers(_: Callable[[Progress], None]) -> Iterator[Iterator[int]]:
        with ExitStack() as held:
            yield (_open(held, root, shown, _blob(layer), layer) for layer in found.layers)

    names = tuple(layer.digest for layer in found.layers)
    return Image(configuration, sum(layer.size for layer in found.layers), names, layers)


def _the_one(index: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """The image that is meant where nobody said which. Raises PullFailed for several."""
    fitting = {
        one.digest: one for one in index if one.platform is None or one.platform[:2] == platform[:2]
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if not index:
        raise PullFailed("is an image layout that holds no image")
    said = [one.platform for one in fitting.values()]
    if None not in said and len(set(said)) == len(said):  # variants, or none that fits
        return manifest.choose(index, platform)
    names = ", ".join(one.name[:80] or one.digest for one in [*fitting.values()][:8])
    raise PullFailed(f"holds {len(fitting)} images ({names}): take out the one that is wanted")


def _blob(named: Descriptor) -> str:
    return "blobs/" + named.digest.replace(":", "/")


def _is_docker(saved: bytes) -> bool:
    """Whether a manifest.json is of `docker save`, and not some program's own."""
    try:
        images = json.loads(saved)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(images, list)
        and bool(images)
        and all(isinstance(image, dict) and {"Config", "Layers"} <= set(image) for image in images)
    )


def _docker(root: int, shown: str, platform: Platform, images: list[dict[str, Any]]) -> Image:
    """By docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"."""
    if len(images) > 1:
        names = ", ".join(shown_value(image.get("RepoTags")) for image in images[:8])
        raise PullFailed(f"holds {len(images)} images ({names}): save the one that is wanted")
    (image,) = images
    paths = image["Layers"]
    if not isinstance(paths, list) or not 0 < len(paths) <= manifest.MOST_LAYERS:
        raise PullFailed(f"has no list of 1 to {manifest.MOST_LAYERS} layers")
    if not all(isinstance(path, str) for path in (image["Config"], *paths)):
        raise PullFailed("has a manifest.json that names something other than files")
    configuration = manifest.read_configuration(_read(root, image["Config"]))
    configuration = configuration.checked(len(paths), platform, None)

    @contextmanager
    def layers(_: Callable[[Progress], None]) -> Iterator[Iterator[int]]:
        with ExitStack() as held:
            yield (_open(held, root, shown, path) for path in paths)

    # Their size is bounded already: they lie here as they are.
    return Image(configuration, 0, configuration.diff_ids, layers)


def _open(
    held: ExitStack, root: int, shown: str, path: str, named: Descriptor | None = None
) -> int:
    """A layer's file, checked against its descriptor. It is closed with `held`."""
    with about(shown):
        fd = _open_below(root, path)
        held.callback(os.close, fd)
        if named:
            if (size := os.fstat(fd).st_size) != named.size:
                raise PullFailed(
                    f"layer {named.digest} has {size} bytes, and {named.size} were promised"
                )
            check_layer(Sum().read_on(fd), named)
    return fd


def check_layer(sha256: str, named: Descriptor) -> None:
    """Raises PullFailed where a layer with this SHA-256 is not what the descriptor names."""
    if f"sha256:{sha256}" != named.digest:
        raise PullFailed(f"layer {named.digest} has the digest sha256:{sha256}")


def _has(root: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _read(root: int, path: str) -> bytes:
    fd = _open_below(root, path)
    with open(fd, "rb") as file:
        body = file.read(manifest.LARGEST + 1)
    if len(body) > manifest.LARGEST:
        raise PullFailed(f"has a {path[:60]!r} of more than {manifest.LARGEST} bytes")
    return body


def _open_below(root: int, path: str) -> int:
    """The regular file at `path`, its symlinks followed by their text, none out of `root`."""
    try:
        way = _resolved(root, path)
        fd = os.dup(root)
        for part in way[:-1]:
            try:
                # Whoever owns the directory may have put a link there since.
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                below = os.open(part, flags, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(way[-1] if way else ".", flags, dir_fd=fd)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise PullFailed(f"has no file {path[:80]!r}, which it names: {why}") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise PullFailed(f"names {path[:80]!r}, which is no ordinary file")
    return file


def _resolved(root: int, path: str) -> list[str]:
    """The parts of `path` without symlinks. Raises OSError where it leads out of `root`."""
    parts, way, links = path.split("/")[::-1], list[str](), 0
    if path.startswith("/"):
        raise OSError(errno.EXDEV, "it leads out of it")
    while parts:
        part = parts.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not way:
                raise OSError(errno.EXDEV, "it leads out of it")
            way.pop()
            continue
        here = "/".join([*way, part])
        if not stat.S_ISLNK(os.stat(here, dir_fd=root, follow_symlinks=False).st_mode):
            way.append(part)
            continue
        target = os.readlink(here, dir_fd=root)
        links += 1
        if target.startswith("/") or links > _MOST_LINKS:
            raise OSError(errno.EXDEV, "a symlink leads out of it, or in circles")
        parts += target.split("/")[::-1]
    return way

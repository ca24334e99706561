"""Unpacking an archive that nobody vouches for, in a child that has nothing but the new tree."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine import confined
from engine.errors import PullFailed
from engine.idmap import IdMap
from engine.images.blocks import Blocks, OverBudget
from engine.images.extract import Extractor, Owners
from engine.images.tar import entries
from engine.images.walking import walk
from engine.model import GIB, MIB, Progress, format_size
from engine.syswrap import CAP, PR, capset, prctl

_CAPABILITIES = (CAP.CHOWN, CAP.DAC_OVERRIDE, CAP.FOWNER, CAP.FSETID)
"""To write every file of the tree, give it away, and set its mode and times."""
_ADDRESS_SPACE = 4 * GIB
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an archive may unpack to, before it counts as a bomb."""

    size: int = 64 * GIB
    """Bytes: of the uncompressed archive, and of its files with their holes."""
    entries: int = 1_000_000
    ratio: int = 200
    """Uncompressed bytes for each compressed one. Distributions have 3 to 6; gzip of nothing but
    zeros 1030, xz and zstd much more."""
    harmless: int = 256 * MIB
    """Bytes that are unpacked whatever the ratio: some small images are mostly zeros."""

    def budget(self, compressed: int) -> int:
        """Bytes that an archive of `compressed` bytes may unpack to."""
        return min(self.size, max(self.harmless, self.ratio * compressed))


class Packed(NamedTuple):
    """A layer as it came."""

    fd: int
    """A regular file: plain tar, or one compressed with gzip, xz, bzip2 or zstd."""
    diff_id: str | None = None
    """`sha256:…` that the uncompressed archive must have, where somebody has said it."""


class Unpacked(NamedTuple):
    """What one archive held, or several, one over the other."""

    digest: str
    """What the tree is known by: `chain_id` of the uncompressed archives."""
    size: int
    """Bytes of all files, holes included."""
    entries: int
    left_out: Mapping[str, int]
    """How many entries were kept out or changed, by reason."""


def chain_id(diff_ids: Sequence[str]) -> str:
    """The name of what layers with these digests make, lowest first.

    The ChainID of the OCI image specification (config.md); of one archive, its own digest.
    """
    chain, *above = diff_ids
    for diff_id in above:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    return chain


def unpack(
    archive: int,
    directory: str,
    idmap: IdMap,
    *,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    keep: tuple[int, ...] = (),
) -> Unpacked:
    """Unpack the archive open at `archive`, as `unpack_layers` does."""
    return unpack_layers(
        [Packed(archive)], directory, idmap, bounds=bounds, progress=progress, keep=keep
    )


def unpack_layers(
    layers: Sequence[Packed],
    directory: str,
    idmap: IdMap,
    *,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    keep: tuple[int, ...] = (),
) -> Unpacked:
    """Unpack `layers`, lowest first, into the empty `directory`, under `idmap`.

    How they are compressed is told by content. `keep` are descriptors that the child holds on
    to, so that a lock lasts as long as the work does. Raises PullFailed, its text without the
    archive's name; what was unpacked so far stays in `directory`. The caller must have one
    thread only.
    """
    sizes = [os.fstat(layer.fd).st_size for layer in layers]
    if not all(sizes):
        raise PullFailed("is empty")
    owners = Owners(
        sum(extent.length for extent in idmap.uids), sum(extent.length for extent in idmap.gids)
    )
    archives = [layer.fd for layer in layers]
    with _watched(archives, sum(sizes), progress):
        result = confined.run(
            lambda: _unpack_here(layers, sizes, bounds, owners),
            directory,
            idmap,
            keep=(*archives, *keep),
        )
    return Unpacked(*result)


@contextmanager
def _watched(
    archives: Sequence[int], size: int, progress: Callable[[Progress], None]
) -> Iterator[None]:
    """Call `progress` ten times a second while the block runs.

    The child reads through the same open files (open(2), "open file descriptions"), so their
    offsets are the parent's too. A timer's signal, because the parent may have no second thread.
    """

    def tick(*_: Any) -> None:
        read = sum(os.lseek(archive, 0, os.SEEK_CUR) for archive in archives)
        progress(Progress("unpacking", read, size))

    handler = signal.signal(signal.SIGALRM, tick)
    timer = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
    progress(Progress("unpacking", size, size))


def _unpack_here(
    layers: Sequence[Packed], sizes: Sequence[int], bounds: Bounds, owners: Owners
) -> Unpacked:
    """Unpack into `/`. Runs in the confined child."""
    prctl(PR.SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR.SET_NO_NEW_PRIVS, 1)
    capset(_CAPABILITIES)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tree = _Tree(bounds, owners)
    for number, (layer, compressed) in enumerate(zip(layers, sizes, strict=True), 1):
        try:
            tree.put(layer, compressed)
        except PullFailed as error:
            which = f"layer {number} of {len(layers)} " if len(layers) > 1 else ""
            raise PullFailed(f"{which}{error}") from None
    if not tree.count:
        raise PullFailed("is an archive that holds nothing")
    size = _size_of_files() if len(layers) > 1 else tree.size
    return Unpacked(chain_id(tree.diff_ids), size, tree.count, dict(tree.left_out))


def _size_of_files() -> int:
    """Bytes of all files below `/`, which layers have hidden some of; each inode counts once."""
    sizes = dict[int, int]()

    def visit() -> list[bytes]:
        directories = []
        with os.scandir(b".") as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    sizes[entry.inode()] = entry.stat(follow_symlinks=False).st_size
        return directories

    os.chdir("/")
    walk(visit)
    return sum(sizes.values())


class _Tree:
    """The tree at `/`, as layer after layer comes into it."""

    def __init__(self, bounds: Bounds, owners: Owners) -> None:
        self._bounds = bounds
        self._owners = owners
        self.diff_ids: list[str] = []
        self.count = self.size = 0
        self.left_out: Counter[str] = Counter()

    def put(self, layer: Packed, compressed: int) -> None:
        """Unpack one layer, of `compressed` bytes, over those before it."""
        budget = self._bounds.budget(compressed)
        os.lseek(layer.fd, 0, os.SEEK_SET)  # the same layer may come twice
        try:
            blocks = Blocks(layer.fd, budget)
            extractor = Extractor(blocks, self._owners, over=bool(self.diff_ids))
            for entry in entries(blocks):
                self.count += 1
                self.size += entry.size
                if self.count > self._bounds.entries:
                    most = self._bounds.entries
                    raise PullFailed(f"is a bomb: it has more than {most} entries")
                if self.size > self._bounds.size:
                    raise OverBudget
                extractor.make(entry)
            digest = blocks.digest()
            extractor.finish()
        except OverBudget:
            most = min(budget, self._bounds.size)
            raise PullFailed(f"is a bomb: it unpacks to more than {format_size(most)}") from None
        except MemoryError:
            raise PullFailed("needs more memory to unpack than any honest archive does") from None
        if layer.diff_id not in (None, digest):
            raise PullFailed(f"unpacks to {digest}, and its image says {layer.diff_id}")
        self.diff_ids.append(digest)
        self.left_out += extractor.left_out

"""Unpacking an archive that nobody vouches for, in a child that has nothing but the new tree."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from engine import confined
from engine.errors import PullFailed
from engine.idmap import IdMap
from engine.images.blocks import Blocks, OverBudget
from engine.images.bounds import MORE, Bounds
from engine.images.extract import Extractor, Owners
from engine.images.ledger import record
from engine.images.tar import entries
from engine.images.walking import size_of_files
from engine.model import GIB, LayerProgress, Progress, format_size
from engine.syswrap import CAP, PR, capset, prctl

_CAPABILITIES = (CAP.CHOWN, CAP.DAC_OVERRIDE, CAP.FOWNER, CAP.FSETID)
"""To write every file of the tree, give it away, and set its mode and times."""
_ADDRESS_SPACE = 4 * GIB
_TICK = 0.1


class Packed(NamedTuple):
    """A layer as it came."""

    fd: int
    """A regular file: plain tar, or one compressed with gzip, xz, bzip2 or zstd."""
    diff_id: str | None = None
    """`sha256:…` that the uncompressed archive must have, where somebody has said it."""
    name: str = ""
    """What progress calls it."""


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
    ledger: int,
    keep: tuple[int, ...] = (),
) -> Unpacked:
    """Unpack the archive open at `archive`, as `unpack_layers` does."""
    return unpack_layers(
        [Packed(archive)],
        directory,
        idmap,
        bounds=bounds,
        progress=progress,
        ledger=ledger,
        keep=keep,
    )


def unpack_layers(
    layers: Sequence[Packed],
    directory: str,
    idmap: IdMap,
    *,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    ledger: int,
    keep: tuple[int, ...] = (),
) -> Unpacked:
    """Unpack `layers`, lowest first, into the empty `directory`, under `idmap`.

    How they are compressed is told by content. What the tree holds is written to the file open
    at `ledger`. `keep` are descriptors that the child holds on
    to, so that a lock lasts as long as the work does. Raises PullFailed, its text without the
    archive's name; what was unpacked so far stays in `directory`. To be called in
    the main thread.
    """
    sizes = [os.fstat(layer.fd).st_size for layer in layers]
    if not all(sizes):
        raise PullFailed("is empty")
    owners = Owners(
        sum(extent.length for extent in idmap.uids), sum(extent.length for extent in idmap.gids)
    )
    archives = [layer.fd for layer in layers]
    with _watched(layers, sizes, progress):
        result = confined.run(
            lambda: _unpack_here(layers, sizes, bounds, owners, ledger),
            directory,
            idmap,
            keep=(*archives, ledger, *keep),
        )
    return Unpacked(*result)


@contextmanager
def _watched(
    layers: Sequence[Packed], sizes: Sequence[int], progress: Callable[[Progress], None]
) -> Iterator[None]:
    """Call `progress` ten times a second while the block runs.

    The child reads through the same open files (open(2), "open file descriptions"), so their
    offsets are the parent's too. A timer's signal, because the parent may have no second thread.
    """

    def tick(*_: Any) -> None:
        tell([os.lseek(layer.fd, 0, os.SEEK_CUR) for layer in layers])

    def tell(offsets: Sequence[int]) -> None:
        each = tuple(
            LayerProgress(layer.name, "unpacking" if done < size else "unpacked", done, size)
            for layer, size, done in zip(layers, sizes, offsets, strict=True)
            if layer.name
        )
        progress(Progress("unpacking", sum(offsets), sum(sizes), each))

    handler = signal.signal(signal.SIGALRM, tick)
    timer = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
    tell(sizes)


def _unpack_here(
    layers: Sequence[Packed], sizes: Sequence[int], bounds: Bounds, owners: Owners, ledger: int
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
    size = size_of_files() if len(layers) > 1 else tree.size
    record(ledger, tree.sums)
    return Unpacked(chain_id(tree.diff_ids), size, tree.count, dict(tree.left_out))


class _Tree:
    """The tree at `/`, as layer after layer comes into it."""

    def __init__(self, bounds: Bounds, owners: Owners) -> None:
        self._bounds = bounds
        self._owners = owners
        self.diff_ids: list[str] = []
        self.count = self.size = 0
        self.left_out: Counter[str] = Counter()
        self.sums = dict[int, int]()
        """Checksums of files, by inode number."""

    def put(self, layer: Packed, compressed: int) -> None:
        """Unpack one layer, of `compressed` bytes, over those before it."""
        budget = self._bounds.budget(compressed)
        os.lseek(layer.fd, 0, os.SEEK_SET)  # the same layer may come twice
        try:
            blocks = Blocks(layer.fd, budget)
            extractor = Extractor(blocks, self._owners, self.sums, over=bool(self.diff_ids))
            for entry in entries(blocks):
                self.count += 1
                self.size += entry.size
                if self.count > self._bounds.entries:
                    most = self._bounds.entries
                    raise PullFailed(
                        f"is a bomb: it has more than {most} entries ({MORE}entries={2 * most})"
                    )
                if self.size > self._bounds.size:
                    raise OverBudget
                extractor.make(entry)
            digest = blocks.digest()
            extractor.finish()
        except OverBudget:
            raise PullFailed(self._bomb(budget)) from None
        except MemoryError:
            raise PullFailed("needs more memory to unpack than any honest archive does") from None
        if layer.diff_id not in (None, digest):
            raise PullFailed(f"unpacks to {digest}, and its image says {layer.diff_id}")
        self.diff_ids.append(digest)
        self.left_out += extractor.left_out

    def _bomb(self, budget: int) -> str:
        bounds = self._bounds
        if budget < bounds.size and self.size <= bounds.size:
            most, more = budget, f"ratio={10 * bounds.ratio}"
        else:
            most, more = bounds.size, f"size={format_size(2 * bounds.size)}"
        return f"is a bomb: it unpacks to more than {format_size(most)} ({MORE}{more})"

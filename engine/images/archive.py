"""Unpacking an archive that nobody vouches for, in a child that has nothing but the new tree."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine import confined
from engine.errors import PullFailed
from engine.idmap import IdMap
from engine.images.blocks import Blocks, OverBudget
from engine.images.extract import Extractor, Owners
from engine.images.tar import entries
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


class Unpacked(NamedTuple):
    """What an archive held."""

    digest: str
    """`sha256:…` of the uncompressed archive (an OCI image's diff id)."""
    size: int
    """Bytes of all files, holes included."""
    entries: int
    left_out: Mapping[str, int]
    """How many entries were kept out or changed, by reason."""


def unpack(
    archive: int,
    directory: str,
    idmap: IdMap,
    *,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    keep: tuple[int, ...] = (),
) -> Unpacked:
    """Unpack the regular file open at `archive` into the empty `directory`, under `idmap`.

    Plain tar or one compressed with gzip, xz, bzip2 or zstd, told by content. `keep` are
    descriptors that the child holds on to, so that a lock lasts as long as the work does.
    Raises PullFailed, its text without the archive's name; what was unpacked so far stays in
    `directory`. The caller must have one thread only.
    """
    size = os.fstat(archive).st_size
    if not size:
        raise PullFailed("is empty")
    os.lseek(archive, 0, os.SEEK_SET)
    owners = Owners(
        sum(extent.length for extent in idmap.uids), sum(extent.length for extent in idmap.gids)
    )
    with _watched(archive, size, progress):
        result = confined.run(
            lambda: _unpack_here(archive, bounds, bounds.budget(size), owners),
            directory,
            idmap,
            keep=(archive, *keep),
        )
    return Unpacked(*result)


@contextmanager
def _watched(archive: int, size: int, progress: Callable[[Progress], None]) -> Iterator[None]:
    """Call `progress` ten times a second while the block runs.

    The child reads through the same open file (open(2), "open file descriptions"), so its
    offset is the parent's too. A timer's signal, because the parent may have no second thread.
    """

    def tick(*_: Any) -> None:
        progress(Progress("unpacking", os.lseek(archive, 0, os.SEEK_CUR), size))

    handler = signal.signal(signal.SIGALRM, tick)
    timer = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
    progress(Progress("unpacking", size, size))


def _unpack_here(archive: int, bounds: Bounds, budget: int, owners: Owners) -> Unpacked:
    """Unpack into `/`. Runs in the confined child."""
    prctl(PR.SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR.SET_NO_NEW_PRIVS, 1)
    capset(_CAPABILITIES)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    count = size = 0
    try:
        blocks = Blocks(archive, budget)
        extractor = Extractor(blocks, owners)
        for entry in entries(blocks):
            count += 1
            size += entry.size
            if count > bounds.entries:
                raise PullFailed(f"is a bomb: it has more than {bounds.entries} entries")
            if size > bounds.size:
                raise OverBudget
            extractor.make(entry)
        digest = blocks.digest()
        extractor.finish()
    except OverBudget:
        raise PullFailed(
            f"is a bomb: it unpacks to more than {format_size(min(budget, bounds.size))}"
        ) from None
    except MemoryError:
        raise PullFailed("needs more memory to unpack than any honest archive does") from None
    return Unpacked(digest, size, count, extractor.left_out)

"""Unpacking an archive that nobody vouches for, in a child that has nothing but the new tree."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from engine import confined
from engine.errors import ProcchiError, PullFailed
from engine.idmap import IdMap
from engine.images.blocks import Blocks, OverBudget
from engine.images.bounds import MORE, Bounds
from engine.images.extract import Extractor, Owners
from engine.images.layout import Unfit
from engine.images.ledger import record
from engine.images.tar import entries
from engine.model import GIB, LayerProgress, Progress, format_size
from engine.syswrap import CAP, PR, capset, dump_no_core, prctl

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
    """Unpack the archive open at `archive`, as `unpacking` does."""
    with unpacking(1, directory, idmap, bounds, progress, ledger, keep) as tree:
        tree.put(Packed(archive))
        return tree.finish()


@contextmanager
def unpacking(
    count: int,
    directory: str,
    idmap: IdMap,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    ledger: int,
    keep: tuple[int, ...] = (),
) -> Iterator[Unpacking]:
    """A tree in the empty `directory`, to which `count` layers come one after the other.

    How they are compressed is told by content. What the tree holds is written to the file open
    at `ledger`. `keep` are descriptors that the child holds on to, so that a lock lasts as long as
    the work does. What was unpacked so far stays in `directory`, whatever happens. To be called
    in the main thread.
    """
    owners = Owners(
        sum(extent.length for extent in idmap.uids), sum(extent.length for extent in idmap.gids)
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def work() -> Unpacked:
        return _unpack_here(count, theirs, bounds, owners, ledger)

    with (
        ours,
        theirs,
        confined.at_work(work, directory, idmap, (theirs.fileno(), ledger, *keep)) as helper,
    ):
        theirs.close()
        yield Unpacking(helper, ours, progress)


class Unpacking:
    """A tree in the making. A confined child unpacks each layer as soon as it is there."""

    def __init__(
        self, helper: confined.Helper, way: socket.socket, progress: Callable[[Progress], None]
    ) -> None:
        self._helper, self._way, self._progress = helper, way, progress
        self._layers: list[tuple[Packed, int]] = []
        """With the bytes that each has."""

    def put(self, layer: Packed) -> None:
        """Hand over the next layer, lowest first; it stays open."""
        size = os.fstat(layer.fd).st_size
        self._layers.append((layer, size))
        message = json.dumps([layer.diff_id, size]).encode()
        # It has failed, perhaps with layers that it had not taken yet, and says why in `finish`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._way, [message], [layer.fd])

    def meanwhile(self, now: Progress) -> None:
        """Tell of a download, while what has come already is unpacked. Raises Unfit."""
        if self._helper.has_ended():
            self._result()
        ours = {layer.digest: layer for layer in self._states() if layer.done}
        self._progress(now._replace(layers=tuple(ours.get(one.digest, one) for one in now.layers)))

    def finish(self) -> Unpacked:
        """Wait until all of them are unpacked. Raises Unfit, its text without the archive's name.

        `progress` is called ten times a second. A timer's signal does it, because the caller may
        have no second thread.
        """
        handler = signal.signal(signal.SIGALRM, lambda *_: self._tell())
        timer = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        try:
            result = self._result()
        finally:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, handler)
        self._tell()
        return result

    def _result(self) -> Unpacked:
        try:
            return Unpacked(*self._helper.result())
        except ProcchiError as error:
            raise Unfit(str(error)) from None

    def _tell(self) -> None:
        states = self._states()
        done, total = sum(one.done for one in states), sum(one.total for one in states)
        named = tuple(one for one in states if one.digest)
        self._progress(Progress("unpacking", done, total, named))

    def _states(self) -> list[LayerProgress]:
        # The child reads through the same open files (open(2), "open file descriptions"), so their
        # offsets are ours too.
        offsets = [os.lseek(layer.fd, 0, os.SEEK_CUR) for layer, _ in self._layers]
        return [
            LayerProgress(layer.name, "unpacking" if done < size else "unpacked", done, size)
            for (layer, size), done in zip(self._layers, offsets, strict=True)
        ]


def _unpack_here(
    count: int, way: socket.socket, bounds: Bounds, owners: Owners, ledger: int
) -> Unpacked:
    """Unpack into `/`. Runs in the confined child."""
    prctl(PR.SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR.SET_NO_NEW_PRIVS, 1)
    capset(_CAPABILITIES)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    dump_no_core()
    tree = _Tree(bounds, owners)
    for number in range(1, count + 1):
        message, (fd,), _, _ = socket.recv_fds(way, 4096, 1)
        diff_id, compressed = json.loads(message)
        try:
            tree.put(fd, diff_id, compressed)
        except PullFailed as error:
            which = f"layer {number} of {count} " if count > 1 else ""
            raise PullFailed(f"{which}{error}") from None
        os.close(fd)
    if not tree.count:
        raise PullFailed("is an archive that holds nothing")
    size = record(ledger, tree.sums)
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

    def put(self, fd: int, diff_id: str | None, compressed: int) -> None:
        """Unpack the layer open at `fd`, of `compressed` bytes, over those before it."""
        budget = self._bounds.budget(compressed)
        os.lseek(fd, 0, os.SEEK_SET)  # the same layer may come twice
        try:
            blocks = Blocks(fd, budget)
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
        if diff_id not in (None, digest):
            raise PullFailed(f"unpacks to {digest}, and its image says {diff_id}")
        self.diff_ids.append(digest)
        self.left_out += extractor.left_out

    def _bomb(self, budget: int) -> str:
        bounds = self._bounds
        if budget < bounds.size and self.size <= bounds.size:
            most, more = budget, f"ratio={10 * bounds.ratio}"
        else:
            most, more = bounds.size, f"size={format_size(2 * bounds.size)}"
        return f"is a bomb: it unpacks to more than {format_size(most)} ({MORE}{more})"

"""Removing what nobody needs any more, without the nest having to wait for it."""

from __future__ import annotations

import os
from collections.abc import Callable

from engine import confined
from engine.idmap import IdMap
from engine.images.removal import remove_contents
from engine.nest.loop import Loop
from engine.places import Places
from engine.syswrap import close_all_but


class Clearing:
    """Directories of pets are removed by processes of their own."""

    def __init__(
        self, loop: Loop, places: Places, idmap: IdMap, complain: Callable[[str], None]
    ) -> None:
        self.loop, self.places, self.idmap, self.complain = loop, places, idmap, complain

    def discard(self, directory: str, done: Callable[[], None]) -> None:
        """Remove a pet's directory; calls `done` when nothing is left. Raises OSError.

        What a pet wrote belongs to its ids, and may be a tree of any depth: a confined process
        with those ids removes it, while the nest goes on.
        """
        if not os.path.lexists(directory):
            done()
            return
        grave = f"{self.places.trash}/{os.urandom(16).hex()}"
        os.rename(directory, grave)
        self._empty(grave, done)

    def empty_trash(self) -> None:
        """Go on with what another nest did not get done."""
        with os.scandir(self.places.trash) as entries:
            for entry in entries:
                self._empty(entry.path, lambda: None)

    def _empty(self, grave: str, done: Callable[[], None]) -> None:
        self.in_a_child(lambda: remove_tree(grave, self.idmap), grave, done)

    def in_a_child(self, work: Callable[[], object], what: str, done: Callable[[], None]) -> None:
        """Clear something away in a process of its own, and call `done` when that has ended."""
        pid = os.fork()
        if pid == 0:
            try:
                close_all_but(())  # clients must see us hang up when we do
                work()
            except BaseException as error:
                self.complain(f"{what} could not be removed: {error}")
            finally:
                os._exit(0)
        self.loop.when_ended(pid, lambda _: done())


def remove_tree(grave: str, idmap: IdMap) -> None:
    """Remove the directory `grave` of a pet. Changes the working directory. Raises OSError.

    What the pet wrote may belong to ids that an ordinary user cannot remove the files of; a
    confined child with the pet's ids can.
    """
    if os.geteuid() != 0:
        for name in ("upper", "work"):
            if os.path.isdir(f"{grave}/{name}"):
                confined.run(remove_contents, f"{grave}/{name}", idmap)
    os.chdir(grave)
    remove_contents()
    os.rmdir(grave)

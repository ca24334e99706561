"""Walking through a tree that a stranger made: however deep it is, and without following links."""

from __future__ import annotations

import os
from collections.abc import Callable


def walk(
    visit: Callable[[], list[bytes]], leave: Callable[[bytes], None] = lambda name: None
) -> None:
    """Call `visit` in the working directory, and in each directory that it names, and so on.

    `leave` is called with a directory's name, from the one above it, when all below it is done.
    By chdir(2), so that neither a path's length nor its depth is bounded by PATH_MAX, by
    descriptors or by recursion; nobody else may be changing the tree. Ends where it began.
    """
    way: list[bytes] = []
    waiting = [visit()]
    while waiting:
        if waiting[-1]:
            directory = waiting[-1].pop()
            os.chdir(directory)
            way.append(directory)
            waiting.append(visit())
        else:
            waiting.pop()
            if way:
                os.chdir("..")
                leave(way.pop())


def size_of_files() -> int:
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

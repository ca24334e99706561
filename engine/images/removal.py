"""Removing a tree that a stranger wrote: without following links, however deep it is."""

from __future__ import annotations

import os


def remove_contents() -> None:
    """Remove everything below the working directory, which nobody else may be changing.

    It walks by chdir(2), so that neither a path's length nor its depth is bounded by
    PATH_MAX, by descriptors or by recursion. Ends where it began. Raises OSError.
    """
    way: list[str] = []
    waiting = [_remove_files()]
    while waiting:
        if waiting[-1]:
            directory = waiting[-1].pop()
            os.chdir(directory)
            way.append(directory)
            waiting.append(_remove_files())
        else:
            waiting.pop()
            if way:
                os.chdir("..")
                os.rmdir(way.pop())


def _remove_files() -> list[str]:
    """Remove what is no directory, and return the names of what is one."""
    directories = []
    with os.scandir(".") as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name)
    return directories

"""Removing a tree that a stranger wrote: without following links, however deep it is."""

from __future__ import annotations

import os


def remove_contents() -> None:
    """Remove everything below the working directory, which nobody else may be changing.

    It walks by chdir(2), so that neither a path's length nor its depth is bounded by
    PATH_MAX, by descriptors or by recursion. Ends where it began. Raises OSError.
    """
    below: list[str] = []
    while True:
        directory = _remove_up_to_a_directory()
        if directory is not None:
            os.chdir(directory)
            below.append(directory)
        elif below:
            os.chdir("..")
            os.rmdir(below.pop())
        else:
            return


def _remove_up_to_a_directory() -> str | None:
    """Remove files until a directory turns up; its name, or None when nothing is left."""
    with os.scandir(".") as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name)
    return None

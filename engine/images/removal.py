"""Removing a tree that a stranger wrote."""

from __future__ import annotations

import os

from engine.images.walking import walk


def remove_contents() -> None:
    """Remove everything below the working directory, which nobody else may be changing.

    Ends where it began. Raises OSError.
    """
    walk(_remove_files, os.rmdir)


def _remove_files() -> list[bytes]:
    """Remove what is no directory, and return the names of what is one."""
    directories = []
    with os.scandir(b".") as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name)
    return directories

"""A folder as an archive, so that it is unpacked like any other: under the pets' id map."""

from __future__ import annotations

import os
import stat
import tarfile
from typing import BinaryIO

from engine.errors import PullFailed


def pack(folder: str, file: BinaryIO) -> None:
    """Write the root filesystem in `folder` to `file` as a tar archive, sorted.

    What is mounted in it stays behind: a /proc that somebody forgot is no part of it. Raises
    PullFailed where there is nothing, OSError where it cannot be read.
    """
    top = os.stat(folder).st_dev
    if not os.listdir(folder):
        raise PullFailed(f"{folder}: is an empty folder")
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory, below, files in os.walk(folder, onerror=_raise):
            links = [name for name in below if os.path.islink(os.path.join(directory, name))]
            below[:] = sorted(set(below) - set(links))
            if os.lstat(directory).st_dev != top:
                below.clear()
                files.clear()
                links.clear()
            _add(tar, directory, os.path.relpath(directory, folder))
            for name in sorted([*files, *links]):
                path = os.path.join(directory, name)
                _add(tar, path, os.path.relpath(path, folder))


def _raise(error: OSError) -> None:
    raise error


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    found = os.lstat(path)
    if stat.S_ISSOCK(found.st_mode):
        return  # it is of a program that runs, and no archive holds one
    entry = tar.gettarinfo(path, name)
    seconds, nanoseconds = divmod(found.st_mtime_ns, 10**9)
    entry.mtime = seconds
    if nanoseconds:
        # A PAX time is a decimal fraction after a sign: before 1970 it counts from zero, too.
        sign, whole = ("-", -found.st_mtime_ns) if seconds < 0 else ("", found.st_mtime_ns)
        entry.pax_headers = {"mtime": f"{sign}{whole // 10**9}.{whole % 10**9:09d}"}
    if entry.isreg():
        with open(path, "rb") as content:
            tar.addfile(entry, content)
    else:
        tar.addfile(entry)

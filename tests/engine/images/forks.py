"""Running a part of a test as somebody else, or somewhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from engine.idmap import Extent, IdMap, for_this_user
from engine.syswrap import CLONE, MS, PR, mount, prctl, unshare, write_file

# A fork that has become somebody else may no longer be able to read these.
from engine.images import download, home, pulling  # noqa: F401  isort: skip

SOMEBODY = 54321
"""A user id that no machine gives anybody, and that has no subordinate ids."""


def in_a_fork(work: Callable[[], Any]) -> Any:
    """`work()`'s result, as JSON carries it, from a process of its own."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = {"result": work()}
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(write_end, json.dumps(answer).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as results:
        answer = json.loads(results.read())
    os.waitpid(pid, 0)
    assert "error" not in answer, answer["error"]
    return answer["result"]


def as_an_ordinary_user(work: Callable[[], Any]) -> Any:
    """`work()`'s result; run by root, it runs as somebody who may do nothing special."""

    def become_somebody() -> Any:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
            os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
            prctl(PR.SET_DUMPABLE, 1)  # as it is for whoever has logged in
        return work()

    return in_a_fork(become_somebody)


def as_a_user_with_ranges(work: Callable[[], Any], directory: str) -> Any:
    """`work()`'s result; run by root, as a user who has ids of /etc/subuid and /etc/subgid.

    The files that say so are made in `directory`, and mounted for this process alone.
    """

    def become_the_user() -> Any:
        if os.geteuid() == 0:
            unshare(CLONE.NEWNS)
            mount(None, "/", None, MS.REC | MS.PRIVATE)
            for name, line in {
                "passwd": f"ranged:x:{SOMEBODY}:{SOMEBODY}::/:/bin/sh\n",
                "subuid": "ranged:700000:65536\n",
                "subgid": "ranged:800000:65536\n",
            }.items():
                with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
                    file.write(line)
                mount(f"{directory}/{name}", f"/etc/{name}", None, MS.BIND)
        return as_an_ordinary_user(work)

    return in_a_fork(become_the_user)


def on_a_small_disk(work: Callable[[IdMap], Any], directory: str, size: str) -> Any:
    """`work(idmap)`'s result, with a disk of `size` mounted on `directory` for it alone."""

    def mount_it() -> Any:
        idmap = for_this_user()
        if os.geteuid() != 0:
            uid, gid = os.geteuid(), os.getegid()
            unshare(CLONE.NEWUSER)
            write_file("/proc/self/uid_map", f"0 {uid} 1")
            write_file("/proc/self/setgroups", "deny")
            write_file("/proc/self/gid_map", f"0 {gid} 1")
            idmap = IdMap((Extent(0, 0, 1),), (Extent(0, 0, 1),))
        unshare(CLONE.NEWNS)
        mount(None, "/", None, MS.REC | MS.PRIVATE)
        mount("tmpfs", directory, "tmpfs", 0, f"size={size}")
        return work(idmap)

    return in_a_fork(mount_it)

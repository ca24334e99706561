"""Our own code in a confined child, called from a program that does other things meanwhile."""

from __future__ import annotations

import hashlib
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest

from engine import confined
from engine.idmap import for_this_user


def work_of_two_threads() -> int:
    with ThreadPoolExecutor(2) as pool:
        return sum(len(digest) for digest in pool.map(hash_slowly, range(20)))


def hash_slowly(number: int) -> bytes:
    for _ in range(20):
        digest = hashlib.sha256(bytes([number]) * 4096).digest()
    return digest


@pytest.mark.skipif(os.geteuid() != 0, reason="the map's root must own the directory")
def test_other_threads_of_the_caller_do_not_hold_it_up(
    tmp_path: pathlib.Path,
) -> None:
    idmap, over = for_this_user(), Event()
    os.chown(tmp_path, idmap.root_uid, idmap.root_gid)

    def busy() -> None:
        while not over.is_set():
            hash_slowly(1)

    others = [Thread(target=busy) for _ in range(3)]
    for thread in others:
        thread.start()
    try:
        for _ in range(30):
            assert confined.run(work_of_two_threads, str(tmp_path), idmap) == 20 * 32
    finally:
        over.set()
        for thread in others:
            thread.join()

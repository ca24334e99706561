"""A store of its own for each test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from engine.idmap import IdMap, for_this_user
from engine.images.store import Store


@pytest.fixture
def idmap() -> IdMap:
    return for_this_user()


@pytest.fixture
def store(tmp_path: Any, idmap: IdMap) -> Store:
    return Store(str(tmp_path / "store"), idmap)


def in_a_fork(work: Callable[[], Any]) -> Any:
    """`work()`'s result from a forked process, for what changes a process for good."""
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


def nothing_is_left(store: Store) -> bool:
    """Whether the store holds no egg, no layer, no unfinished work and no download."""
    root = store.directory
    places = ("eggs", "layers/sha256", "archives/sha256", "staging", "downloads")
    return not any(os.listdir(f"{root}/{place}") for place in places)

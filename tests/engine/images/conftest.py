"""A store of its own for each test, archives to pull, and a server to pull them from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.idmap import IdMap, for_this_user
from engine.images.store import Store
from tests.engine.images import naughty_server


@pytest.fixture
def idmap() -> IdMap:
    return for_this_user()


@pytest.fixture
def store(tmp_path: Path, idmap: IdMap) -> Store:
    return Store(str(tmp_path / "store"), idmap)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The directory whose files the server offers."""
    place = tmp_path / "served"
    place.mkdir()
    return place


class Server:
    """A running naughty_server.py."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}"

    def requests(self) -> list[dict[str, Any]]:
        """What was asked for, in order: path, Range, If-Range, Authorization."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@pytest.fixture
def server(served: Path, tmp_path: Path) -> Iterator[Server]:
    """A process of its own, for pulling must be done where there are no threads."""
    log = tmp_path / "requests"
    log.touch()
    command = [sys.executable, naughty_server.__file__, str(served), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield Server(int(process.stdout.readline()), log)
        process.kill()


@pytest.fixture
def nothing_is_left(store: Store) -> Iterator[None]:
    """After the test the store holds no egg, no layer, no unfinished work and no download."""
    yield
    left = [
        name
        for place in ("eggs", "layers/sha256", "archives/sha256", "staging", "downloads")
        for name in os.listdir(f"{store.directory}/{place}")
    ]
    assert left == []

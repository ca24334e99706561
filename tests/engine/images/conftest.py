"""A store of its own for each test, archives to pull, and a server to pull them from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.idmap import IdMap, for_this_user
from engine.images import web
from engine.images.store import Store
from tests.engine.images import naughty_server
from tests.engine.images.registry import make_certificate


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

    def __init__(self, scheme: str, port: int, log: Path) -> None:
        self._place = f"{scheme}://127.0.0.1:{port}"
        self._log = log

    def url(self, path: str) -> str:
        return f"{self._place}/{path}"

    def leading_to(self, url: str) -> str:
        """A URL that redirects to that one."""
        return self.url(f"to/{url.encode().hex()}/x")

    def requests(self) -> list[dict[str, Any]]:
        """What was asked for, in order: path, Range, If-Range, Authorization."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@pytest.fixture
def server(served: Path, tmp_path: Path) -> Iterator[Server]:
    with running(served, tmp_path / "requests") as server:
        yield server


@pytest.fixture
def safe_server(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It speaks TLS, and this machine trusts it."""
    certificate, key = make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running(served, tmp_path / "safe-requests", str(both)) as server:
        yield server


@contextmanager
def running(served: Path, log: Path, *certificate: str) -> Iterator[Server]:
    """A process of its own, for pulling must be done where there are no threads."""
    log.touch()
    command = [sys.executable, naughty_server.__file__, str(served), str(log), *certificate]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        scheme = "https" if certificate else "http"
        yield Server(scheme, int(process.stdout.readline()), log)
        process.kill()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive of a quarter of a megabyte, which does not compress."""
    path = tmp_path_factory.mktemp("content") / "egg.tar.gz"
    noise = path.with_name("noise")
    noise.write_bytes(os.urandom(250_000))
    with tarfile.open(path, "w:gz") as tar:
        tar.add(noise, "noise")
    return path.read_bytes()


@pytest.fixture
def egg_file(content: bytes, served: Path) -> Path:
    path = served / "egg.tar.gz"
    path.write_bytes(content)
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other without a pause."""
    monkeypatch.setattr(web, "PAUSE", 0.0)


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

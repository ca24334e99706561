"""A real distribution's root file system, which we did not make."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import engine
from tests.conftest import eventually, said


@pytest.fixture(scope="session")
def debian() -> Iterator[pathlib.Path]:
    """`debian.tar.gz`, made by mmdebstrap; kept between runs, for making it takes a while."""
    assert shutil.which("mmdebstrap"), "mmdebstrap is needed: apt-get install mmdebstrap"
    cache = pathlib.Path(os.environ.get("PROCCHI_TEST_CACHE", "/var/tmp/procchi-test-cache"))
    cache.mkdir(exist_ok=True)
    archive = cache / "debian.tar.gz"
    if not archive.exists():
        partial = cache / f"debian.{os.getpid()}.tar.gz"
        command = ["mmdebstrap", "--variant=apt", "--quiet", "bookworm", str(partial)]
        subprocess.run(command, check=True)
        partial.rename(archive)
    yield archive


class _Server(http.server.ThreadingHTTPServer):
    requests: list[tuple[str, str | None]]
    cut_after: int | None = None


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves one file with ranges, and can hang up in the middle."""

    server: _Server

    def do_GET(self) -> None:
        path = pathlib.Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        data = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        end = self.server.cut_after or len(data)
        self.wfile.write(data[start:end])
        if end < len(data):
            self.wfile.flush()
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(debian: pathlib.Path) -> Iterator[_Server]:
    handler = functools.partial(_Handler, directory=str(debian.parent))
    server = _Server(("127.0.0.1", 0), handler)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/debian.tar.gz"


def test_pulled_over_http_and_from_disk_it_is_stored_once_and_works(
    empty_home: pathlib.Path, debian: pathlib.Path, server: _Server
) -> None:
    stages = set()
    egg = engine.pull(url(server), progress=lambda progress: stages.add(progress.stage))
    assert egg.name == "debian" and "downloading" in stages
    again = engine.pull(str(debian), name="disk")
    assert again.digest == egg.digest
    assert len(list((empty_home / "eggs/layers/sha256").iterdir())) == 1
    engine.hatch("deb", "debian", limits=engine.Limits(memory="200M"))
    assert said("deb", "apt-get --version").startswith("apt 2.")
    assert "ID=debian" in said("deb", "cat /etc/os-release")
    assert said("deb", "dpkg --audit; dpkg -l apt | tail -1").startswith("ii  apt")
    assert said("deb", "stat -c '%u:%g %a' /tmp /var/mail /etc/shadow").split("\n")[0] == "0:0 1777"
    assert said("deb", "stat -c '%U:%G %a' /etc/shadow") == "root:shadow 640"


def test_there_is_a_way_out_of_a_chroot_and_none_past_pivot_root(
    empty_home: pathlib.Path, debian: pathlib.Path
) -> None:
    """The line of Perl that docs/DESIGN.md shows."""
    engine.pull(str(debian))
    shown = pathlib.Path(engine.__file__).parent.parent / "docs/DESIGN.md"
    (line,) = re.findall(r"perl -e '(.+)'$", shown.read_text(), re.MULTILINE)
    for name, chroot_only in (("jail", True), ("walled", False)):
        engine.hatch(name, "debian", chroot_only=chroot_only)
        read = engine.feed(name, ["perl", "-e", line]).stdout
        assert (b"pivot_root was left out" in read) is chroot_only, name


def test_an_interrupted_download_goes_on_where_it_stopped(
    empty_home: pathlib.Path, debian: pathlib.Path, server: _Server
) -> None:
    server.cut_after = 5_000_000
    script = "import engine, sys; engine.pull(sys.argv[1])"
    pull = subprocess.Popen([sys.executable, "-c", script, url(server)], stderr=subprocess.DEVNULL)
    eventually(lambda: server.requests, "it has asked")
    pull.wait(timeout=60)
    assert pull.returncode != 0
    assert engine.eggs() == []
    server.cut_after = None
    server.requests.clear()
    sha256 = hashlib.sha256(debian.read_bytes()).hexdigest()
    egg = engine.pull(url(server), sha256=sha256)
    assert egg.name == "debian"
    assert [wanted for _, wanted in server.requests] == ["bytes=5000000-"]


def test_a_wrong_checksum_keeps_nothing(empty_home: pathlib.Path, server: _Server) -> None:
    with pytest.raises(engine.PullFailed, match="SHA-256"):
        engine.pull(url(server), sha256="0" * 64)
    assert engine.eggs() == []
    assert list((empty_home / "eggs/downloads").iterdir()) == []

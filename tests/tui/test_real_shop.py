"""The egg shop in a real terminal, from the keyboard alone, against the real engine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from tests.tui.test_real_nest import Terminal, nest, session, terminal

__all__ = ["nest", "terminal"]

SLOW_SERVER = """
import http.server, os, sys, time

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = open(sys.argv[1] + self.path, "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, len(content), 1 << 16):
            self.wfile.write(content[start:start + (1 << 16)])
            if not os.path.exists(sys.argv[1] + "/fast"):
                time.sleep(0.25)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def classroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A slow server with one egg of 4 MiB, and a catalogue that names it."""
    place = tmp_path / "served"
    place.mkdir()
    (tmp_path / "noise").write_bytes(os.urandom(4 << 20))
    with tarfile.open(place / "room.tar", "w") as tar:
        tar.add(tmp_path / "noise", "noise")
    digest = hashlib.sha256((place / "room.tar").read_bytes()).hexdigest()
    command = [sys.executable, "-c", SLOW_SERVER, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        catalogue = tmp_path / "class.toml"
        catalogue.write_text(
            f'[classroom]\nfrom = "http://127.0.0.1:{port}/room.tar"\nsha256 = "{digest}"\n'
            'size = "4M"\nabout = "For the class."\n'
        )
        monkeypatch.setenv("PROCCHI_CATALOGUE", str(catalogue))
        yield place
        server.kill()


def test_shopping(nest: None, classroom: Path, terminal: Terminal) -> None:
    terminal.run(session())
    terminal.until("The nest is empty.")
    terminal.press("e")
    terminal.until("To be had", "classroom", "alpine", "fedora")

    terminal.press("/")
    terminal.until("f1 Help")  # ? is a letter now
    terminal.type("the class")
    terminal.until("For the class.", without="fedora")
    terminal.press("Enter")
    terminal.until("about 4M", "checked", "⏎ Pull")

    terminal.press("Enter")
    terminal.until("Downloading", "%", "/s", "left")
    terminal.press("C-x")
    terminal.until("was cancelled", without="Downloading")
    assert engine.eggs() == []

    (classroom / "fast").touch()
    terminal.press("Enter")
    terminal.until("At home", "● classroom", "entries", "Layers, lowest first", "nobody")
    (egg,) = engine.eggs()
    assert egg.name == "classroom"
    assert engine.egg("classroom").parts[0][1] > 4 << 20

    terminal.press("x")
    terminal.until("Delete classroom?")
    terminal.press("y")
    terminal.until("○ classroom", without="Delete classroom?")
    assert engine.eggs() == []
    terminal.press("Escape")
    terminal.press("Escape")
    terminal.until("The nest is empty.")
    terminal.press("q")
    terminal.until("left with status 0")

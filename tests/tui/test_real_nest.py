"""The real session in a real terminal, against the real engine, judged by the kernel."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine

PATIENCE_SECONDS = 30


class Terminal:
    """A tmux server of our own, with one window."""

    def __init__(self, socket: Path, size: tuple[int, int]) -> None:
        self._socket = str(socket)
        self._size = size

    def run(self, command: str) -> None:
        """Run `command` in a new window; what it leaves on the screen stays there."""
        width, height = map(str, self._size)
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height,
            f"{command}; echo left with status $?; exec sleep 1000",
        )  # fmt: skip

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def until(self, *words: str, without: str = "Traceback") -> str:
        """Wait until all `words` are on the screen, and `without` is not; the screen then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            shown = self.screen()
            assert "Traceback" not in shown, shown
            if all(word in shown for word in words) and without not in shown:
                return shown
            assert time.monotonic() < deadline, f"never seen: {words}\n{shown}"
            time.sleep(0.05)

    def close(self) -> None:
        """End the window and all in it; nothing happens when there is none."""
        subprocess.run(
            ["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False
        )

    def _tmux(self, *arguments: str) -> str:
        # COLUMNS and LINES, where they are set, would overrule the window's own size.
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return done.stdout


@pytest.fixture
def nest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A nest of this test's own, gone afterwards with all its pets."""
    monkeypatch.setenv("PROCCHI_HOME", str(tmp_path / "nest"))
    try:
        yield
    finally:
        for pet in engine.pets():
            engine.release(pet.name)
        engine.stop_nest()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "tmux", (120, 40))
    try:
        yield terminal
    finally:
        terminal.close()


def session() -> str:
    program = "from procchi_tui.app import run; raise SystemExit(run())"
    return shlex.join([sys.executable, "-c", program])


def test_a_pets_life(nest: None, terminal: Terminal) -> None:
    terminal.run(session())
    terminal.until("The nest is empty.")

    terminal.press("n", "Enter", "Enter")
    terminal.until("▸ moka", "1 pet")
    [pet] = engine.pets()
    pid = pet.pid
    assert pid is not None
    terminal.until(f"pid {pid}")
    for kind in ("user", "mnt", "pid", "uts", "ipc", "net"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")

    terminal.press("f")
    terminal.until("feed moka ›")
    terminal.type("echo hi; hostname; echo $((6 * 7)); exit 7")
    terminal.press("Enter")
    shown = terminal.until("Exit status 7", "moka has eaten")
    lines = [line.strip() for line in shown.splitlines()]
    after = lines.index("moka $ echo hi; hostname; echo $((6 * 7)); exit 7") + 1
    assert lines[after : after + 3] == ["hi", "moka", "42"]

    terminal.type("nosuchcommand")
    terminal.press("Enter")
    terminal.until("Exit status 127")
    terminal.press("Escape")

    terminal.until("Sleep/wake")
    terminal.press("s")
    terminal.until("1 asleep")
    assert engine.look("moka").status == "asleep"
    terminal.press("s")
    terminal.until("moka is awake.", without="1 asleep")
    assert engine.look("moka").status == "alive"

    terminal.press("Enter")
    terminal.until("1 Body", f"{pid} on the host, 1 inside")
    terminal.press("2")
    inode = os.readlink(f"/proc/{pid}/ns/net").partition("[")[2].rstrip("]")
    terminal.until(inode)
    terminal.press("3")
    terminal.until("1. ", " µs", "mkdir(")
    terminal.press("Escape")
    terminal.until("⏎ Look")

    terminal.press("q")
    terminal.until("left with status 0")
    assert lives(pid), "the pet must outlive the screen"
    assert engine.feed("moka", ["hostname"]).stdout == b"moka\n"
    terminal.close()

    terminal.run(session())
    terminal.until("▸ moka", f"pid {pid}")
    terminal.press("r")
    terminal.until("Release moka?")
    terminal.press("n")
    terminal.until("⏎ Look")
    assert lives(pid)
    terminal.press("r")
    terminal.until("Release moka?")
    terminal.press("y")
    terminal.until("The nest is empty.")
    assert not lives(pid)
    assert engine.pets() == []


def test_eating_too_much_is_seen(nest: None, terminal: Terminal) -> None:
    engine.hatch("hungry", limits=engine.Limits(memory="30M"))
    terminal.run(session())
    terminal.until("▸ hungry")
    terminal.press("f")
    terminal.until("feed hungry ›")
    terminal.type("head -c 200M /dev/zero | tail -c 200M | wc -c")
    terminal.press("Enter")
    terminal.until("OOM killer struck")


def test_the_face_killed_changes_nothing(nest: None, terminal: Terminal) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    terminal.run(session())
    terminal.until("▸ moka")
    terminal.close()
    assert lives(pid)
    assert engine.feed("moka", ["hostname"]).stdout == b"moka\n"


def test_the_nest_killed_is_said_and_found_again(nest: None, terminal: Terminal) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    terminal.run(session())
    terminal.until("▸ moka")
    before = engine.nest_status()["pid"]
    os.kill(before, 9)
    terminal.until("No word from the nest")
    terminal.until("▸ moka", f"pid {pid}", "1 pet", without="No word from the nest")
    assert engine.nest_status()["pid"] != before
    assert lives(pid)


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"

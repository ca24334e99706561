"""The real session in a real terminal, against the real engine, judged by the kernel."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

import engine
from procchi_tui.places import state_directory
from procchi_tui.remembered import Remembered

PATIENCE_SECONDS = 30


class Terminal:
    """A tmux server of our own, with one window."""

    def __init__(self, socket: Path, size: tuple[int, int]) -> None:
        self._place = str(socket)
        self._servers = 0
        self._size = size

    @property
    def _socket(self) -> str:
        return f"{self._place}-{self._servers}"

    def run(self, command: str) -> None:
        """Run `command` in a new window; what it leaves on the screen stays there."""
        width, height = map(str, self._size)
        self._servers += 1  # one that was told to end may still answer at its socket
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height,
            f"{command}; echo left with status $?; exec sleep 1000",
        )  # fmt: skip

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

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

    def until_any(self, *words: str) -> None:
        """Wait until one of `words` is on the screen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(word in self.screen() for word in words):
            assert time.monotonic() < deadline, f"never seen: {words}\n{self.screen()}"
            time.sleep(0.05)

    def until_drawn(self) -> None:
        """Wait until something is on the screen, and no traceback."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (shown := self.screen()).strip():
            assert time.monotonic() < deadline, "it draws nothing"
            time.sleep(0.05)
        assert "Traceback" not in shown, shown

    def until_full(self, height: int) -> None:
        """Wait until something is in the last of so many lines, as it is once all is drawn."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.screen().split("\n")[height - 1].strip():
            assert time.monotonic() < deadline, f"it is not drawn whole:\n{self.screen()}"
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
            check=False,
            env=environment,
        )
        assert done.returncode == 0, f"tmux {shlex.join(arguments)}: {done.stderr}"
        return done.stdout


@pytest.fixture
def nest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A nest of this test's own, gone afterwards with all its pets."""
    monkeypatch.setenv("PROCCHI_HOME", str(tmp_path / "nest"))
    Remembered(state_directory() / "remembered.json").note("tour", "done")
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


def session(*words: str) -> str:
    return shlex.join([str(Path(sys.executable).with_name("procchi-tui")), *words])


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

    terminal.until("s Sleep")
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
    terminal.press("o")
    terminal.until("A care log of moka", "meal 2", "nosuchcommand")
    terminal.press("End", "Enter")
    terminal.until("moka, meal 1", "setns(")
    terminal.press("C", "Enter", "Enter")
    terminal.until("< moka, meal 1", "> moka, hatched", "only in")
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
    terminal.type("dd if=/dev/zero of=/dev/null bs=200M count=1")
    terminal.press("Enter")
    terminal.until("OOM killer struck")


def test_a_meal_is_over_though_it_left_somebody_behind_who_talks(
    nest: None, terminal: Terminal
) -> None:
    engine.hatch("moka")
    terminal.run(session())
    terminal.until("▸ moka")
    terminal.press("f")
    terminal.until("feed moka ›")
    terminal.type("yes &")
    terminal.press("Enter")
    terminal.until("moka has eaten")
    terminal.type("echo again; exit 7")
    terminal.press("Enter")
    terminal.until("Exit status 7")


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


def test_the_first_steps(nest: None, terminal: Terminal) -> None:
    (state_directory() / "remembered.json").unlink()
    terminal.run(session())
    terminal.until("First steps, 1 of 4: Hatch a pet")
    terminal.press("n")
    terminal.until("egg (image)")
    terminal.press("Enter", "Enter")
    terminal.until("2 of 4: Feed it a command", f"moka is process {pid_of('moka')}")
    terminal.press("f")
    terminal.until("feed moka ›")
    terminal.type("ps -ef")
    terminal.press("Enter")
    terminal.until("3 of 4: Feed it too much", "Eaten up")
    terminal.type("dd if=/dev/zero of=/dev/null bs=200M count=1")
    terminal.press("Enter")
    terminal.until("4 of 4: Look at it up close", "OOM killer ended that meal")
    terminal.press("Escape")
    terminal.until("⏎ Look")
    terminal.press("Enter")
    terminal.until("First steps: done")
    terminal.press("f2")
    terminal.until("esc Back", without="First steps")


def pid_of(name: str) -> int | None:
    """The pid of a pet that is about to hatch."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        for pet in engine.pets():
            if pet.name == name:
                return pet.pid
        assert time.monotonic() < deadline, f"{name} never hatched"
        time.sleep(0.05)


def test_a_session_is_recorded_and_plays_again(
    nest: None, terminal: Terminal, tmp_path: Path
) -> None:
    engine.hatch("moka")
    cast = tmp_path / "session.cast"
    record = session("--record", str(cast))
    terminal.run(f"{record}; {record}")  # the second must not overwrite the first
    terminal.until("▸ moka")
    terminal.resize(90, 30)
    terminal.press("r")
    terminal.until("Release moka?")
    terminal.press("n")
    terminal.until("⏎ Look")
    terminal.press("q")
    terminal.until("left with status 2")
    assert "there already" in terminal.screen().replace("\n", "")

    header, *events = map(json.loads, cast.read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 120, 40)
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    assert [data for _, kind, data in events if kind == "r"] == ["90x30"]
    screen = pyte.Screen(120, 40)
    stream = pyte.Stream(screen)
    played = set()
    for _, kind, data in events:
        if kind == "r":
            screen.resize(30, 90)
        else:
            stream.feed(data)
            shown = "\n".join(screen.display)
            played |= {words for words in ("▸ moka", "Release moka?") if words in shown}
    assert played == {"▸ moka", "Release moka?"}


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


SCRIPT = """
next() { read go || exit; }
next
head -c 24M /dev/zero > /dev/shm/a; head -c 18M /dev/zero > /tmp/a; next
head -c 5M /dev/zero > /tmp/b; next
rm /dev/shm/a /tmp/a /tmp/b; next
(for i in $(seq 60); do sleep 1 & done) 2> /dev/null; next
(while :; do :; done) & spins=$!; next
kill $spins; wait; next
tail /dev/zero; next
exec tail /dev/zero
"""
"""What a pet does, one line at each word from its keeper."""


def test_a_scripted_pet_goes_through_its_moods(nest: None, terminal: Terminal) -> None:
    engine.thresholds(window=3)
    cgroup = engine.nest_status()["cgroup"]
    if cgroup["enforced"] != ["memory", "cpu", "pids"]:
        pytest.skip(f"limits are not enforced for this user: {cgroup['why']}")
    limits = engine.Limits(memory="50M", cpu=0.2, pids=24)
    engine.hatch("moka", limits=limits, command=["sh", "-c", SCRIPT])
    terminal.run(session())
    terminal.until("▸ moka")

    def seen(mood: str, *why: str) -> None:
        """Wait until the card shows the mood and its reason."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            lines = terminal.screen().splitlines()
            top = next((n for n, line in enumerate(lines) if "▸ moka" in line), 0)
            card = [line[:40] for line in lines[top : top + 10]]
            if mood in card[1] and all(word in "".join(card) for word in why):
                return
            assert time.monotonic() < deadline, "\n".join([f"never {mood} {why}", *lines])
            time.sleep(0.05)

    seen("happy")
    for mood, why in [
        ("full", "memory."),
        ("queasy", "memory."),
        ("happy", ""),
        ("panicked", "pids.events"),
    ]:
        engine.write("moka", "\n")
        seen(mood, why)
    engine.thresholds(lately=1)  # from here on: until it was seen, it was to be remembered
    seen("crowded", " of 24")  # a shell leaves those unburied whom it did not start itself
    engine.diet("moka", pids=64, cpu=0.05)  # less than a busy machine has for it
    engine.write("moka", "\n")
    seen("tired", "throttled in")
    engine.diet("moka", cpu=0.2)
    engine.thresholds(hunger=4)
    engine.write("moka", "\n")
    seen("hungry", "idle")
    engine.thresholds(lately="default")
    engine.write("moka", "\n")
    seen("sick", "oom_kill")
    terminal.press("s")
    seen("asleep", "frozen")
    engine.thresholds(lately=1)
    terminal.press("s")
    terminal.until("moka is awake.")
    seen("hungry", "idle")
    engine.write("moka", "\n")
    terminal.until("▸ moka", "out of memory at 50M", "1 ghost")
    epitaph = engine.look("moka").epitaph
    assert epitaph is not None and epitaph.oom_killed

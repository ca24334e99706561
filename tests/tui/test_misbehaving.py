"""The session while what it stands on misbehaves: it says so, goes on, and is itself again.

In a real terminal, against the real engine; what is behind the screen is asked of the kernel.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import engine
from tests.conftest import eventually
from tests.tui.test_real_nest import Terminal, lives, nest, session, terminal

__all__ = ["nest", "terminal"]


def face_of(terminal: Terminal) -> int:
    """The pid of the session, the child of the window's shell."""
    shell = terminal._tmux("display-message", "-p", "#{pane_pid}").strip()
    done = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=False)
    return int((done.stdout.split() or [shell])[0])


def answers(terminal: Terminal) -> None:
    """It does what a key says."""
    terminal.press("i")
    terminal.until("the one process that keeps your pets")
    terminal.press("Escape")
    terminal.until("⏎ Look")


def test_the_socket_is_gone(nest: None, terminal: Terminal) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    terminal.run(session())
    terminal.until("▸ moka")
    [path] = Path(os.environ["PROCCHI_HOME"]).rglob("nest.sock")
    before = engine.nest_status()["pid"]
    path.unlink()
    # What is open stays open; whoever comes now starts another nest, which must find the pet.
    os.kill(before, signal.SIGTERM)
    terminal.until("▸ moka", f"pid {pid}", "1 pet", without="No word from the nest")
    answers(terminal)
    assert lives(pid)


def test_a_pull_that_hangs(nest: None, terminal: Terminal) -> None:
    engine.hatch("moka")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        terminal.run(session())
        terminal.until("▸ moka")
        terminal.press("p")
        terminal.until("Cancel")
        terminal.type(f"http://127.0.0.1:{port}/egg.tar")
        terminal.press("Enter", "Enter")
        terminal.until("egg.tar", "^x", without="Pull an egg")
        answers(terminal)
        terminal.press("C-x")
        terminal.until("▸ moka", without="^x Cancel pull")
        terminal.press("q")
        terminal.until("left with status 0")


def test_hundreds_of_events(nest: None, terminal: Terminal) -> None:
    for name in ("moka", "pico"):
        engine.hatch(name)
    terminal.run(session())
    terminal.until("▸ moka", "pico")
    over = threading.Event()
    told = [0, 0]

    def restless(index: int, name: str) -> None:
        while not over.is_set():
            engine.sleep(name)
            engine.wake(name)
            told[index] += 2

    threads = [threading.Thread(target=restless, args=pair) for pair in enumerate(("moka", "pico"))]
    for thread in threads:
        thread.start()
    try:
        terminal.press("v")
        terminal.until("woke up", "fell asleep", "newest first")
        terminal.press("Space")
        terminal.until("PAUSED")
        terminal.press("Space")
        terminal.until("newest first", without="PAUSED")
        terminal.press("Escape")
        terminal.until("⏎ Look")
        answers(terminal)
        eventually(lambda: sum(told) > 200, "there were hundreds")
        answers(terminal)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    terminal.until("2 pets", without="asleep,")

    # A flood of what is told aloud: some hundred OOM kills are a few toasts, and it answers.
    if "memory" in engine.look("moka").enforced:
        hog = "for i in 1 2 3 4 5 6 7 8 9 10; do tail /dev/zero & done; wait"
        engine.feed("moka", ["sh", "-c", hog])
        shown = terminal.until("OOM killer struck")
        answers(terminal)
        toasts = [line for line in shown.splitlines() if "killer struck" in line[60:]]
        assert len(toasts) <= 3, shown


VIEWS = {
    "": ("⏎ Look",),
    "x": ("1 Body",),
    "g": ("epitaph", "the graveyard is empty"),
    "v": ("newest first",),
    "i": ("keeps your pets", "this machine"),
    "e": ("At home", "To be had"),
    "t": ("a shell inside",),
    "f": ("feed moka ›",),
    "n": ("Hatch a pet",),
    "d": ("Diet of moka",),
    "r": ("Release moka?",),
    "H": ("last two minutes",),
    "?": ("The one with the heavy frame",),
}
"""By key: words that are on its screen, one of them at least."""


def test_a_terminal_of_twenty_by_five_and_back(nest: None, terminal: Terminal) -> None:
    engine.hatch("moka")
    terminal.run(session())
    terminal.until("▸ moka")
    for key, words in VIEWS.items():
        if key:
            terminal.press(key)
            terminal.until_any(*words)
        terminal.resize(20, 5)
        terminal.until_drawn()
        terminal.press("Down", "Up")
        terminal.resize(120, 40)
        terminal.until_any(*words)
        terminal.until_full(40)
        if key == "t":
            terminal.press("C-q")
        elif key:
            terminal.press("Escape")
        for word in words if key else ():
            terminal.until("⏎ Look", "▸ moka", "q Quit", without=word)
    answers(terminal)


def test_suspended_and_resumed(nest: None, terminal: Terminal) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    terminal.run(session())
    terminal.until("▸ moka")
    face = face_of(terminal)
    # SIGTSTP is what `kill -TSTP` and a shell's job control send: the terminal is given back.
    for round_ in range(3):
        for number in (signal.SIGSTOP, signal.SIGTSTP):
            os.kill(face, number)
            eventually(lambda: _state(face) == "T", "it stands still")
            if number == signal.SIGTSTP:
                eventually(lambda: "▸ moka" not in terminal.screen(), "the terminal is given back")
            for _ in range(20):  # a nest that nobody listens to goes on with others
                assert engine.feed("moka", ["true"]).exit_code == 0
            name = f"{number.name.lower()}{round_}"
            engine.hatch(name)
            os.kill(face, signal.SIGCONT)
            terminal.until(f"{len(engine.pets())} pets", "▸ moka", name)
            answers(terminal)
    terminal.press("q")
    terminal.until("left with status 0")


def test_the_nest_stands_still(nest: None, terminal: Terminal) -> None:
    engine.hatch("moka")
    terminal.run(session())
    terminal.until("▸ moka")
    nest_pid = engine.nest_status()["pid"]
    os.kill(nest_pid, signal.SIGSTOP)
    try:
        terminal.until("what you see is old", "kill -CONT", str(nest_pid))
        terminal.press("n")
        terminal.until("Hatch a pet")  # it answers meanwhile
        terminal.press("Escape")
        terminal.until("⏎ Look", without="Hatch a pet")
    finally:
        os.kill(nest_pid, signal.SIGCONT)
    terminal.until("▸ moka", without="what you see is old")
    answers(terminal)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_line_is_cut(nest: None, terminal: Terminal) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    terminal.run(session())
    terminal.until("▸ moka")
    face = face_of(terminal)
    terminal.close()
    eventually(lambda: not lives(face), "the face has ended")
    assert lives(pid)
    assert engine.feed("moka", ["hostname"]).stdout == b"moka\n"


def test_a_disk_that_fills(nest: None, terminal: Terminal, tmp_path: Path) -> None:
    home = Path(os.environ["PROCCHI_HOME"])
    home.mkdir(exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(home)]
    subprocess.run(mounted, check=True)
    try:
        engine.hatch("moka")
        terminal.run(session())
        terminal.until("▸ moka")
        filler = home / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * (1 << 20)):
                    pass
            except OSError:
                pass
        terminal.press("n")
        terminal.until("Cancel")
        terminal.press("Enter", "Enter")
        terminal.until("did not hatch", "Errno 28")
        answers(terminal)
        filler.unlink()
        terminal.press("n")
        terminal.until("Cancel")
        terminal.press("Enter", "Enter")
        terminal.until("2 pets")
    finally:
        terminal.close()
        for pet in engine.pets():
            engine.release(pet.name)
        engine.stop_nest()
        deadline = time.monotonic() + 10
        while subprocess.run(["umount", str(home)], check=False).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.1)

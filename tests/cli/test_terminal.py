"""`feed -it` on a real terminal: what is typed, drawn, resized and interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from .conftest import PROCCHI, Procchi
from .test_life import until


class Terminal:
    """A terminal of 37 rows and 91 columns, with `procchi WORDS…` running on it."""

    def __init__(self, procchi: Procchi, *words: str) -> None:
        self.far, near = pty.openpty()
        self.resize(37, 91)
        self.settings = termios.tcgetattr(self.far)
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(near)
            os.execve(PROCCHI, [PROCCHI, *words], procchi.environment)
        os.close(near)
        self.drawn = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.far, keys.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Read until `pattern` is drawn, and forget what was drawn up to its end."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.drawn)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.drawn!r}"
            if select.select([self.far], [], [], 1)[0]:
                self.drawn += self._read()
        self.drawn = self.drawn[found.end() :]
        return found

    def _read(self) -> str:
        try:
            return os.read(self.far, 1 << 16).decode(errors="replace")
        except OSError:  # nobody is on it any more
            return ""

    def end(self) -> int:
        """Wait for the command to end, reading all that it draws; its status."""
        deadline = time.monotonic() + 30
        while (done := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, f"it does not end; {self.drawn!r}"
            if select.select([self.far], [], [], 0.05)[0]:
                self.drawn += self._read()
        while select.select([self.far], [], [], 0)[0] and (drawn := self._read()):
            self.drawn += drawn
        self.pid = 0
        return os.waitstatus_to_exitcode(done[1])


@contextlib.contextmanager
def terminal(procchi: Procchi, *words: str) -> Iterator[Terminal]:
    one = Terminal(procchi, *words)
    try:
        yield one
    finally:
        if one.pid:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        os.close(one.far)


@pytest.fixture(autouse=True)
def moka(procchi: Procchi) -> None:
    """A pet to feed."""
    procchi("hatch", "moka")


def test_it_is_a_terminal_of_our_size_from_the_start(procchi: Procchi) -> None:
    for _ in range(5):
        with terminal(procchi, "feed", "-it", "moka", "--", "stty", "size") as screen:
            assert screen.end() == 0
            assert screen.drawn == "37 91\r\n"


def test_the_status_is_the_commands(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-it", "moka", "sh", "-c", "tty; exit 7") as screen:
        assert screen.end() == 7
        assert re.fullmatch(r"/dev/(pts/\d+|console)\r\n", screen.drawn)


def test_a_shell_is_talked_to(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "moka", "-it", "sh") as screen:
        screen.type("echo $((6 * 7)); hostname\r")
        screen.expect("42\r\nmoka\r\n")
        screen.type("exit 3\r")
        assert screen.end() == 3


def test_ctrl_c_interrupts_the_command_and_not_us(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-it", "moka", "sh") as screen:
        screen.type("echo be''gun; cat\r")
        screen.expect("begun\r\n")
        screen.type("heard\r")
        screen.expect("heard\r\nheard\r\n")  # the terminal's echo, and cat's
        screen.type("\x03")
        screen.expect(r"\^C\s+# ")
        screen.type("echo status $?\r")
        screen.expect("status 130\r\n")
        screen.type("exit\r")
        assert screen.end() == 0


def test_ctrl_c_reaches_a_command_that_has_closed_its_terminal(procchi: Procchi) -> None:
    script = "echo be''gun; exec sleep 1000 </dev/null >/dev/null 2>&1"
    with terminal(procchi, "feed", "-it", "moka", "--", "sh", "-c", script) as screen:
        screen.expect("begun\r\n")
        until(lambda: "sleep 1000" in procchi.says("feed", "moka", "ps", "-eo", "args"))
        screen.type("\x03")
        assert screen.end() == 130


def test_a_window_that_changes_is_passed_on(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-it", "moka", "sh") as screen:
        screen.type("stty size\r")
        screen.expect("37 91\r\n")
        screen.resize(20, 60)
        os.kill(screen.pid, signal.SIGWINCH)

        def resized() -> bool:
            screen.type("stty size\r")
            return screen.expect(r"\d+ \d+\r\n")[0] == "20 60\r\n"

        until(resized)


def test_our_terminal_is_as_before(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-it", "moka", "sh") as screen:
        screen.type("echo rea''dy\r")
        screen.expect("ready\r\n")
        assert termios.tcgetattr(screen.far) != screen.settings
        os.kill(screen.pid, signal.SIGTERM)
        assert screen.end() == 143
        assert termios.tcgetattr(screen.far) == screen.settings


def test_much_is_drawn_to_the_end(procchi: Procchi) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    with terminal(procchi, "feed", "-it", "moka", "--", "sh", "-c", script) as screen:
        assert screen.end() == 0
        assert screen.drawn.split() == [
            word for number in range(20000) for word in ("line", str(number))
        ]


def test_what_a_command_leaves_behind_keeps_nobody_waiting(procchi: Procchi) -> None:
    script = "trap '' HUP; sleep 1000 & echo done"
    with terminal(procchi, "feed", "-it", "moka", "--", "sh", "-c", script) as screen:
        assert screen.end() == 0
        assert screen.drawn == "done\r\n"


def test_a_terminal_to_look_at_only(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-t", "moka", "--", "sh", "-c", "tty -s && echo yes") as screen:
        assert screen.end() == 0
        assert screen.drawn.split() == ["yes"]


def test_without_i_our_keys_are_not_its_input(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "moka", "--", "cat") as screen:
        assert screen.end() == 0
        assert screen.drawn == ""


def test_what_we_type_cannot_be_read_from_its_output(procchi: Procchi) -> None:
    script = "echo rea''dy; read typed <&1 || read typed <&2 || echo refused"
    with terminal(procchi, "feed", "moka", "--", "sh", "-c", script) as screen:
        screen.expect("ready\r\n")
        screen.type("secret\r")
        assert screen.end() == 0
        assert "refused" in screen.drawn


def test_with_i_alone_our_terminal_is_its_input(procchi: Procchi) -> None:
    with terminal(procchi, "feed", "-i", "moka", "--", "head", "-n", "1") as screen:
        screen.type("typed\r")
        assert screen.end() == 0
        assert screen.drawn == "typed\r\ntyped\r\n"

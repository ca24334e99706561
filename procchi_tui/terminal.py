"""A meal's terminal joined to ours: what is typed goes in, what it draws comes out.

With `-i` our terminal is raw meanwhile, so that keys like Ctrl-C reach the command and not us.
It is set back whatever happens, short of SIGKILL.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import engine

CHUNK = 1 << 16
"""Bytes. What is typed ahead of a command that does not read waits on our side up to this."""
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def relay(meal: engine.OpenMeal, interactive: bool) -> engine.Meal:
    """Join our terminal to the meal's until the meal is over.

    `interactive` passes what is typed; without it only the drawing is shown.
    """
    assert meal.terminal is not None
    with _window_passed_on(meal.terminal):
        if interactive:
            with _ending_cleanly(), _raw(0):
                _copy(meal, meal.terminal, keyboard=0)
        else:
            _copy(meal, meal.terminal, keyboard=None)
    return meal.wait()


def copy_window(source: int, terminal: int) -> None:
    """Give `terminal` the window size of `source` (ioctl_tty(2)); its command gets SIGWINCH."""
    size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


@contextmanager
def _window_passed_on(terminal: int) -> Iterator[None]:
    def resized(number: int, frame: FrameType | None) -> None:
        copy_window(0, terminal)

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        copy_window(0, terminal)
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """A signal that ends us unwinds first; the meal gets SIGHUP when its terminal closes."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # what was typed already is not thrown away
    try:
        yield
    finally:
        with suppress(termios.error):  # it has hung up
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _copy(meal: engine.OpenMeal, terminal: int, keyboard: int | None) -> None:
    """Copy both ways until the meal is over and what it drew is shown."""
    os.set_blocking(terminal, False)
    typed = b""
    drawing, eating = True, True
    while drawing or eating:
        waiting = select.poll()
        if eating:
            waiting.register(meal, select.POLLIN)
        if drawing:
            waiting.register(terminal, select.POLLIN | (select.POLLOUT if typed else 0))
        if keyboard is not None and len(typed) < CHUNK:
            waiting.register(keyboard, select.POLLIN)
        # Once the meal is over only what it drew already matters: something that it has left
        # behind may hold the terminal open for ever.
        ready = dict(waiting.poll(None if eating else 0))
        if not eating and not ready.get(terminal, 0) & select.POLLIN:
            return
        eating = eating and meal.fileno() not in ready
        if keyboard in ready:
            keys = _read(keyboard)
            typed += keys
            keyboard = keyboard if keys else None  # our terminal has hung up
        # A command that has its terminal open no more can still be interrupted from it.
        if typed and (not drawing or ready.get(terminal, 0) & select.POLLOUT):
            typed = typed[_write_some(terminal, typed) :]
        if ready.get(terminal, 0) & (select.POLLIN | select.POLLHUP):
            drawn = _read(terminal)
            _write(1, drawn)
            drawing = drawn != b""


def _read(terminal: int) -> bytes:
    """What there is to read; nothing once the other side is closed (EIO, see pty(7))."""
    try:
        return os.read(terminal, CHUNK)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _write_some(terminal: int, typed: bytes) -> int:
    """How much of `typed` went in now."""
    try:
        return os.write(terminal, typed)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno == errno.EIO:  # nobody will ever read it
            return len(typed)
        raise


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

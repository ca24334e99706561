"""A terminal in a box: a meal's own, drawn here and typed into here.

Bytes are read on the screen's loop, a little at a time: a program that writes without end waits
on its full terminal while keys and other widgets have their turn.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from pyte.screens import Char
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from procchi_tui.emulator import Emulator
from procchi_tui.keystrokes import keystroke
from procchi_tui.nest_engine import OpenMeal

READ_SIZE = 1 << 12
"""Bytes read at once: some 6 ms of drawing."""
FRAME_SECONDS = 1 / 30
MOST_TYPED = 1 << 20
"""Bytes that wait for a program which does not read; what is typed or pasted beyond is lost."""


class Terminal(ScrollView, can_focus=True):
    """Shows a meal's terminal, and sends it every key."""

    ALLOW_SELECT = False
    HELP = (
        "A shell in the pet, in a terminal of its own: every key goes there, ctrl+c and ctrl+d "
        "too. ctrl+q hangs up. The wheel, or shift with page up, shows what has scrolled away."
    )

    @dataclass
    class Over(Message):
        """The command has ended, or can no longer be reached."""

    def __init__(self, meal: OpenMeal) -> None:
        super().__init__()
        assert meal.terminal is not None
        self._meal = meal
        self._tty = meal.terminal
        self._emulator = Emulator(80, 24, self._send)
        self._typed = bytearray()
        self._cursor_line = 0
        self._frame_due = False
        self._reading = False

    # -- the two ends

    def on_mount(self) -> None:
        """Begin to listen."""
        os.set_blocking(self._tty, False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tty, self._read)
        loop.add_reader(self._meal.fileno(), self._over)
        self._reading = True

    def on_unmount(self) -> None:
        """Listen no more; the meal is its owner's to close."""
        self._listen_no_more()

    def _listen_no_more(self) -> None:
        if self._reading:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._tty)
            loop.remove_writer(self._tty)
            loop.remove_reader(self._meal.fileno())
            self._reading = False

    def _over(self) -> None:
        while self._read():
            pass
        self._listen_no_more()
        self.post_message(self.Over())

    def _read(self) -> bool:
        try:
            data = os.read(self._tty, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody holds the other end any more, see pty(7)
            data = b""
        if not data:
            if self._reading:
                asyncio.get_running_loop().remove_reader(self._tty)
            return False
        self._emulator.feed(data)
        if not self._frame_due:
            self._frame_due = True
            self.set_timer(FRAME_SECONDS, self._draw)
        return True

    def _send(self, data: bytes) -> None:
        if self._reading and len(self._typed) + len(data) <= MOST_TYPED:
            self._typed += data
            self._write()

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._typed:
                del self._typed[: os.write(self._tty, self._typed)]
        except BlockingIOError:
            loop.add_writer(self._tty, self._write)
            return
        except OSError:  # it has hung up, and `_over` comes
            self._typed.clear()
        loop.remove_writer(self._tty)

    # -- keys

    def on_key(self, event: events.Key) -> None:
        """Every key is the program's, except those that the screen has taken before."""
        event.stop()
        event.prevent_default()
        match event.key:
            case "shift+pageup":
                self.scroll_page_up(animate=False)
            case "shift+pagedown":
                self.scroll_page_down(animate=False)
            case key:
                self.scroll_end(animate=False)
                application = self._emulator.application_cursor
                self._send(keystroke(key, event.character, application_cursor=application))

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text goes in as it is, without a way to end the paste's own brackets."""
        event.stop()
        text = event.text.replace("\r\n", "\r").replace("\n", "\r").replace("\x1b", "")
        if self._emulator.bracketed_paste:
            text = f"\x1b[200~{text}\x1b[201~"
        self._send(text.encode("utf-8", "replace"))

    # -- drawing

    def on_resize(self, event: events.Resize) -> None:
        """The terminal is as large as this widget."""
        columns, lines = max(2, self.size.width), max(1, self.size.height)
        self._emulator.resize(columns, lines)
        if self._reading:
            self._meal.resize(lines, columns)
        self._draw()

    def _draw(self) -> None:
        self._frame_due = False
        emulator = self._emulator
        at_end = self.scroll_offset.y >= self.max_scroll_y
        above = emulator.scrolled_away
        height = above + max(1, self.size.height)
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.size.width, height)
            emulator.take_changed()
            self.refresh()
        else:
            changed = emulator.take_changed() | {self._cursor_line}
            if emulator.cursor:
                changed.add(emulator.cursor[1])
            top = above - self.scroll_offset.y
            self.refresh(*(Region(0, y + top, self.size.width, 1) for y in changed))
        self._cursor_line = emulator.cursor[1] if emulator.cursor else 0
        if at_end:
            self.scroll_end(animate=False)

    def render_line(self, y: int) -> Strip:
        """A line of the terminal, or of what has scrolled away above it."""
        row = y + self.scroll_offset.y - self._emulator.scrolled_away
        cursor = self._emulator.cursor
        column = cursor[0] if cursor and cursor[1] == row and self.has_focus else -1
        ground = self.rich_style
        segments = [
            Segment(char.data, ground + _style(char, under_cursor=x == column))
            for x, char in enumerate(self._emulator.line(row))
            if char.data
        ]
        return Strip(Strip(segments).simplify()).adjust_cell_length(self.size.width, ground)


_NAMES = {"default": None, "brown": "yellow", "brightbrown": "bright_yellow"}


def _colour(name: str) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    return name.replace("bright", "bright_")


def _style(char: Char, *, under_cursor: bool) -> Style:
    return Style(
        color=_colour(char.fg),
        bgcolor=_colour(char.bg),
        bold=char.bold,
        italic=char.italics,
        underline=char.underscore,
        strike=char.strikethrough,
        reverse=char.reverse != under_cursor,
    )

"""A terminal without a window: bytes from a program in, a grid of characters out.

The work is pyte's. Here stands what it lacks and shells and editors need: the alternate screen,
lines that have scrolled away, a resize that keeps the cursor's line, and a filter for sequences
that pyte would show as text. What a pet writes is hostile input: nothing that it sends is kept
beyond a bound, and nothing raises.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any
from unicodedata import category, combining

import pyte
from pyte.screens import Char, Margins, StaticDefaultDict

Line = StaticDefaultDict[int, Char]

SCROLLBACK_LINES = 2000
LONGEST_SEQUENCE = 4096
"""Bytes. A longer one (a title, a device control string) is nobody's honest need."""
MOST_MARKS = 30
"""Combining characters on another one: what Unicode's stream-safe format allows (UAX 15)."""

_PRIVATE = 5
"""Bits by which pyte shifts DEC's private modes, to tell them from ANSI's."""
_ALTERNATE = {mode << _PRIVATE for mode in (47, 1047, 1049)}
_APPLICATION_CURSOR = 1 << _PRIVATE
_BRACKETED_PASTE = 2004 << _PRIVATE

# ECMA-48: a control sequence; and the strings (DCS, SOS, OSC, PM, APC), of which nothing is shown.
# Either is broken off by ESC, CAN or SUB, as in xterm: pyte would take what follows for its end.
_FOREIGN = re.compile(
    rb"\x1b\[(?P<private>[<=>?]?)(?P<values>[0-9;:]*)(?P<middle>[ -/]*)(?P<final>[@-~])"
    rb"|\x1b\[[0-?]*[ -/]*(?=[\x1b\x18\x1a]|\Z)"
    rb"|\x1b\][^\x07\x1b\x18\x1a]*(?:\x07|\x1b\\|(?=[\x1b\x18\x1a]|\Z))"
    rb"|\x1b[PX^_][^\x1b\x18\x1a]*(?:\x1b\\|(?=[\x1b\x18\x1a]|\Z))"
    rb"|\xc2[\x80-\x9f]"  # C1 controls in UTF-8, which terminals of today ignore
)
_UNFINISHED = re.compile(
    rb"(?:\xc2|\x1b(?:\[[0-?]*[ -/]*|[PX^_][^\x1b\x18\x1a]*\x1b?"
    rb"|\][^\x07\x1b\x18\x1a]*\x1b?)?)\Z"
)
_KNOWN_PRIVATE = b"hlJK"


class Emulator:
    """A terminal of so many columns and lines; `reply` is told what it answers to questions."""

    def __init__(self, columns: int, lines: int, reply: Callable[[bytes], None]) -> None:
        self._screen = _Screen(columns, lines, reply)
        self._stream = pyte.ByteStream(self._screen)
        self._unfinished = b""

    def feed(self, data: bytes) -> None:
        """Draw what a program has written."""
        data = self._unfinished + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._unfinished = data[end:][:LONGEST_SEQUENCE]
        try:
            self._stream.feed(_FOREIGN.sub(_translate, data[:end]))
        except Exception:
            # pyte takes its parser back to the start on what it cannot make sense of. The rest
            # of this piece is lost, as line noise would be; the next one is drawn.
            pass

    def resize(self, columns: int, lines: int) -> None:
        """Take another size; the cursor's line stays in sight."""
        self._screen.resize(lines, columns)

    def take_changed(self) -> set[int]:
        """The lines that changed since the last call."""
        changed = {y for y in self._screen.dirty if y < self._screen.lines}
        self._screen.dirty.clear()
        return changed

    def line(self, y: int) -> list[Char]:
        """The characters of line `y`; a negative one has scrolled away."""
        past = self._screen.past
        if y >= 0:
            row = self._screen.buffer[y]
        elif -y <= len(past):
            row = past[y]
        else:
            return []
        return [row[x] for x in range(self._screen.columns)]

    @property
    def scrolled_away(self) -> int:
        """How many lines there are above the first one."""
        return 0 if self._screen.is_alternate else len(self._screen.past)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Column and line; None while it is hidden."""
        cursor = self._screen.cursor
        if cursor.hidden:
            return None
        return min(cursor.x, self._screen.columns - 1), cursor.y

    @property
    def application_cursor(self) -> bool:
        """Whether arrow keys are to be sent as SS3 sequences (DECCKM)."""
        return _APPLICATION_CURSOR in self._screen.mode

    @property
    def bracketed_paste(self) -> bool:
        """Whether pasted text is to be marked as such."""
        return _BRACKETED_PASTE in self._screen.mode


def _translate(match: re.Match[bytes]) -> bytes:
    """What pyte is to see of a sequence: nothing of those that it takes for others."""
    if match["final"] is None or match["middle"] or match["private"] in (b"<", b"=", b">"):
        return b""
    if match["private"] and match["final"] not in _KNOWN_PRIVATE:
        return b""
    values = match["values"].replace(b"::", b";").replace(b":", b";")
    return b"\x1b[" + match["private"] + values + match["final"]


class _Screen(pyte.Screen):
    """pyte's screen, with a second buffer for full-screen programs and a memory for lines."""

    def __init__(self, columns: int, lines: int, reply: Callable[[bytes], None]) -> None:
        self._reply = reply
        self._primary: dict[int, Line] | None = None
        self._marks = 0
        """Combining characters in a row, so far."""
        self.past: deque[Line] = deque(maxlen=SCROLLBACK_LINES)
        super().__init__(columns, lines)

    def write_process_input(self, data: str) -> None:
        self._reply(data.encode())

    def draw(self, data: str) -> None:
        # pyte drops what follows a character without a picture, and normalises a cell anew with
        # each mark that is put on it, which a flood of them makes endless.
        if data.isascii() and data.isprintable():
            self._marks = 0
        else:
            data = "".join(char for char in data if self._may_stand(char))
        super().draw(data)

    def _may_stand(self, char: str) -> bool:
        self._marks = self._marks + 1 if combining(char) else 0
        return self._marks <= MOST_MARKS and category(char) not in ("Cc", "Cf")

    def reset(self) -> None:
        self._primary = None
        super().reset()

    @property
    def is_alternate(self) -> bool:
        return self._primary is not None

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if _ALTERNATE & self.mode and not self.is_alternate:
            self.save_cursor()
            self._primary = dict(self.buffer)
            self._show({})

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*modes, **kwargs)
        if self._primary is not None and not _ALTERNATE & self.mode:
            self._show({y: line for y, line in self._primary.items() if y < self.lines})
            self._primary = None
            self.restore_cursor()
            self.ensure_hbounds()
            self.ensure_vbounds()

    def _show(self, lines: dict[int, Line]) -> None:
        self.buffer.clear()
        self.buffer.update(lines)
        self.dirty.update(range(self.lines))

    def index(self) -> None:
        top, bottom = self.margins or Margins(0, self.lines - 1)
        if top == 0 and self.cursor.y == bottom and not self.is_alternate:
            self.past.append(self.buffer[0])
        super().index()

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        # pyte's own drops lines from the top wherever the cursor is, and leaves it outside.
        lines, columns = lines or self.lines, columns or self.columns
        gone = max(0, self.cursor.y - lines + 1)
        rows = dict(self.buffer)
        if not self.is_alternate:
            self.past.extend(rows[y] for y in range(gone) if y in rows)
        self.lines, self.columns = lines, columns
        self.margins = None
        self._show({y - gone: row for y, row in rows.items() if gone <= y < gone + lines})
        self.cursor.y -= gone
        self.ensure_hbounds()

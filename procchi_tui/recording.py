"""`procchi-tui --record FILE`: the session as an asciinema cast.

Version 2 of the format (docs.asciinema.org/manual/asciicast/v2): a line of JSON that describes
the terminal, then one for each thing that went to it, with the seconds since the start.
"""

from __future__ import annotations

import json
import os
import time
from io import TextIOWrapper
from typing import Any

from procchi_tui.driver import TerminalDriver


class Recording:
    """A cast that is being written; each event is on disk as soon as it happened."""

    def __init__(self, path: str, width: int, height: int) -> None:
        """Begin it. Raises OSError: FileExistsError where there is such a file already."""
        self._file: TextIOWrapper | None = open(path, "x", encoding="utf-8", buffering=1)
        self._began = time.monotonic()
        self.trouble = ""
        """Why it ended early; empty while all is well."""
        self._size = width, height
        environment = {name: os.environ.get(name, "") for name in ("TERM", "SHELL")}
        header = {"version": 2, "width": width, "height": height, "timestamp": int(time.time())}
        self._line(header | {"title": "Procchi", "env": environment})

    def output(self, drawn: str) -> None:
        """Something went to the terminal."""
        self._line([round(time.monotonic() - self._began, 6), "o", drawn])

    def resize(self, width: int, height: int) -> None:
        """The terminal has another size now."""
        if (width, height) != self._size:
            self._size = width, height
            self._line([round(time.monotonic() - self._began, 6), "r", f"{width}x{height}"])

    def close(self) -> None:
        """End it; nothing happens the second time."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _line(self, value: Any) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(value, ensure_ascii=False) + "\n")
        except OSError as error:  # a full disk must not end the session
            self.trouble = error.strerror or str(error)
            self._file = None


def recorded(recording: Recording) -> type[TerminalDriver]:
    """Our driver, with all that it writes going to `recording` as well."""

    class RecordingDriver(TerminalDriver):
        def write(self, data: str) -> None:
            super().write(data)
            recording.output(data)

    return RecordingDriver

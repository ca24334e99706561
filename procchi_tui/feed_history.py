"""What was fed before: the prompt's history, kept across sessions."""

from __future__ import annotations

import os
from pathlib import Path

MOST = 500


class FeedHistory:
    """Lines, oldest first, and a place among them that up and down move.

    A file that cannot be read or written costs the memory of other sessions, never a meal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = self._read()
        self._place = len(self._lines)
        self._draft = ""

    def _read(self) -> list[str]:
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in text.split("\n") if line][-MOST:]

    def add(self, line: str) -> None:
        """Remember `line` as the newest, once, and start again from there."""
        kept = [known for known in self._read() if known != line]
        self._lines = [*kept, line][-MOST:]
        self._place = len(self._lines)
        self._draft = ""
        self._write()

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write("\n".join(self._lines) + "\n")
            new.replace(self._path)
        except OSError:
            pass

    def older(self, typed: str) -> str:
        """The line before this place; `typed` is kept to come back to."""
        if self._place == len(self._lines):
            self._draft = typed
        self._place = max(0, self._place - 1)
        return self._here()

    def newer(self) -> str:
        """The line after this place, and last of all what was being typed."""
        self._place = min(len(self._lines), self._place + 1)
        return self._here()

    def search(self, typed: str) -> str:
        """The newest line before this place that holds `typed`, or what it was searched by first.

        Asked again with its own answer it goes on to older ones; without another, it stays.
        """
        if self._place == len(self._lines) or typed != self._here():
            self._place = len(self._lines)
            self._draft = typed
        for place in range(self._place - 1, -1, -1):
            if self._draft in self._lines[place]:
                self._place = place
                return self._lines[place]
        return typed

    def suggest(self, typed: str) -> str | None:
        """The newest line that begins with `typed`."""
        return next((line for line in reversed(self._lines) if line.startswith(typed)), None)

    def _here(self) -> str:
        return self._draft if self._place == len(self._lines) else self._lines[self._place]

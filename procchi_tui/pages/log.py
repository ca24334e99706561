"""What a pet has said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine import Log as Written
from procchi_tui.nest_engine import Engine
from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.words import plain

LOG_TAIL = 1 << 15
"""Bytes shown of the end."""


class Log(Page):
    """The end of its log."""

    id = "log"
    title = "Log"
    about = "What its PID 1 has said, as it says it"
    of_ghosts = True
    follows = True

    def read(self, engine: Engine, name: str) -> str:
        """Its last lines."""
        return _tail(engine.log_path(name))

    def blocks(self, seen: str, sight: Sight) -> Iterable[Block]:
        """As they were written."""
        lines = plain(seen).rstrip("\n")
        yield Block(
            "log",
            "standard output and error of its PID 1 (procchi logs)",
            [(line,) for line in lines.split("\n")] if lines else [("It has said nothing yet.",)],
        )


def _tail(path: Path) -> str:
    try:
        with Written(path) as log:
            return log.tail(LOG_TAIL).decode(errors="replace")
    except FileNotFoundError:
        return ""

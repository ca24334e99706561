"""The card of the tour: it says what to try, and never takes a key."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.widgets import Static

from procchi_tui.tour import Tour

_KEY = re.compile(r"\[([^]]+)\]")


class TourCard(Static):
    """Hidden while there is no tour."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tour--key", "tour--done"}

    def __init__(self) -> None:
        super().__init__()
        self.display = False

    def show(self, tour: Tour | None) -> None:
        """Say what comes next."""
        self.display = tour is not None
        if tour is None:
            return
        self.border_title = tour.heading
        lines = []
        if tour.learned:
            lines.append(Text.assemble(("✓ ", self._style("done")), self._keys(tour.learned)))
        if tour.step is not None:
            lines.append(self._keys(tour.step.todo))
        self.border_subtitle = "f2 ends the tour"
        self.update(Text("\n").join(lines))

    def _keys(self, words: str) -> Text:
        text = Text()
        for index, part in enumerate(_KEY.split(words)):
            text.append(part, self._style("key") if index % 2 else Style())
        return text

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"tour--{name}", partial=True)

"""What stands where the cards will be."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from procchi_tui.drawing import pictures
from procchi_tui.drawing.sprites import Look
from procchi_tui.widgets.ink import art_of

WORDS = (
    ("The nest is empty.", "title"),
    ("n, Enter, Enter: a pet hatches from this machine's own files. ? explains.", "words"),
)
EGG = Look("egg", "asleep", "peach")


class EmptyNest(Static):
    """An egg, and two lines that say what to press."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "empty-nest--ground",
        "empty-nest--title",
        "empty-nest--words",
    }

    def render(self) -> Text:
        """The egg above the words."""
        ground = self.get_component_rich_style("empty-nest--ground")
        text = Text(justify="center")
        for row in pictures.draw(EGG, art_of(self), ground, ground, 2):
            text.append_text(Text.assemble(*((part.text, part.style or "") for part in row), "\n"))
        for words, style in WORDS:
            name = f"empty-nest--{style}"
            text.append(f"\n{words}", self.get_component_rich_style(name, partial=True))
        return text

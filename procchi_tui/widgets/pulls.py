"""A line for each pull that is under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from procchi_tui.drawing import gauges
from procchi_tui.facts import Pulling
from procchi_tui.words import amount

BAR_CELLS = 14


class Pulls(Widget):
    """Progress bars; hidden while nothing is pulled."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"pulls--name", "pulls--fill", "pulls--track"}

    def __init__(self, pulls: Mapping[int, Pulling]) -> None:
        super().__init__()
        self._pulls = pulls
        self.display = False

    def show(self) -> None:
        """Draw the pulls as they are now."""
        self.display = bool(self._pulls)
        self.styles.height = len(self._pulls)
        self.refresh()

    def render(self) -> Text:
        """A line for each."""
        return Text("\n", no_wrap=True).join(self._line(pull) for pull in self._pulls.values())

    def _line(self, pull: Pulling) -> Text:
        progress = pull.progress
        line = Text.assemble(
            "Pulling ", (pull.reference, self._style("name")), "  ", overflow="ellipsis"
        )
        if progress is None:
            return line.append("cancelling…" if pull.cancelling else "asking…")
        full, empty = gauges.bar(gauges.filled(pull.share, BAR_CELLS), BAR_CELLS)
        line.append(full, self._style("fill")).append(empty, self._style("track"))
        line.append(f" {progress.stage} {amount(progress)}")
        if pull.pace and not pull.cancelling:
            line.append(f"  {pull.pace}")
        return line.append("  cancelling…") if pull.cancelling else line

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"pulls--{name}", partial=True)

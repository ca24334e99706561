"""A line for each pull that is under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from engine import Progress
from procchi_tui.drawing import gauges
from procchi_tui.words import size, time_left

BAR_CELLS = 14


class Pulling(NamedTuple):
    """A pull under way."""

    reference: str
    progress: Progress | None = None
    """How far it has come; None before the first sign of it."""
    cancelling: bool = False
    """True once it was asked to stop: it does so at its next sign of progress."""
    rate: float | None = None
    """Bytes a second, of late."""
    left: float | None = None
    """Seconds until this stage is done."""
    name: str | None = None
    """What the egg will be called, where that was said."""

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1."""
        done = self.progress
        return min(1.0, done.done / done.total) if done and done.total else 0.0

    @property
    def pace(self) -> str:
        """Rate and time left in words; empty while nobody can tell."""
        if self.progress is None or self.rate is None or self.progress.stage == "cooking":
            return ""
        left = "" if self.left is None else f", {time_left(self.left)} left"
        return f"{size(self.rate)}/s{left}"


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


def amount(progress: Progress) -> str:
    """What is done of how much, in words."""
    done, total = progress.done, progress.total
    if progress.stage == "cooking":
        return f"{done} files" if total is None else f"{done} of {total} files"
    if total is None:
        return size(done)
    return f"{done / total if total else 1.0:.0%} ({size(done)} of {size(total)})"

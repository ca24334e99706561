"""A pet's last minutes as a plot, on the screen and as a picture to keep."""

from __future__ import annotations

import io
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Label, Static

from procchi_tui import themes
from procchi_tui.bindings import keys
from procchi_tui.drawing import plot
from procchi_tui.drawing.plot import Curve
from procchi_tui.nursery import HISTORY_SAMPLES, SAMPLE_SECONDS
from procchi_tui.places import pictures_directory
from procchi_tui.screens.dialogue import Dialogue
from procchi_tui.session import Session

LABELS = 7
"""Cells for the numbers at the left."""


class HistoryScreen(Dialogue[None]):
    """Memory and CPU against their limits, second by second."""

    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = keys("history.*")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "history--title",
        "history--label",
        "history--memory",
        "history--cpu",
    }
    HELP = (
        "The last two minutes, a column a second, as far as this session has seen them. The upper "
        "edge is the limit; where there is none, the highest value."
    )

    def __init__(self, session: Session, name: str) -> None:
        super().__init__()
        self._session, self._pet_name = session, name

    def compose(self) -> ComposeResult:
        """A title, the curves, and what can be done."""
        with Vertical(id="dialogue", classes="history"):
            whose = "its" if self._is_over() else "the"
            yield Label(f"{self._pet_name}: {whose} last two minutes", id="title", markup=False)
            yield Static(id="plot")
            yield Label("s saves it as a picture · esc closes it")

    def on_mount(self) -> None:
        """Draw it, and again every second."""
        self.call_after_refresh(self.show)
        self.set_interval(SAMPLE_SECONDS, self.show)

    def on_resize(self) -> None:
        """Fill the new size."""
        self.call_after_refresh(self.show)

    def _is_over(self) -> bool:
        return self._session.nursery.is_over(self._pet_name)

    def _curves(self) -> tuple[Curve, Curve]:
        nursery = self._session.nursery
        pet = nursery.pets.get(self._pet_name)
        limits = (pet.limits.memory, pet.limits.cpu) if pet else (None, None)
        return plot.curves(nursery.history(self._pet_name), *limits)

    def show(self) -> None:
        """Draw what is known now."""
        area = self.query_one("#plot", Static)
        width = min(HISTORY_SAMPLES, area.size.width - LABELS - 1)
        height = max(2, (area.size.height - 4) // 2)
        if width > 0:
            area.update(Text("\n").join(self._rows(width, height)))

    def _rows(self, width: int, height: int) -> list[Text]:
        rows = []
        label = self._style("label")
        when = "at its end" if self._is_over() else "now"
        for curve, kind in zip(self._curves(), ("memory", "cpu"), strict=True):
            last = next((value for value in reversed(curve.values) if value is not None), None)
            now = "no reading here" if last is None else f"{curve.words(last)} {when}"
            limit = f", {curve.words(curve.top)} at most" if curve.limited else ", no limit"
            title = Text.assemble((curve.title, self._style("title")), (f"  {now}{limit}", label))
            rows.append(title)
            marks = {0: curve.words(curve.top), height - 1: "0", height // 2: ""}
            for y, columns in enumerate(plot.columns(curve, width, height)):
                number = f"{marks.get(y, ''):>{LABELS - 1}} "
                rows.append(Text.assemble((number, label), (columns, self._style(kind))))
            rows.append(Text(""))
        return rows

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"history--{name}", partial=True)

    def action_save(self) -> None:
        """Save it as an SVG picture, where screenshots go, too."""
        pet = self._session.nursery.pets.get(self._pet_name)
        now = self._session.clock().astimezone()
        subtitle = f"{now:%Y-%m-%d %H:%M:%S}" + (f" · {pet.egg} · {pet.mood}" if pet else "")
        picture = plot.svg(
            self._pet_name,
            subtitle,
            self._curves(),
            colours=themes.colours(self.app.theme),
            over=self._is_over(),
        )
        self.app.deliver_text(
            io.StringIO(picture),
            save_directory=pictures_directory(),
            save_filename=f"procchi-{self._pet_name}-{now:%Y%m%d-%H%M%S}.svg",
            open_method="download",
            mime_type="image/svg+xml",
            name="history",
        )

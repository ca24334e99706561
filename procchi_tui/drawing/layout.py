"""Where each card lies: lines of cards, under headings where pets are grouped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from textual.geometry import Region

from procchi_tui.arrangement import Section
from procchi_tui.drawing.card import SMALLEST, Shape


class Band(NamedTuple):
    """A heading, or cards side by side."""

    top: int
    """Its first line, counted from the top of everything."""
    height: int
    title: str
    """Empty for cards."""
    names: Sequence[str]


class Layout:
    """The place of every card, for cards of one shape in so many columns."""

    def __init__(
        self, sections: Iterable[Section] = (), columns: int = 1, shape: Shape = SMALLEST
    ) -> None:
        self.columns, self.shape = columns, shape
        self.names: list[str] = []
        """Every pet that has a card, in reading order."""
        self.height = 0
        self._bands: list[Band] = []
        self._places: dict[str, tuple[int, int]] = {}
        for title, names in sections:
            self.names += names
            if title:
                self._add(Band(self.height, 1, title, ()))
            for start in range(0, len(names), columns):
                self._add(Band(self.height, shape.height, "", names[start : start + columns]))
        self._tops = [band.top for band in self._bands]

    def _add(self, band: Band) -> None:
        for column, name in enumerate(band.names):
            self._places[name] = len(self._bands), column
        self._bands.append(band)
        self.height += band.height

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def band(self, y: int) -> Band | None:
        """What line `y` crosses."""
        index = bisect_right(self._tops, y) - 1
        return self._bands[index] if 0 <= y < self.height else None

    def between(self, first: int, last: int) -> list[str]:
        """The pets whose cards touch the lines from `first` to `last`."""
        start = max(0, bisect_right(self._tops, first) - 1)
        end = bisect_right(self._tops, last)
        return [name for band in self._bands[start:end] for name in band.names]

    def region(self, name: str) -> Region:
        """The card's place."""
        index, column = self._places[name]
        band = self._bands[index]
        return Region(column * self.shape.width, band.top, self.shape.width, band.height)

    def shown_with(self, name: str) -> Region:
        """The card's place, and that of the heading right above it."""
        index, _ = self._places[name]
        region = self.region(name)
        if index and self._bands[index - 1].title:
            return Region(region.x, region.y - 1, region.width, region.height + 1)
        return region

    def at(self, x: int, y: int) -> str | None:
        """The pet whose card that cell belongs to."""
        band, column = self.band(y), x // self.shape.width
        return band.names[column] if band and 0 <= column < len(band.names) else None

    def across(self, name: str, step: int) -> str:
        """The card so many further in reading order; `name` where that is outside."""
        index = self.names.index(name) + step
        return self.names[index] if 0 <= index < len(self.names) else name

    def down(self, name: str, lines: int) -> str:
        """The card so many lines of cards below, or as far as there are some."""
        index, column = self._places[name]
        rows = [place for place, band in enumerate(self._bands) if band.names]
        row = max(0, min(len(rows) - 1, rows.index(index) + lines))
        names = self._bands[rows[row]].names
        return names[min(column, len(names) - 1)]

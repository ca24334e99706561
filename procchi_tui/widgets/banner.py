"""A line of trouble that lasts, and what to do about it."""

from __future__ import annotations

from textual.widgets import Static


class Banner(Static):
    """Hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._text = ""
        self.display = False

    def say(self, text: str) -> None:
        """Show `text`, or with an empty one nothing."""
        if text != self._text:
            self._text = text
            self.update(text)
            self.display = bool(text)

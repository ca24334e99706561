"""One of several things, chosen from a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from procchi_tui.screens.dialogue import Dialogue
from procchi_tui.words import one_line

Value = TypeVar("Value")


class Choice(NamedTuple, Generic[Value]):
    """A line of the list."""

    value: Value
    title: str
    about: str
    """What it means, in a few words."""


class ChoiceScreen(Dialogue[Value]):
    """Enter takes the line under the cursor; its value is the answer."""

    AUTO_FOCUS = "OptionList"
    COMPONENT_CLASSES = {"choice--about"}  # noqa: RUF012 (Textual's own name and type)

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice[Value]],
        now: Value | None = None,
        note: str = "",
    ) -> None:
        super().__init__()
        self._title, self._choices, self._now, self._note = title, list(choices), now, note

    def compose(self) -> ComposeResult:
        """The list, and a word below it."""
        with Vertical(id="dialogue"):
            yield Label(self._title, id="title", markup=False)
            yield OptionList(compact=True)
            if self._note:
                yield Static(self._note, markup=False, id="note")

    def on_mount(self) -> None:
        """Show them, the cursor on what holds now."""
        self._fill(0)

    def offer(self, more: Iterable[Choice[Value]]) -> None:
        """Add lines; the cursor stays where it is, or goes to one of them that holds now."""
        self._choices += more
        self._fill(self.query_one(OptionList).highlighted)

    def _fill(self, at: int | None) -> None:
        about = self.get_component_rich_style("choice--about", partial=True)
        longest = max((len(choice.title) for choice in self._choices), default=0)
        options = self.query_one(OptionList).clear_options()
        for choice in self._choices:
            words = Text.assemble(choice.title.ljust(longest + 2), (one_line(choice.about), about))
            words.no_wrap, words.overflow = True, "ellipsis"
            options.add_option(Option(words))
        values = [choice.value for choice in self._choices]
        if self._now in values:
            at = values.index(self._now)
            self._now = None
        options.highlighted = at

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close with the answer."""
        self.dismiss(self._choices[event.option_index].value)

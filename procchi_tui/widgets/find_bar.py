"""What is shown of the nest, and where to type what should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label, Static

from procchi_tui.bindings import keys
from procchi_tui.finding import EVERYTHING, Filter, FilterMistake, parse
from procchi_tui.session import Session
from procchi_tui.words import count


class FindBar(Horizontal):
    """Hidden while every pet is shown in the usual order, and none is marked."""

    BINDINGS: ClassVar[list[BindingType]] = keys("filter.*")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "find-bar--label",
        "find-bar--told",
        "find-bar--marks",
        "find-bar--mistake",
    }
    HELP = (
        "A word is looked for in name, egg, mood, status and stage; egg:home in one of them. "
        "mem>80%, cpu>0.2, pids>10, meals>3 and age>5min compare. A ! before it turns a term "
        "round, and all terms must hold."
    )

    @dataclass
    class Typed(Message):
        """Another filter was typed."""

        filter: Filter

    @dataclass
    class Left(Message):
        """The prompt was closed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._typing = False
        self._mistake = ""
        self.display = False

    def compose(self) -> ComposeResult:
        """The prompt, and what is shown."""
        yield Label("/", id="slash")
        yield Input(placeholder="a word, mood:sick, mem>80%, !ghost", compact=True, id="filter")
        yield Static(id="told")

    def on_mount(self) -> None:
        """Begin with the prompt closed."""
        self._show_prompt(False)

    def open(self) -> None:
        """Ask for a filter."""
        prompt = self.query_one(Input)
        self._mistake = ""
        prompt.value = self._session.arrangement.filter.text
        prompt.cursor_position = len(prompt.value)
        self._show_prompt(True)
        self.display = True
        self.screen.set_focus(prompt)  # at once: the next key is for it already

    def _show_prompt(self, typing: bool) -> None:
        self._typing = typing
        for part in ("#slash", "#filter"):
            self.query_one(part).display = typing

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find while it is being typed; a word that makes no sense yet does not count."""
        event.stop()
        if not self._typing:
            return
        try:
            found, self._mistake = parse(event.value), ""
        except FilterMistake as mistake:
            found, self._mistake = _without_last(event.value), str(mistake)
        self.post_message(self.Typed(found))

    def leave(self) -> None:
        """Keep what was typed, if the prompt is still open."""
        if self._typing:
            self.action_keep()

    def action_keep(self) -> None:
        """Back to the cards."""
        self._mistake = ""
        self.screen.set_focus(None)  # at once: the next key is not for the prompt any more
        self._show_prompt(False)
        self.post_message(self.Left())

    def action_drop(self) -> None:
        """Show all pets again."""
        self.post_message(self.Typed(EVERYTHING))
        self.action_keep()

    def show(self, shown: int) -> None:
        """Tell how the nest is arranged, with `shown` pets to be seen."""
        told = self._told(shown)
        self.display = self._typing or bool(told)
        self.query_one("#told", Static).update(told)

    def _told(self, shown: int) -> Text:
        if self._mistake:
            return Text(self._mistake, self._style("mistake"))
        session, label, told = self._session, self._style("label"), Text()
        arrangement = session.arrangement
        if arrangement.filter.tests or self._typing:
            if not self._typing:
                told.append("/ ", label).append(arrangement.filter.text, self._style("told"))
                told.append("  ")
            told.append(f"{shown} of {count(len(session.nursery.pets), 'pet')}")
        if arrangement.order != "age" or arrangement.backwards:
            _next(told).append("order ", label).append(arrangement.order_in_words)
        if arrangement.grouping:
            _next(told).append("by ", label).append(arrangement.grouping)
        if session.marks:
            _next(told).append(f"✓ {len(session.marks)} marked", self._style("marks"))
            told.append(": the verbs are about them", label)
        return told

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"find-bar--{name}", partial=True)


def _without_last(text: str) -> Filter:
    """What is meant without the word that is still being typed."""
    words = text.split()[:-1]
    try:
        return parse(" ".join(words))
    except FilterMistake:
        return EVERYTHING


def _next(told: Text) -> Text:
    return told.append("  ·  ") if told else told

"""The table: a prompt for meals, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label, RichLog, Static

from procchi_tui.bindings import keys
from procchi_tui.completion import complete
from procchi_tui.feed_history import FeedHistory
from procchi_tui.messages import CommandsRead
from procchi_tui.session import Session
from procchi_tui.table import MOST_LINES, Line
from procchi_tui.words import names_in_words

MOST_CHOICES = 60
MOST_UNFINISHED = 3
"""Lines without an end that are shown, below the others."""


class FeedPrompt(Input):
    """The line that is typed."""


class _FromBefore(Suggester):
    """Shows how a line went on the last time, to be taken over with the right arrow."""

    def __init__(self, history: FeedHistory) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._history = history

    async def get_suggestion(self, value: str) -> str | None:
        return self._history.suggest(value)


class FeedPanel(Vertical):
    """Hidden until a pet is fed. A meal goes on when it is left, and is there again later."""

    BINDINGS: ClassVar[list[BindingType]] = keys("meal.*")
    HELP = (
        "What you type runs in the pet, in its own shell: `ps`, `hostname`, `ls / | head`. "
        "Tab completes the programs that it has, ctrl+r searches what was fed before. Its own "
        "limits hold. Leaving the table does not end a meal; ctrl+c does."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "feed-panel--asked",
        "feed-panel--good",
        "feed-panel--bad",
        "feed-panel--note",
    }

    @dataclass
    class Left(Message):
        """The prompt was closed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._pets: Sequence[str] = ()
        """Who is fed next."""
        self._commands: Sequence[str] | None = None
        """The programs that all of them have, once they are read."""
        self._completing = False
        """Whether a completion waits for them."""
        self._shown = 0
        """How many of the table's lines were shown here, or are too old to be."""
        self.display = False

    def compose(self) -> ComposeResult:
        """The output above the prompt."""
        log = RichLog(wrap=True, min_width=0, max_lines=MOST_LINES, markup=False, highlight=False)
        log.can_focus = False
        yield log
        unfinished = Static(id="unfinished", markup=False)
        unfinished.display = False
        yield unfinished
        with Horizontal():
            yield Label("", markup=False)
            yield FeedPrompt(
                placeholder="a command, such as: ps",
                compact=True,
                suggester=_FromBefore(self._session.feed_history),
            )

    def serve(self, pets: Sequence[str], line: str = "") -> None:
        """Open the prompt for the pets called so: each gets the whole meal."""
        if line:
            self._fill(line)
        if pets != self._pets:
            self._commands = None
            self._session.carer.read_commands(pets, self)
        self._pets = pets
        self.query_one(Label).update(f" feed {names_in_words(pets)} › ")
        self.display = True
        self.show()
        self.screen.set_focus(self.query_one(FeedPrompt))  # at once: the next key is for it

    # -- the prompt

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Begin the meal."""
        event.stop()
        line = event.value.strip()
        if not line:
            return
        event.input.clear()
        self._completing = False
        self._session.feed_history.add(line)
        self._session.table.feed(self._pets, line)
        self.show()

    def action_older(self) -> None:
        """Bring back the command before."""
        prompt = self.query_one(FeedPrompt)
        self._fill(self._session.feed_history.older(prompt.value))

    def action_newer(self) -> None:
        """Bring back the command after."""
        self._fill(self._session.feed_history.newer())

    def action_search(self) -> None:
        """Bring back an older command that holds what is typed."""
        self._fill(self._session.feed_history.search(self.query_one(FeedPrompt).value))

    def action_complete(self) -> None:
        """Complete the program's name; where there are several, show them."""
        self._completing = self._commands is None
        if self._commands is None:
            return
        prompt = self.query_one(FeedPrompt)
        line, cursor, choices = complete(prompt.value, prompt.cursor_position, self._commands)
        self._fill(line, cursor)
        if choices:
            more = f"  … and {len(choices) - MOST_CHOICES} more" * (len(choices) > MOST_CHOICES)
            self._note("  ".join(choices[:MOST_CHOICES]) + more)

    def on_commands_read(self, message: CommandsRead) -> None:
        """Know what there is to be completed."""
        message.stop()
        if message.pets == tuple(self._pets):
            self._commands = message.commands
            if self._completing:
                self.action_complete()

    def _fill(self, line: str, cursor: int | None = None) -> None:
        prompt = self.query_one(FeedPrompt)
        prompt.value = line
        prompt.cursor_position = len(line) if cursor is None else cursor

    def action_leave(self) -> None:
        """Close the prompt."""
        self.screen.set_focus(None)  # at once: the next key is not for it any more
        self.display = False
        self.post_message(self.Left())

    def action_stop_meal(self) -> None:
        """Interrupt the meal."""
        if not self._session.table.stop(self._pets):
            self.query_one(FeedPrompt).clear()

    # -- the output

    def show(self) -> None:
        """Show what is new, unless nobody would see it: then it is shown when the table opens."""
        if not self.display:
            return
        table = self._session.table
        new = min(table.told - self._shown, len(table.lines))
        self._shown = table.told
        if new:
            lines = list(table.lines)[-new:]
            self.query_one(RichLog).write(Text("\n").join(map(self._drawn, lines)))
        unfinished = self.query_one("#unfinished", Static)
        lines = table.unfinished()[:MOST_UNFINISHED]
        unfinished.display = bool(lines)
        unfinished.update(Text("\n").join(map(self._drawn, lines)))

    def _drawn(self, line: Line) -> Text:
        drawn = Text(line.text, self._style(line.kind) if line.kind else "")
        if line.pet and (line.together or [line.pet] != list(self._pets)):
            return Text.assemble((f"{line.pet} │ ", self._style("note")), drawn)
        return drawn

    def _note(self, text: str) -> None:
        self.query_one(RichLog).write(Text(text, self._style("note")))

    def _style(self, kind: str) -> Style:
        return self.get_component_rich_style(f"feed-panel--{kind}", partial=True)

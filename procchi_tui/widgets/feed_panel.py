"""The table: a prompt for meals, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label, RichLog

from engine import Meal
from procchi_tui.bindings import keys
from procchi_tui.meals import RunningMeal
from procchi_tui.messages import MealOutput, MealOver
from procchi_tui.session import Session
from procchi_tui.words import duration, plain

MOST_LINES = 2000
MOST_AT_ONCE = 200
"""Lines taken over from one burst of output; more than a person could read anyway."""


class FeedPrompt(Input):
    """The line that is typed."""


class FeedPanel(Vertical):
    """Hidden until a pet is fed. A meal goes on when it is left, and is there again later."""

    BINDINGS: ClassVar[list[BindingType]] = keys("meal.*")
    HELP = (
        "What you type runs in the pet, in its own shell: `ps`, `hostname`, `ls / | head`. "
        "Its own limits hold. Leaving the table does not end a meal; ctrl+c does."
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
        self._pet = ""
        self._meal: RunningMeal | None = None
        self._rest = ""
        self.display = False

    def compose(self) -> ComposeResult:
        """The output above the prompt."""
        log = RichLog(wrap=True, min_width=0, max_lines=MOST_LINES, markup=False, highlight=False)
        log.can_focus = False
        yield log
        with Horizontal():
            yield Label("", markup=False)
            yield FeedPrompt(placeholder="a command, such as: ps", compact=True)

    def serve(self, pet: str) -> None:
        """Open the prompt for the pet called `pet`."""
        self._pet = pet
        self.query_one(Label).update(f" feed {pet} › ")
        self.display = True
        self.query_one(FeedPrompt).focus()

    # -- the prompt

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Begin the meal."""
        event.stop()
        line = event.value.strip()
        if not line:
            return
        if self._meal is not None:
            self.notify(
                f"{self._meal.pet} is still eating. ctrl+c stops that meal.", severity="warning"
            )
            return
        event.input.clear()
        self._session.feed_history.add(line)
        self._write(f"{self._pet} $ {line}", "asked")
        self._rest = ""
        self._meal = RunningMeal(self._session.engine, self, self._pet, line)

    def action_older(self) -> None:
        """Bring back the command before."""
        prompt = self.query_one(FeedPrompt)
        self._fill(self._session.feed_history.older(prompt.value))

    def action_newer(self) -> None:
        """Bring back the command after."""
        self._fill(self._session.feed_history.newer())

    def _fill(self, line: str) -> None:
        prompt = self.query_one(FeedPrompt)
        prompt.value = line
        prompt.cursor_position = len(line)

    def action_leave(self) -> None:
        """Close the prompt."""
        self.display = False
        self.post_message(self.Left())

    def action_stop_meal(self) -> None:
        """Interrupt the meal."""
        if self._meal is not None:
            self._meal.stop()
        else:
            self.query_one(FeedPrompt).clear()

    # -- the output

    def on_meal_output(self, message: MealOutput) -> None:
        """Show what the meal has written."""
        message.stop()
        if self._meal is not None:
            *lines, self._rest = (self._rest + self._meal.take()).split("\n")
            self._show(lines)

    def on_meal_over(self, message: MealOver) -> None:
        """Show how it ended."""
        message.stop()
        if self._meal is not None:
            self._show((self._rest + self._meal.take()).removesuffix("\n").split("\n"))
        self._meal, self._rest = None, ""
        if message.meal is None:
            self._write(message.reason, "bad")
        else:
            self._write(*_ending(message.meal))

    def _show(self, lines: list[str]) -> None:
        if len(lines) > MOST_AT_ONCE:
            skipped = len(lines) - MOST_AT_ONCE
            self._write(f"… {skipped:,} lines not shown …", "note")
            lines = lines[-MOST_AT_ONCE:]
        text = plain("\n".join(lines))
        if text:
            self.query_one(RichLog).write(Text(text))

    def _write(self, text: str, kind: str) -> None:
        self.query_one(RichLog).write(Text(text, self._style(kind)))

    def _style(self, kind: str) -> Style:
        return self.get_component_rich_style(f"feed-panel--{kind}", partial=True)


def _ending(meal: Meal) -> tuple[str, str]:
    took = duration(meal.duration)
    if meal.oom_killed:
        return f"Killed: it ate more memory than its limit allows ({took})", "bad"
    if meal.exit_code:
        return f"Exit status {meal.exit_code} ({took})", "bad"
    return f"Eaten up: exit status 0 ({took})", "good"

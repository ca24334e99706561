"""All that is eaten in this session: meals go on whichever screen is looked at."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from signal import SIGINT, SIGKILL
from typing import NamedTuple

from textual.message_pump import MessagePump

from engine import Meal
from procchi_tui.meals import RunningMeal
from procchi_tui.messages import MealOver
from procchi_tui.nest_engine import Engine
from procchi_tui.words import duration, names_in_words, plain

MOST_LINES = 2000
MOST_AT_ONCE = 200
"""Lines taken over from one burst of output; more than a person could read anyway."""
LONGEST_LINE = 4096
"""Characters; what has no end by then is broken."""
TAIL_LINES = 20
"""Of each meal, to be looked at again later."""
MOST_TAILS = 100
_OF_ITSELF = re.compile(r"(cd|export|alias|umask|set)\b[^;&|]*")
"""Commands that change nothing but the shell that runs them."""


class Line(NamedTuple):
    """Something that was asked for, written, or learned."""

    pet: str
    """Whose it is; empty where the text says so itself."""
    text: str
    kind: str = ""
    """`asked`, `good`, `bad` or `note`; empty for what the meal wrote."""
    together: bool = False
    """Whether several ate of it."""


class Output:
    """Makes lines of what a program writes bit by bit."""

    def __init__(self) -> None:
        self.rest = ""
        """The line that it has not ended yet."""

    def take(self, text: str) -> list[str]:
        """The lines that `text` ends. Where a carriage return goes back, only the last is seen."""
        *lines, rest = (self.rest + text).split("\n")
        rest = _seen(rest) + "\r" * rest.endswith("\r")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self.rest = rest
        return [_seen(line) for line in lines]


def _seen(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


class _Sitting:
    """One pet's meal under way, and those that wait for it to be over."""

    def __init__(self, meal: RunningMeal, *, together: bool) -> None:
        self.meal = meal
        self.together = together
        self.output = Output()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.waiting: deque[str] = deque()


class Table:
    """Starts meals, whose messages come to `target`; and keeps what came of them."""

    def __init__(self, engine: Engine, target: MessagePump) -> None:
        self._engine = engine
        self._target = target
        self._sittings: dict[str, _Sitting] = {}
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        """Oldest first."""
        self.told = 0
        """How many lines there ever were."""
        self._tails: dict[tuple[str, int], tuple[str, ...]] = {}

    def feed(self, pets: Sequence[str], line: str) -> None:
        """Begin that meal in each; in one that is eating, as soon as it has eaten."""
        self._say(Line("", f"{names_in_words(pets)} $ {line}", "asked"))
        if _OF_ITSELF.fullmatch(line.strip()):
            self._say(
                Line(
                    "",
                    "That ends with this meal, a process of its own. A shell is Esc, then t.",
                    "note",
                )
            )
        together = len(pets) > 1
        for pet in pets:
            if pet in self._sittings:
                self._sittings[pet].waiting.append(line)
                self._say(Line("", f"{pet} is still eating: this comes next. ^c stops it.", "note"))
            else:
                self._begin(pet, line, together=together)

    def _begin(self, pet: str, line: str, *, together: bool) -> None:
        meal = RunningMeal(self._engine, self._target, pet, line)
        self._sittings[pet] = _Sitting(meal, together=together)

    def stop(self, pets: Sequence[str]) -> bool:
        """Interrupt what those pets eat, and forget what was to come. False: they ate nothing."""
        sittings = [self._sittings[pet] for pet in pets if pet in self._sittings]
        for sitting in sittings:
            sitting.waiting.clear()
        sent = {sitting.meal.stop() for sitting in sittings}
        if SIGINT in sent:
            self._say(Line("", "^c once more kills what does not mind SIGINT.", "note"))
        return bool(sittings)

    def unfinished(self) -> list[Line]:
        """The lines that have no end yet."""
        return [
            Line(pet, plain(sitting.output.rest), together=sitting.together)
            for pet, sitting in self._sittings.items()
            if sitting.output.rest
        ]

    def tail(self, pet: str, number: int) -> tuple[str, ...]:
        """The last lines that a meal of this session wrote, by its number."""
        sitting = self._sittings.get(pet)
        if sitting is not None and sitting.meal.number == number:
            return tuple(sitting.tail)
        return self._tails.get((pet, number), ())

    # -- what meals tell

    def take(self, pet: str) -> None:
        """The pet's meal has written something."""
        sitting = self._sittings.get(pet)
        if sitting is not None:
            self._write(pet, sitting, sitting.output.take(sitting.meal.take()))

    def over(self, message: MealOver) -> None:
        """The pet's meal has ended; begin the next one, if there is one."""
        pet = message.pet
        sitting = self._sittings.pop(pet, None)
        if sitting is None:
            return
        lines = sitting.output.take(sitting.meal.take())
        if sitting.output.rest:
            lines.append(_seen(sitting.output.rest))
        self._write(pet, sitting, lines)
        if sitting.meal.number is not None:
            self._tails[pet, sitting.meal.number] = tuple(sitting.tail)
            while len(self._tails) > MOST_TAILS:
                del self._tails[next(iter(self._tails))]
        told = (message.reason, "bad") if message.meal is None else _ending(message.meal)
        self._say(Line(pet, *told, together=sitting.together))
        if sitting.waiting:
            self._begin(pet, sitting.waiting.popleft(), together=sitting.together)
            self._sittings[pet].waiting = sitting.waiting

    def _write(self, pet: str, sitting: _Sitting, lines: list[str]) -> None:
        if len(lines) > MOST_AT_ONCE:
            skipped = len(lines) - MOST_AT_ONCE
            self._say(Line("", f"… {skipped:,} lines not shown …", "note"))
            lines = lines[-MOST_AT_ONCE:]
        for line in map(plain, lines):
            sitting.tail.append(line)
            self._say(Line(pet, line, together=sitting.together))

    def _say(self, line: Line) -> None:
        self.lines.append(line)
        self.told += 1


def _ending(meal: Meal) -> tuple[str, str]:
    took = duration(meal.duration)
    if meal.oom_killed and meal.exit_code == 128 + SIGKILL:
        return f"Killed: it ate more memory than its limit allows ({took})", "bad"
    ending = f"Exit status {meal.exit_code} ({took})"
    if meal.oom_killed:  # somebody else in the pet, who may have been of the same meal
        return f"{ending}; the OOM killer struck meanwhile", "bad"
    return (ending, "bad") if meal.exit_code else (f"Eaten up: exit status 0 ({took})", "good")

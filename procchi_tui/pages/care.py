"""How a pet was made, or one of its meals begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine import StepReport
from procchi_tui.comparison import compared
from procchi_tui.nest_engine import Engine
from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.words import count, duration


class Record(NamedTuple):
    """What a care log is of."""

    pet: str
    meal: int | None = None
    """None: its hatching."""

    @property
    def title(self) -> str:
        """In words."""
        what = "hatched" if self.meal is None else f"meal {self.meal}"
        return f"{self.pet}, {what}"

    def read(self, engine: Engine) -> list[StepReport]:
        """Its steps."""
        return engine.care_log(self.pet, meal=self.meal)


class Care(Page):
    """Each step of its hatching or of a meal, as real system calls; or two such, compared."""

    id = "care"
    title = "Care log"
    about = "How it was made or fed, call by call"
    of_ghosts = True
    folds = True

    def __init__(self, meal: int | None = None, beside: Record | None = None) -> None:
        self.meal = meal
        """Which is looked at; None: its hatching."""
        self.beside = beside
        """The one that it is held against."""

    def read(self, engine: Engine, name: str) -> list[list[StepReport]]:
        """The steps of each."""
        return [record.read(engine) for record in self._records(name)]

    def blocks(self, seen: Sequence[Sequence[StepReport]], sight: Sight) -> Iterable[Block]:
        """A block a step."""
        records = self._records(sight.pet.name)
        if empty := [
            record.title for record, steps in zip(records, seen, strict=True) if not steps
        ]:
            yield Block("care log", f"The nest has no record of this: {'; '.join(empty)}.", [])
        elif self.beside is None:
            yield from _told(records[0], seen[0])
        else:
            yield from compared((records[0].title, records[1].title), *seen)

    def _records(self, name: str) -> list[Record]:
        own = Record(name, self.meal)
        return [own] if self.beside is None else [own, self.beside]


def _told(record: Record, steps: Sequence[StepReport]) -> Iterable[Block]:
    calls = sum(len(step.calls) for step in steps)
    took = duration(sum(step.usec for step in steps) / 1e6)
    about = f"{count(len(steps), 'step')}, {count(calls, 'system call')}, {took} in all"
    yield Block(record.title, about, [])
    for number, step in enumerate(steps, 1):
        yield Block(
            f"{number}. {step.name}  {duration(step.usec / 1e6)}",
            step.why,
            [(str(call), f"{call.usec:.0f} µs") for call in step.calls],
        )

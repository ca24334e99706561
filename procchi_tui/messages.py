"""What the parts of the face tell each other, most of it from threads to the screen's loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textual.message import Message

from engine import Check, Egg, EggDetails, Meal, Offer, PastMeal, Pet, Progress
from procchi_tui.nest_engine import OpenMeal
from procchi_tui.pages.page import Page
from procchi_tui.undo import Undo


@dataclass
class NestNews(Message):
    """The watcher has news to fetch with `take()`. At most one of these is under way."""


@dataclass
class NestLost(Message):
    """The nest does not answer; the watcher keeps trying."""

    reason: str


@dataclass
class NestStatus(Message):
    """What the nest says of itself and the host."""

    kind: str
    """The kind of control groups: `v2`, `v1` or `none`."""
    enforced: tuple[str, ...]
    why: str
    """Why no more than that is enforced; empty where everything is."""
    pid: int


@dataclass
class Trouble(Message):
    """Something that was asked for failed; the text is fit to be shown."""

    reason: str


@dataclass
class Done(Message):
    """Something that was asked for is done; the text says what."""

    text: str
    undo: Undo | None = None
    """How to take it back, where that can be."""


@dataclass
class TalkReady(Message):
    """A shell runs in a pet, with a terminal for somebody to show."""

    pet: str
    meal: OpenMeal


@dataclass
class Hatched(Message):
    """A pet was born."""

    pet: Pet


@dataclass
class PullBegan(Message):
    """An egg is being pulled."""

    reference: str
    number: int
    """Which pull, counted from the start of the session."""
    name: str | None = None
    """What the egg will be called, where that was said."""


@dataclass
class PullProgress(Message):
    """How far a pull has come."""

    number: int
    progress: Progress
    rate: float | None = None
    """Bytes a second, of late."""
    left: float | None = None
    """Seconds until this stage is done."""


@dataclass
class PullCancelling(Message):
    """A pull was asked to stop."""

    number: int


@dataclass
class PullOver(Message):
    """A pull ended, well or not."""

    number: int


@dataclass
class EggsListed(Message):
    """The eggs in the store."""

    eggs: list[Egg]


@dataclass
class ShelvesRead(Message):
    """What the egg shop has."""

    eggs: list[Egg]
    offers: list[Offer]
    trouble: str = ""
    """Why the catalogue could not be read, if it could not."""


@dataclass
class EggRead(Message):
    """All that is known of one egg at home."""

    details: EggDetails


@dataclass
class EggRemoved(Message):
    """An egg was removed from the store."""

    name: str


@dataclass
class CommandsRead(Message):
    """The programs that all of those pets have."""

    pets: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass
class MealOutput(Message):
    """A meal has written something, to be fetched with `take()`."""

    pet: str


@dataclass
class MealOver(Message):
    """A meal ended: as the engine tells, or with why it never began."""

    pet: str
    meal: Meal | None
    reason: str = ""


@dataclass
class PageRead(Message):
    """What a page about a pet shows, or why it could not be read."""

    page: Page
    seen: Any
    trouble: str = ""


@dataclass
class MealsRead(Message):
    """What a pet was fed, oldest first."""

    meals: list[PastMeal]


@dataclass
class HostRead(Message):
    """What the doctor found and how the nest is, or why the nest does not say."""

    checks: tuple[Check, ...]
    nest: Mapping[str, Any]
    trouble: str = ""

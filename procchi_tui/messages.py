"""What the parts of the face tell each other, most of it from threads to the screen's loop."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from engine import Egg, Meal, Pet, Progress, StepReport
from procchi_tui.walls import Wall


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


@dataclass
class Trouble(Message):
    """Something that was asked for failed; the text is fit to be shown."""

    reason: str


@dataclass
class Done(Message):
    """Something that was asked for is done; the text says what."""

    text: str


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


@dataclass
class PullProgress(Message):
    """How far a pull has come."""

    number: int
    progress: Progress


@dataclass
class PullCancelling(Message):
    """A pull was asked to stop."""

    number: int


@dataclass
class PullOver(Message):
    """A pull ended: with its egg, or without one when it failed or was cancelled."""

    number: int
    egg: Egg | None


@dataclass
class EggsListed(Message):
    """The eggs in the store."""

    eggs: list[Egg]


@dataclass
class MealOutput(Message):
    """A meal has written something, to be fetched with `take()`."""


@dataclass
class MealOver(Message):
    """A meal ended: as the engine tells, or with why it never began."""

    meal: Meal | None
    reason: str = ""


@dataclass
class WallsRead(Message):
    """A pet's namespaces beside the host's."""

    walls: list[Wall]


@dataclass
class CareLogRead(Message):
    """How a pet was made."""

    steps: list[StepReport]


@dataclass
class LogRead(Message):
    """The end of what a pet has said."""

    text: str

"""What a page about one pet is: what it reads, and what it shows of that, in blocks of lines.

Pages are text: the X-ray screen draws them, `procchi look --xray` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from engine import Event, Pet, Readings, XRay
from procchi_tui.nest_engine import Engine
from procchi_tui.nursery import Sample
from procchi_tui.words import one_line


class Block(NamedTuple):
    """Some lines of one kind. May hold what a pet wrote as it is: see `harmless`."""

    title: str
    about: str
    """What they are and where they were read, in one phrase."""
    rows: Sequence[tuple[str, ...]]
    head: tuple[str, ...] = ()
    """What the columns hold."""


def harmless(block: Block) -> Block:
    """`block` without what could steer a terminal: whatever shows one calls this."""
    return Block(
        one_line(block.title),
        one_line(block.about),
        [tuple(map(one_line, row)) for row in block.rows],
        tuple(map(one_line, block.head)),
    )


def _nothing(number: int) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Sight:
    """What the screen knows of the pet without asking."""

    pet: Pet
    readings: Readings | None
    history: Sequence[Sample]
    events: Sequence[Event]
    """Of this pet, oldest first."""
    now: datetime
    """UTC."""
    eaten: Callable[[int], Sequence[str]] = _nothing
    """By a meal's number: the last lines that it wrote, as far as this session fed it."""


class Page:
    """One page. `read` may block: it is called off the screen's loop."""

    id: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    """What its key does, for the help."""
    of_ghosts: ClassVar[bool] = False
    """Whether there is anything to read once the pet is dead."""
    follows: ClassVar[bool] = False
    """Whether its end is what one wants to see as it grows."""
    folds: ClassVar[bool] = False
    """Whether its blocks can be closed and opened."""

    def read(self, engine: Engine, name: str) -> Any:
        """What `blocks` needs beside the sight."""
        return None

    def blocks(self, seen: Any, sight: Sight) -> Iterable[Block]:
        """What is shown, top to bottom."""
        raise NotImplementedError


class XRayPage(Page):
    """A page that shows a part of the X-ray."""

    def read(self, engine: Engine, name: str) -> XRay:
        """All of it."""
        return engine.xray(name)

    def blocks(self, seen: XRay, sight: Sight) -> Iterable[Block]:
        """A part of it."""
        return self.parts(seen)

    def parts(self, xray: XRay) -> Iterable[Block]:
        """The blocks; they need nothing but the X-ray."""
        raise NotImplementedError


def unread(xray: XRay, *fields: str) -> list[Block]:
    """What of `fields` could not be read, and why; nothing where all could."""
    rows = [(field, xray.unread[field]) for field in fields if field in xray.unread]
    return [Block("not to be seen from here", "the kernel's reason", rows)] if rows else []

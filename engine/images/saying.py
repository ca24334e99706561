"""How refusals are put into words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import NoSuchEgg, PullFailed


@contextmanager
def about(what: object) -> Iterator[None]:
    """Put `what` before each refusal that the block raises."""
    try:
        yield
    except (PullFailed, NoSuchEgg) as error:
        raise type(error)(f"{what}: {error}") from None


def printable(text: str) -> str:
    """One line that does nothing to a terminal: names and servers' words may be anybody's."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shown(value: object) -> str:
    """A stranger's value, in quotes and not too long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"

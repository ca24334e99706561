"""What a program hands to the library, looked at before it travels: types are only promises."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from engine.errors import BadRequest
from engine.limits import Limits


def command_of(given: object) -> list[str]:
    """A command's words. Raises BadRequest, for a `str` too: it is a sequence of its letters."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        words = [word for word in given if isinstance(word, str)]
        if len(words) == len(given):
            return words
    raise BadRequest(f'a command is a list of words: ["ls", "-l"], and not {reprlib.repr(given)}')


def limits_of(given: object) -> Limits:
    """A diet; the usual one for None. Raises BadRequest."""
    if given is None:
        return Limits()
    if isinstance(given, Limits):
        return given
    raise BadRequest(
        f'limits are engine.Limits(memory="50M", pids=64), and not {reprlib.repr(given)}'
    )


def signal_of(given: Any) -> int:
    """A signal's number. Raises BadRequest."""
    try:
        return int(given)
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(
            f"{reprlib.repr(given)} is no signal: give its number, like signal.SIGTERM or 15"
        ) from None

"""Reading what clients wish for: nothing of it is believed before it is checked."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import BadRequest
from engine.model import Egg

LONGEST_TEXT = 4096
"""Characters of a path (PATH_MAX), and of anything shorter."""


def words_of(command: Sequence[Any]) -> tuple[str, ...]:
    words = tuple(map(str, command))
    if any("\0" in word for word in words):
        raise BadRequest("a command cannot hold a NUL byte")
    return words


def variables_of(environment: Mapping[str, Any]) -> dict[str, str]:
    for key, value in environment.items():
        if not key or "=" in key or "\0" in key + str(value):
            raise BadRequest(f"environment variable {key[:40]!r} is not of the form NAME=VALUE")
    return {str(key): str(value) for key, value in environment.items()}


def window_of(value: Any) -> tuple[int, int]:
    """Rows and columns; (0, 0) where nobody knows. Raises BadRequest."""
    rows, columns = map(int, value or (0, 0))
    if not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
        raise BadRequest("a window has 65535 rows and columns at most")
    return rows, columns


def text_of(value: Any, what: str) -> str:
    """A word that travels into the pet. Raises BadRequest."""
    if "\0" in (text := str(value)) or len(text) > LONGEST_TEXT:
        raise BadRequest(f"{what} {text[:40]!r} cannot be used")
    return text


def signal_of(text: str) -> int:
    """The number of `TERM`, `SIGTERM`, `SIGRTMIN+3` or `15`. Raises BadRequest."""
    name, _, more = text.upper().removeprefix("SIG").partition("+")
    with contextlib.suppress(ValueError, KeyError):
        number = int(name) if name.isdecimal() else signal.Signals[f"SIG{name}"] + int(more or 0)
        if number in signal.valid_signals():
            return number
    shown = text if len(text) <= 40 else text[:40] + "…"
    raise BadRequest(f"{shown!r} is no signal: write it like TERM or 15")


class Ways(NamedTuple):
    """How a pet's command is run: what the wish says, or else its egg's own configuration."""

    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    user: str
    stop_signal: str


def ways_of(wish: Mapping[str, Any], egg: Egg) -> Ways:
    """What the egg says of itself, but for what is wished. Raises BadRequest.

    As container tools do it: a command is appended to the entrypoint, and takes the place of the
    egg's own; with another entrypoint the egg's own command means nothing.
    """
    own = egg.config
    given = wish.get("entrypoint")
    entrypoint = own.get("entrypoint") or [] if given is None else given
    usual = own.get("command") or [] if given is None else []

    def one(key: str, what: str) -> str:
        value = wish.get(key)
        return text_of(own.get(key) or "" if value is None else value, what)

    stop_signal = one("stop_signal", "stop signal")
    if stop_signal:
        signal_of(stop_signal)
    return Ways(
        command=words_of([*entrypoint, *(wish.get("command") or usual)]),
        environment=variables_of(
            {**(own.get("environment") or {}), **(wish.get("environment") or {})}
        ),
        working_directory=one("working_directory", "working directory"),
        user=one("user", "user"),
        stop_signal=stop_signal,
    )

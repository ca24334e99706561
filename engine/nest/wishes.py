"""Reading what clients wish for: nothing of it is believed before it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadRequest


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

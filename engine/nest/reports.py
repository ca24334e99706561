"""What a child that becomes a pet or a meal tells of its steps, as `steps.Reporter` tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from engine.nest.loop import Callback, Lines, Loop


class Reports:
    """Everything that was told, up to the moment at which the pipe is closed."""

    def __init__(self) -> None:
        self._before: list[Any] = []
        self._did = b""
        """The steps' reports as they came: JSON that is kept more often than read."""
        self.failure: tuple[str, int, str] | None = None
        """The step that was refused, its errno, and the kernel's word."""

    @property
    def executed(self) -> bool:
        """Whether it got as far as execve."""
        return self.failure is None and bool(self._did)

    @property
    def steps(self) -> list[Any]:
        """Reports of all steps, in the order in which they were done, the nest's first."""
        return [*self._before, *json.loads(self._did or b"[]")]

    def to_json(self) -> bytes:
        """`steps` as JSON."""
        parts = json.dumps(self._before).encode(), self._did
        return b"[" + b", ".join(part[1:-1] for part in parts if len(part) > 2) + b"]"

    def hear(
        self,
        loop: Loop,
        pipe: int,
        before: Iterable[Any],
        ended: Callback,
        child: Callable[[int], None] = lambda pid: None,
    ) -> None:
        """Read `pipe`, after the steps done `before`; calls `ended` once it is closed.

        `child` is called with the pid of a process that takes the teller's place.
        """
        self._before += before

        def line(text: bytes) -> None:
            kind, _, what = text.partition(b" ")
            if kind == b"did":
                self._did = what
            elif kind == b"child":
                child(json.loads(what))
            elif kind == b"failed":
                step, errno, said = json.loads(what)
                self.failure = (step, errno, said)

        Lines(loop, pipe, line, ended)

"""What a child that becomes a pet or a meal tells of its steps, as `steps.Reporter` tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from engine.nest.loop import Callback, Lines, Loop


class Reports:
    """Everything that was told, up to the moment at which the pipe is closed."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.failure: tuple[str, int, str] | None = None
        """The step that was refused, its errno, and the kernel's word."""

    @property
    def executed(self) -> bool:
        """Whether it got as far as execve."""
        return self.failure is None and any(step[0] == "execve" for step in self.steps)

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
        self.steps += before

        def line(text: bytes) -> None:
            message = json.loads(text)
            if "did" in message:
                self.steps += message["did"]
            elif "child" in message:
                child(message["child"])
            elif "failed" in message:
                self.failure = (message["failed"], message["errno"], message["error"])

        Lines(loop, pipe, line, ended)

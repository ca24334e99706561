"""A step: one named piece of building or entering a pet's house, and why it is done.

Steps run on two sides. The nest does what needs the host: directories, groups, the clone, the
id maps. The pet, which is our own code until execve, does the rest from inside. What each step
really did is written down, and is what `--explain` and the care log show.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from engine.model import StepReport
from engine.syswrap import SyscallError, recording

House = TypeVar("House")
Side = Literal["nest", "pet"]


class Step(NamedTuple, Generic[House]):
    """One step. `House` is what all steps of a list work on."""

    name: str
    side: Side
    syscalls: str
    """The system calls that it makes, as manual pages are cited."""
    why: str
    """One sentence."""
    execute: Callable[[House], str | None]
    """Do it. Says why in another sentence, where `why` is not what was done this time.

    Raises SyscallError (or another OSError) where the kernel refuses.
    """
    ahead: bool = False
    """Whether it can be done before anybody knows for whom: it is the same for all."""

    def describe(self) -> str:
        """The step in one line, before it runs."""
        return f"{self.name} ({self.side}: {self.syscalls}): {self.why}"

    def run(self, house: House) -> StepReport:
        """Execute it, and say what it did. Raises StepFailed."""
        start = time.perf_counter_ns()
        with recording() as calls:
            try:
                why = self.execute(house) or self.why
            except OSError as error:
                raise StepFailed(self.name, error) from error
        usec = (time.perf_counter_ns() - start) / 1000
        return StepReport(self.name, why, calls, usec)


class StepFailed(Exception):
    """A step that the kernel refused: which, and its word."""

    def __init__(self, step: str, error: OSError) -> None:
        path = f" ({error.filename})" if error.filename else ""
        text = str(error) if isinstance(error, SyscallError) else f"{error.strerror}{path}"
        super().__init__(text)
        self.step = step
        self.errno = error.errno or 0


def step(
    steps: list[Step[House]], name: str, side: Side, syscalls: str, why: str, ahead: bool = False
) -> Callable[[Callable[[House], str | None]], Callable[[House], str | None]]:
    """Append the decorated function to `steps`."""

    def add(execute: Callable[[House], str | None]) -> Callable[[House], str | None]:
        steps.append(Step(name, side, syscalls, why, execute, ahead))
        return execute

    return add


class Reporter:
    """The pet's side of the story, told through a pipe that closes itself at execve.

    It is told in one piece, at the end: a message for each step would wake the nest for each.
    """

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self._reports: list[StepReport] = []

    def did(self, report: StepReport) -> None:
        """One step is done."""
        self._reports.append(report)

    def done(self) -> None:
        """The command is about to be executed."""
        self._say("did", self._reports)

    def failed(self, error: StepFailed) -> None:
        """One step was refused; the process ends after it."""
        self._say("failed", [error.step, error.errno, str(error)])

    def child(self, pid: int) -> None:
        """The process that will execute the command, as the nest counts pids."""
        self._say("child", pid)

    def _say(self, kind: str, what: Any) -> None:
        os.write(self.pipe, f"{kind} {json.dumps(what)}\n".encode())

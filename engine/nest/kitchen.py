"""Feeding: from a client's wish to the end of the meal."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine import feeding
from engine.errors import BadRequest, ProcchiError
from engine.model import now
from engine.nest.dweller import Answer, Dweller, Refuse, exit_code, refusal
from engine.nest.keeper import Keeper
from engine.nest.loop import Lines
from engine.nest.wishes import variables_of, window_of, words_of
from engine.steps import StepFailed


def feed(
    keeper: Keeper,
    wish: Mapping[str, Any],
    descriptors: list[int],
    answer: Answer,
    refuse: Refuse,
) -> Feeding:
    """Run a command in a pet. Answers `{"pid": …}`, then how it ended. Raises ProcchiError.

    `descriptors` are the command's first three, or one socket where a terminal is wanted; they
    stay the caller's to close.
    """
    dweller = keeper.awake(str(wish["name"]))
    command = words_of(wish.get("command") or [])
    if not command:
        raise BadRequest("nothing to eat: give a command, as in `procchi feed moka -- ls`")
    if len(descriptors) != (1 if wish.get("terminal") else 3):
        raise BadRequest("a meal needs three descriptors, or one socket for a terminal")
    environment = {"HOSTNAME": dweller.record.hostname}
    environment |= variables_of(wish.get("environment") or {})
    ends = socket.socket(fileno=os.dup(descriptors[0])) if wish.get("terminal") else None
    table = feeding.Table(
        pid=dweller.record.pid,
        pidfd=dweller.pidfd,
        group=dweller.group,
        idmap=keeper.idmap,
        network=dweller.record.network,
        command=command,
        environment=environment,
        stdio=None if ends else (descriptors[0], descriptors[1], descriptors[2]),
        terminal=ends,
        window=window_of(wish.get("window")),
        own_pids=keeper.own_pids,
    )
    return Feeding(keeper, dweller, table, answer, refuse)


class Feeding:
    """One meal, from the first clone to the end."""

    def __init__(
        self,
        keeper: Keeper,
        dweller: Dweller,
        table: feeding.Table,
        answer: Answer,
        refuse: Refuse,
    ) -> None:
        self.keeper, self.dweller, self.table = keeper, dweller, table
        self.answer, self.refuse = answer, refuse
        self.started = time.monotonic()
        self.reports: list[Any] = []
        self.failure: tuple[str, int, str] | None = None
        self.pid = 0
        self.pidfd = -1
        self.status: int | None = None
        self.executed = False
        self.over: Callable[[], None] = lambda: None
        """Called after the last word."""
        keeper.read(dweller)
        self.oom_kills = dweller.oom_kills
        told, tell = os.pipe2(os.O_CLOEXEC)
        try:
            feeding.feed(table, tell)
        except StepFailed as error:
            os.close(told)
            raise ProcchiError(f"{dweller.record.name} could not be fed: {error}") from error
        finally:
            os.close(tell)
            if table.terminal:
                table.terminal.close()
        self.reports = list(table.reports)
        if table.own_pids is not None:
            self._wait_for(*table.joiner)
        else:
            os.close(table.joiner.pidfd)
            keeper.when_ended(table.joiner.pid, lambda _: None)
        Lines(keeper.loop, told, self._heard, self._executed)

    def _heard(self, line: bytes) -> None:
        message = json.loads(line)
        if "did" in message:
            self.reports += message["did"]
        elif "child" in message:
            self._wait_for(message["child"], os.pidfd_open(message["child"]))
        elif "failed" in message:
            self.failure = (message["failed"], message["errno"], message["error"])

    def _wait_for(self, pid: int, pidfd: int) -> None:
        """This child is the one that executes the command."""
        self.pid, self.pidfd = pid, pidfd
        self.keeper.loop.readable(pidfd, self._ended)

    def signal(self, number: int) -> None:
        """Send a signal to the command and its process group, as a terminal does.

        Its pid is nobody else's while we have not reaped it. One that has ended does not mind.
        """
        if self.pidfd != -1:
            with contextlib.suppress(OSError, ValueError):
                os.killpg(self.pid, number)

    def _executed(self) -> None:
        """The pipe is closed: the command runs, or nothing will."""
        self.executed = True
        record = self.dweller.record
        if self.pid == 0 or not (self.reports[1:] or self.failure):
            said = self.failure or (
                "unexpected",
                0,
                "the pet died, or its memory limit was reached",
            )
            self.refuse(refusal(f"{record.name} could not be fed", self.table.command, *said))
            return
        if not self.failure:
            record.meals += 1
            self.dweller.meals.append(
                {
                    "command": list(self.table.command),
                    "at": now().isoformat(),
                    "steps": self.reports,
                }
            )
            self.keeper.tell_of("fed", self.dweller, command=list(self.table.command))
            self.answer({"pid": self.pid})
        self._conclude()

    def _ended(self) -> None:
        self.keeper.loop.forget(self.pidfd)
        os.close(self.pidfd)
        self.pidfd = -1
        _, self.status = os.waitpid(self.pid, 0)
        self._conclude()

    def _conclude(self) -> None:
        """Answer, once the command has ended and all of the pipe is read."""
        if self.status is None or not self.executed:
            return
        if self.failure:
            name = self.dweller.record.name
            self.refuse(refusal(f"{name} could not eat that", self.table.command, *self.failure))
            return
        code = exit_code(self.status)
        if self.dweller.alive:
            self.keeper.read(self.dweller)
        detail = {
            "exit_code": code,
            "duration": time.monotonic() - self.started,
            "oom_killed": self.dweller.oom_kills > self.oom_kills,
        }
        self.keeper.tell_of("meal-over", self.dweller, command=list(self.table.command), **detail)
        self.answer(detail)
        self.over()

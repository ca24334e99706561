"""Feeding: from a client's wish to the end of the meal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine import feeding
from engine.errors import BadRequest, ProcchiError
from engine.model import now
from engine.nest import meals
from engine.nest.dweller import Answer, Dweller, Refuse, exit_code, refusal
from engine.nest.keeper import Keeper
from engine.nest.reports import Reports
from engine.nest.wishes import text_of, variables_of, window_of, words_of
from engine.steps import StepFailed
from engine.syswrap import send_signal

SIGNAL_ROUNDS = 5
"""How often it is looked for those who were begotten meanwhile; a fork bomb has no end of them."""


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
    record = dweller.record
    environment = {"HOSTNAME": record.hostname} | record.environment
    environment |= variables_of(wish.get("environment") or {})
    user, place = wish.get("user"), wish.get("working_directory")
    order = feeding.Order(
        pid=record.pid,
        network=record.network,
        command=command,
        environment=environment,
        terminal=bool(wish.get("terminal")),
        window=window_of(wish.get("window")),
        working_directory=record.working_directory
        if place is None
        else text_of(place, "working directory"),
        user=record.user if user is None else text_of(user, "user"),
        rlimits=dweller.cgroups.rlimits(record.limits),
        born_inside=keeper.lends_pids,
    )
    table = feeding.Table(
        order,
        pidfd=dweller.pidfd,
        doors=dweller.group.doors(),
        stdio=tuple(descriptors),
        idmap=keeper.idmap,
        forks=keeper.forks,
        birthplace=dweller.group.birthplace(),
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
        self.reports = Reports()
        self.pid = 0
        self.pidfd = -1
        self.status: int | None = None
        self.executed = False
        self.number = 0
        """Among the pet's meals, from 1; 0 until its command runs."""
        self.over: Callable[[], None] = lambda: None
        """Called after the last word."""
        keeper.read(dweller)
        self.oom_kills = dweller.record.oom_kills
        told, table.tell = os.pipe2(os.O_CLOEXEC)
        try:
            feeding.feed(table)
        except StepFailed as error:
            os.close(told)
            raise ProcchiError(f"{dweller.record.name} could not be fed: {error}") from error
        finally:
            os.close(table.tell)
        if table.order.born_inside:
            self._wait_for(*table.joiner)
        else:
            os.close(table.joiner.pidfd)
            keeper.loop.when_ended(table.joiner.pid, lambda _: None)
        self.reports.hear(
            keeper.loop,
            told,
            table.reports,
            self._executed,
            child=lambda pid: self._wait_for(pid, os.pidfd_open(pid)),
        )

    def _wait_for(self, pid: int, pidfd: int) -> None:
        """This child is the one that executes the command."""
        self.pid, self.pidfd = pid, pidfd
        self.keeper.loop.readable(pidfd, self._ended)

    def signal(self, number: int) -> None:
        """Send a signal to the command and all that it has started, unless it has ended.

        That is its session (setsid(2)), whose number is nobody else's while we have not reaped
        the command; a service that it left behind has one of its own. Its process group would be
        less: timeout(1), for one, leaves that.
        """
        if self.pidfd == -1 or number not in signal.valid_signals():
            return
        told = set[int]()
        for _ in range(SIGNAL_ROUNDS):
            untold = set(self.dweller.group.processes()) - told
            if not sum(send_signal(pid, number, self._has) for pid in untold):
                break
            told |= untold

    def _has(self, pid: int) -> bool:
        return os.getsid(pid) == self.pid

    def _executed(self) -> None:
        """The pipe is closed: the command runs, or nothing will."""
        self.executed = True
        if not self.reports.failure and not self.reports.executed:
            self.reports.failure = ("unexpected", 0, self._why_killed())
        if not self.reports.failure:
            self._begun()
        elif self.pid == 0:  # it came to nothing before there was somebody to wait for
            self.status = 0
        self._conclude()

    def _why_killed(self) -> str:
        """What ended it while it was still our own code."""
        if self.dweller.alive:
            self.keeper.read(self.dweller)
        if self.dweller.record.oom_kills > self.oom_kills:
            return "the pet's memory limit leaves too little to begin with"
        return "it was killed before its command began, as when the pet dies"

    def _begun(self) -> None:
        """It counts from here on: write it down, and tell everybody."""
        record, command = self.dweller.record, list(self.table.order.command)
        record.meals += 1
        self.number = record.meals
        self.dweller.eating.add(self.number)
        self.answer({"pid": self.pid, "meal": self.number})
        self.keeper.tell_of("fed", self.dweller, command=command, meal=self.number)
        self._write_down(
            lambda to: meals.begin(to, self.number, command, now().isoformat(), self.reports.steps)
        )

    def _write_down(self, write: Callable[[str], None]) -> None:
        if self.dweller.releases:
            return
        try:
            write(self.dweller.directory)
        except OSError as error:  # a full disk costs the memory of a meal, not the meal
            self.keeper.complain(f"{self.dweller.record.name}: meal {self.number}: {error}")

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
        if self.reports.failure:
            name = self.dweller.record.name
            what = f"{name} could not eat that"
            self.refuse(refusal(what, self.table.order.command, *self.reports.failure))
            return
        self.dweller.eating.discard(self.number)
        code = exit_code(self.status)
        if self.dweller.alive:
            self.keeper.read(self.dweller)
        took = time.monotonic() - self.started
        oom = self.dweller.record.oom_kills > self.oom_kills
        detail = {"exit_code": code, "duration": took, "oom_killed": oom}
        self.answer(detail)
        eaten = {"command": list(self.table.order.command), "meal": self.number}
        self.keeper.tell_of("meal-over", self.dweller, **eaten, **detail)
        self._write_down(lambda to: meals.end(to, self.number, code, took, oom))
        self.over()

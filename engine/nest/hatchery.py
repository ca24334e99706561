"""One hatching, from the wish to the answer."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine import hatching
from engine.errors import (
    CommandNotExecutable,
    CommandNotFound,
    HatchFailed,
    ProcchiError,
)
from engine.idmap import Child
from engine.nest.dweller import Answer, Dweller, Refuse
from engine.nest.loop import Lines
from engine.nest.records import start_time
from engine.steps import StepFailed

if TYPE_CHECKING:
    from engine.nest.keeper import Keeper

HATCH_SECONDS = 60.0
"""Longer than this, and something is stuck."""


class Hatching:
    """One hatching, from the wish to the answer."""

    def __init__(
        self,
        keeper: Keeper,
        dweller: Dweller,
        environment: Mapping[str, str],
        chroot_only: bool,
        answer: Answer,
        refuse: Refuse,
    ) -> None:
        self.keeper, self.dweller = keeper, dweller
        self.environment, self.chroot_only = environment, chroot_only
        self.answer, self.refuse = answer, refuse
        self.reports: list[Any] = []
        self.failure: tuple[str, int, str] | None = None

    def begin(self) -> None:
        """Run the nest's steps, and have the pet's side go on; the rest follows as it reports."""
        dweller, keeper = self.dweller, self.keeper
        record = dweller.record
        house = keeper.take_house(record.network)
        try:
            os.mkdir(dweller.directory, 0o711)  # the mapped root passes through, and lists nothing
            plan = hatching.Plan(
                name=record.name,
                directory=dweller.directory,
                layers=[keeper.store.layer_tree(layer) for layer in record.layers],
                limits=record.limits,
                hostname=record.hostname,
                command=list(record.command),
                environment=dict(self.environment),
                read_only=record.read_only,
                chroot_only=self.chroot_only,
            )
            hatching.furnish(house, plan, dweller.group)
            if house.child is None:
                hatching.lay(house)
            hatching.move_in(house, self._born)
        except (StepFailed, OSError, ProcchiError) as error:
            step = error.step if isinstance(error, StepFailed) else "record"
            self.failure = (step, getattr(error, "errno", None) or 0, str(error))
            hatching.abandon(house)
            dweller.pidfd = -1
            self._clear_away(0)
            return
        self.reports = list(house.reports)
        self.patience = keeper.loop.later(HATCH_SECONDS, self._too_late)
        Lines(keeper.loop, house.told, self._heard, self._executed)

    def _born(self, child: Child) -> None:
        """Put down that it exists before it can do anything: a nest that dies now finds it."""
        record = self.dweller.record
        record.pid = child.pid
        self.dweller.pidfd = child.pidfd
        record.start_time = start_time(child.pid) or 0
        self.dweller.group.inhabit(child.pid)
        record.save(self.dweller.directory)

    def _heard(self, line: bytes) -> None:
        message = json.loads(line)
        if "did" in message:
            self.reports += message["did"]
        elif "failed" in message:
            self.failure = (message["failed"], message["errno"], message["error"])

    def _too_late(self) -> None:
        self.failure = ("unexpected", 0, f"it took more than {HATCH_SECONDS:.0f} s")
        self.keeper.send(self.dweller, signal.SIGKILL)

    def _executed(self) -> None:
        """The pipe is closed: the pet executes its command, or it is dead."""
        self.patience.cancel()
        dweller, keeper = self.dweller, self.keeper
        told = any(report[0] == "execve" for report in self.reports)
        if self.failure or not told:
            if not self.failure:
                oom = bool(dweller.group.read().oom_kills)
                cause = "its memory limit is too small to start with" if oom else "it was killed"
                self.failure = ("unexpected", 0, cause)
            self._give_up()
            return
        record = dweller.record
        record.phase = "alive"
        record.save(dweller.directory, sync=False)  # the one before it is on the disk
        keeper.expect_death(dweller)
        keeper.tell_of("hatched", dweller, egg=record.egg)
        self.answer({"pet": keeper.describe(dweller).to_json()})
        self._write_care_log()
        keeper.lay_ahead_when_idle()

    def _write_care_log(self) -> None:
        order = {one.name: place for place, one in enumerate(hatching.STEPS)}
        steps = sorted(self.reports, key=lambda report: order[report[0]])
        try:
            with open(f"{self.dweller.directory}/care.json", "w") as file:
                json.dump(steps, file)
        except OSError as error:
            self.keeper.complain(f"{self.dweller.record.name}: no care log: {error}")

    def _give_up(self) -> None:
        """Take away everything that was made, then say why."""
        dweller = self.dweller
        self.keeper.send(dweller, signal.SIGKILL)
        pidfd, dweller.pidfd = dweller.pidfd, -1
        os.close(pidfd)
        self.keeper.when_ended(dweller.record.pid, self._clear_away)

    def _clear_away(self, _: int, attempt: int = 0) -> None:
        dweller, keeper = self.dweller, self.keeper
        try:
            gone = dweller.group.remove()
        except OSError:
            gone = True
        if not gone and attempt < 200:
            keeper.loop.later(0.005, lambda: self._clear_away(0, attempt + 1))
            return
        try:
            keeper.discard(dweller.directory, self._say_why)
        except OSError:
            self._say_why()

    def _say_why(self) -> None:
        assert self.failure
        name = self.dweller.record.name
        self.keeper.forget(self.dweller)
        step, errno, said = self.failure
        self.refuse(
            refusal(f"{name} did not hatch", self.dweller.record.command, step, errno, said)
        )


def refusal(what: str, command: Sequence[str], step: str, errno: int, said: str) -> ProcchiError:
    """The error that a failed step means to whoever asked."""
    shown = command[0] if command else "a shell"
    if step == "execve":
        if errno == 2:
            return CommandNotFound(f"{what}: its egg has no {shown!r} in the PATH")
        return CommandNotExecutable(f"{what}: {shown!r} cannot be executed ({said})")
    return HatchFailed(f"{what}: at the step {step!r}: {said}")

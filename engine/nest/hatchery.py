"""Hatching: from a client's wish to a pet that executes its command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from engine import hatching
from engine.errors import BadRequest, NameTaken, ProcchiError
from engine.idmap import Child
from engine.model import Limits, check_name, now
from engine.nest.dweller import Answer, Dweller, Refuse, refusal
from engine.nest.keeper import Keeper
from engine.nest.loop import Lines, Timer
from engine.nest.records import Record, start_time
from engine.nest.wishes import variables_of, words_of
from engine.steps import StepFailed

IDLE_SECONDS = 0.02
"""How long the nest waits before it lays a house ahead, in case more is asked of it."""
KEPT_SECONDS = 60.0
"""How long a house waits for somebody: its mount namespace keeps the host's file systems busy."""
HATCH_SECONDS = 60.0
"""Longer than this, and something is stuck."""


class Hatchery:
    """Where pets come to be. It keeps one house laid ahead for the next."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._laid: hatching.House | None = None
        self._idle: Timer | None = None
        keeper.when_empty = self._clear

    def hatch(self, wish: Mapping[str, Any], answer: Answer, refuse: Refuse) -> None:
        """Build a pet. Answers `{"pet": …}` once it executes its command. Raises ProcchiError."""
        keeper = self.keeper
        name = check_name(str(wish["name"]), "pet name")
        if (taken := keeper.pets.get(name)) is not None:
            ghost = " (a ghost)" if taken.record.phase == "ghost" else ""
            raise NameTaken(f"{name} is taken{ghost}: `procchi release {name}`, or another name")
        egg = keeper.store.egg(str(wish.get("egg") or "home"))
        hostname = check_name(str(wish.get("hostname") or name), "host name")
        if (network := str(wish.get("network") or "none")) not in {"none", "host"}:
            raise BadRequest(f"network {network[:40]!r} does not exist: choose none or host")
        environment = variables_of(wish.get("environment") or {})
        record = Record(
            name=name,
            egg=egg.name,
            layers=egg.layers,
            created_at=now(),
            command=words_of(wish.get("command") or []),
            hostname=hostname,
            limits=Limits.from_json(wish.get("limits") or {}),
            enforced=keeper.cgroups.enforced,
            network=network,
            read_only=bool(wish.get("read_only")),
            boot_id=keeper.boot,
        )
        if not keeper.pets:
            keeper.cgroups.prepare()
        group = keeper.cgroups.group(name)
        dweller = Dweller(record, f"{keeper.places.pets}/{name}", group)
        keeper.pets[name] = dweller
        chroot_only = bool(wish.get("chroot_only"))
        Hatching(self, dweller, environment, chroot_only, answer, refuse).begin()

    def take_house(self, network: str) -> hatching.House:
        """The house that was laid ahead, or a new one of which nothing stands yet."""
        house, self._laid = self._laid, None
        if house is not None and network == house.network and hatching.is_lived_in(house):
            return house
        if house is not None:
            hatching.abandon(house)
        return hatching.House(self.keeper.idmap, self.keeper.cgroups, network)

    def lay_ahead_when_idle(self) -> None:
        """Lay the next pet's house, once nothing has been hatched for a moment."""
        if self._idle:
            self._idle.cancel()
        self._idle = self.keeper.loop.later(IDLE_SECONDS, self._lay_ahead)

    def _lay_ahead(self) -> None:
        """Have the next pet's namespaces ready: they cost as much as all the rest of its house.

        Nothing in them has met another pet. On cgroup v2 a process is born into its group, whose
        name nobody can know yet.
        """
        keeper = self.keeper
        if self._laid is not None or keeper.cgroups.kind == "v2" or not keeper.pets:
            return
        house = hatching.House(keeper.idmap, keeper.cgroups, "none")
        try:
            hatching.lay(house)
            self._laid = house
            self._idle = keeper.loop.later(KEPT_SECONDS, self._clear)
        except StepFailed as error:
            keeper.complain(f"no house could be laid ahead: {error}")
            hatching.abandon(house)

    def _clear(self) -> None:
        if self._laid is not None:
            hatching.abandon(self._laid)
            self._laid = None


class Hatching:
    """One hatching, from the record to the answer."""

    def __init__(
        self,
        hatchery: Hatchery,
        dweller: Dweller,
        environment: Mapping[str, str],
        chroot_only: bool,
        answer: Answer,
        refuse: Refuse,
    ) -> None:
        self.hatchery, self.keeper, self.dweller = hatchery, hatchery.keeper, dweller
        self.environment, self.chroot_only = environment, chroot_only
        self.answer, self.refuse = answer, refuse
        self.reports: list[Any] = []
        self.failure: tuple[str, int, str] | None = None

    def begin(self) -> None:
        """Run the nest's steps, and have the pet's side go on; the rest follows as it reports."""
        dweller, keeper = self.dweller, self.keeper
        record = dweller.record
        house = self.hatchery.take_house(record.network)
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
        self.hatchery.lay_ahead_when_idle()

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

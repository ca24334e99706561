"""Hatching: from a client's wish to a pet that executes its command."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from engine import hatching
from engine.errors import BadRequest, HatchFailed, NameTaken, ProcchiError
from engine.idmap import Child
from engine.images.platforms import runs_here, this_platform
from engine.model import Limits, check_name, now
from engine.nest.diet import check_enforced
from engine.nest.dweller import Answer, Dweller, Refuse, refusal
from engine.nest.keeper import Keeper
from engine.nest.loop import Timer
from engine.nest.records import Record
from engine.nest.reports import Reports
from engine.nest.wishes import ways_of
from engine.steps import StepFailed
from engine.syswrap import start_time

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
        if not runs_here(egg.platform):
            raise HatchFailed(
                f"{name} did not hatch: {egg.name} is for {egg.platform}, and this machine runs "
                f"{this_platform()}: pull it without --platform, or install an emulator "
                "(qemu-user-static)"
            )
        hostname = check_name(str(wish.get("hostname") or name), "host name")
        if (network := str(wish.get("network") or "none")) not in {"none", "host"}:
            raise BadRequest(f"network {network[:40]!r} does not exist: choose none or host")
        ways = ways_of(wish, egg)
        limits = Limits.from_json(wish.get("limits") or {})
        if wish.get("strict_limits"):
            check_enforced(keeper, name, limits)
        record = Record(
            name=name,
            egg=egg.name,
            layers=egg.layers,
            created_at=now(),
            command=ways.command,
            hostname=hostname,
            limits=limits,
            enforced=keeper.cgroups.enforces(limits),
            network=network,
            read_only=bool(wish.get("read_only")),
            boot_id=keeper.boot,
            environment=ways.environment,
            working_directory=ways.working_directory,
            user=ways.user,
            stop_signal=ways.stop_signal,
            cgroup=keeper.cgroups.to_json(),
        )
        if not keeper.lives_in(keeper.cgroups):
            keeper.cgroups.prepare()
            keeper.ceiling.apply()
        dweller = Dweller(record, f"{keeper.places.pets}/{name}", keeper.cgroups)
        keeper.pets[name] = dweller
        chroot_only = bool(wish.get("chroot_only"))
        Hatching(self, dweller, chroot_only, answer, refuse).begin()

    def take_house(self, network: str) -> hatching.House:
        """The house that was laid ahead, or a new one of which nothing stands yet."""
        house, self._laid = self._laid, None
        if house is not None and network == house.network and hatching.is_lived_in(house):
            return house
        if house is not None:
            hatching.abandon(house)
        return self._new_house(network)

    def _new_house(self, network: str) -> hatching.House:
        keeper = self.keeper
        return hatching.House(keeper.idmap, keeper.cgroups, network, keeper.forks)

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
        house = self._new_house("none")
        try:
            hatching.lay(house)
            self._laid = house
            self._idle = keeper.loop.later(KEPT_SECONDS, self._clear)
        except (StepFailed, OSError, ProcchiError) as error:
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
        chroot_only: bool,
        answer: Answer,
        refuse: Refuse,
    ) -> None:
        self.hatchery, self.keeper, self.dweller = hatchery, hatchery.keeper, dweller
        self.chroot_only = chroot_only
        self.answer, self.refuse = answer, refuse
        self.reports = Reports()

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
                scratch=hatching.scratch(record.limits),
                hostname=record.hostname,
                command=list(record.command),
                environment=record.environment,
                read_only=record.read_only,
                chroot_only=self.chroot_only,
                working_directory=record.working_directory,
                user=record.user,
                rlimits=keeper.cgroups.rlimits(record.limits),
            )
            hatching.furnish(house, plan, record.limits, dweller.group)
            if house.child is None:
                hatching.lay(house)
            hatching.move_in(house, self._born)
        except (StepFailed, OSError, ProcchiError) as error:
            step = error.step if isinstance(error, StepFailed) else "record"
            self.reports.failure = (step, getattr(error, "errno", None) or 0, str(error))
            hatching.abandon(house)
            dweller.pidfd = -1
            self._clear_away(0)
            return
        self.patience = keeper.loop.later(HATCH_SECONDS, self._too_late)
        self.reports.hear(keeper.loop, house.told, house.reports, self._executed)

    def _born(self, child: Child) -> None:
        """Put down that it exists before it can do anything: a nest that dies now finds it."""
        record = self.dweller.record
        record.pid = child.pid
        self.dweller.pidfd = child.pidfd
        record.start_time = start_time(child.pid) or 0
        self.dweller.group.inhabit(child.pid, record.start_time)
        record.save(self.dweller.directory)

    def _too_late(self) -> None:
        self.reports.failure = ("unexpected", 0, f"it took more than {HATCH_SECONDS:.0f} s")
        self.keeper.send(self.dweller, signal.SIGKILL)

    def _executed(self) -> None:
        """The pipe is closed: the pet executes its command, or it is dead."""
        self.patience.cancel()
        dweller, keeper = self.dweller, self.keeper
        if not self.reports.executed:
            if not self.reports.failure:
                oom = bool(dweller.group.read().oom_kills)
                cause = "its memory limit is too small to start with" if oom else "it was killed"
                self.reports.failure = ("unexpected", 0, cause)
            self._give_up()
            return
        record = dweller.record
        record.phase = "alive"
        try:
            record.save(dweller.directory, sync=False)  # the one before it is on the disk
        except OSError as error:  # the next nest would take it for one that never hatched
            self.reports.failure = ("recorded", error.errno or 0, str(error))
            record.phase = "hatching"
            self._give_up()
            return
        keeper.begin_care(dweller)
        keeper.tell_of("hatched", dweller, egg=record.egg)
        self.answer({"pet": keeper.describe(dweller).to_json()})
        self._write_care_log()
        self.hatchery.lay_ahead_when_idle()

    def _write_care_log(self) -> None:
        try:
            with open(f"{self.dweller.directory}/care.json", "wb") as file:
                file.write(self.reports.to_json())
        except OSError as error:
            self.keeper.complain(f"{self.dweller.record.name}: no care log: {error}")

    def _give_up(self) -> None:
        """Take away everything that was made, then say why."""
        dweller = self.dweller
        self.keeper.send(dweller, signal.SIGKILL)
        pidfd, dweller.pidfd = dweller.pidfd, -1
        os.close(pidfd)
        self.keeper.loop.when_ended(dweller.record.pid, self._clear_away)

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
            keeper.clearing.discard(dweller.directory, self._say_why)
        except OSError:
            self._say_why()

    def _say_why(self) -> None:
        assert self.reports.failure
        name = self.dweller.record.name
        self.keeper.forget(self.dweller)
        step, errno, said = self.reports.failure
        self.refuse(
            refusal(f"{name} did not hatch", self.dweller.record.command, step, errno, said)
        )

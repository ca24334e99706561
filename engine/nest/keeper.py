"""The pets: how they come to be, eat, sleep, die and go.

Nothing here waits. What takes time is started, and goes on when the loop says that a pipe has
something to tell or a process has ended; then the one who asked is answered.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from engine import moods
from engine.cgroups import Cgroups, Group, in_place
from engine.errors import (
    BadRequest,
    NoSuchPet,
    NotAwake,
    ProcchiError,
)
from engine.forkserver import ForkServer
from engine.hatching import STEPS
from engine.idmap import IdMap
from engine.images.store import Store
from engine.model import (
    EggDetails,
    Epitaph,
    Event,
    Limits,
    Mood,
    Pet,
    Readings,
    now,
)
from engine.nest import meals
from engine.nest.alarms import Alarms
from engine.nest.ceiling import Ceiling
from engine.nest.clearing import Clearing
from engine.nest.dweller import NEVER_READ, Dweller, epitaph_of
from engine.nest.loop import Loop
from engine.nest.minding import Minder
from engine.nest.notices import Notices
from engine.nest.records import boot_id
from engine.nest.temper import Temper
from engine.places import Places
from engine.syswrap import pidfd_status, zombie_status

RESTED_SECONDS = 5.0
"""A pet that was not throttled for this long, and is again, is news."""
UNSAVED_SECONDS = 2.0
"""How soon a disk that took no record is asked again."""
REMOVAL_ATTEMPTS = 200
"""Nine seconds in all; every twentieth kills who is still in the group."""
OOM_SECONDS = 5.0
"""How soon after an OOM kill was counted a death by SIGKILL is put down to it."""


class Keeper:
    """Every pet of this nest."""

    def __init__(
        self,
        loop: Loop,
        places: Places,
        cgroups: Cgroups,
        idmap: IdMap,
        forks: ForkServer,
        tell: Callable[[Event], None],
        complain: Callable[[str], None],
    ) -> None:
        self.loop, self.places, self.cgroups, self.idmap = loop, places, cgroups, idmap
        self.forks = forks
        self.tell, self.complain = tell, complain
        self.notices = Notices(loop, complain)
        self.minder = Minder(loop, self.notices, complain)
        self.alarms = Alarms(loop, self.notices, self.notice_limits)
        self.clearing = Clearing(loop, places, idmap, complain)
        self.store = Store(places.eggs, idmap)
        self.ceiling = Ceiling(places, cgroups, complain)
        self.temper = Temper(places, complain)
        self.pets: dict[str, Dweller] = {}
        self.when_empty: Callable[[], None] = lambda: None
        """Called when the last pet is gone."""
        self.boot = boot_id()
        self.lends_pids = os.geteuid() == 0
        """Whether meals may be born into a pet's pid namespace: setns(2) asks for CAP_SYS_ADMIN."""
        for directory in (places.pets, places.trash):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    # --- looking ---

    def find(self, name: str) -> Dweller:
        """The pet or ghost `name`. Raises NoSuchPet."""
        dweller = self.pets.get(name)
        if dweller is None or dweller.record.phase == "hatching":
            shown = name if len(name) <= 40 else name[:40] + "…"
            raise NoSuchPet(f"no pet is called {shown!r}: `procchi pets --all` lists them")
        return dweller

    def awake(self, name: str) -> Dweller:
        """The pet `name`, if it can be fed. Raises NoSuchPet or NotAwake."""
        dweller = self.find(name)
        if dweller.releases:
            raise NotAwake(f"{name} is being released")
        if not dweller.alive:
            cause = dweller.record.epitaph.cause if dweller.record.epitaph else "it is dead"
            raise NotAwake(f"{name} is a ghost ({cause}): release it and hatch another")
        if dweller.record.asleep:
            raise NotAwake(f"{name} is asleep: `procchi wake {name}` first")
        return dweller

    def visible(self) -> Iterator[Dweller]:
        """Every pet and ghost that clients may know of."""
        return (d for d in self.pets.values() if d.record.phase != "hatching")

    def read(self, dweller: Dweller, glance: bool = False) -> Readings:
        """Take a reading, and judge its mood from it and those before.

        A `glance` costs less for a pet that has done nothing: see Group.glance.
        """
        readings = NEVER_READ
        if dweller.alive:
            readings = dweller.group.glance() if glance else dweller.group.read()
            seen = readings, dweller.status, dweller.diet(), self.temper.thresholds
            if seen == dweller.judged:  # by a glance at a pet in which nothing stirs
                return readings
            dweller.judged = seen
            self._notice_waking(dweller)
        record = dweller.record
        if dweller.alive:
            dweller.remember(readings)
            self._count_oom_kills(dweller, readings)
            self._notice_throttling(dweller)
            self._notice_hits(dweller, {"pids": readings.forks_refused or 0})
        elif record.epitaph and record.epitaph.last_readings:
            readings = record.epitaph.last_readings
        before = dweller.mood
        if dweller.alive:
            dweller.mood = moods.judge(
                dweller.status,
                dweller.diet(),
                dweller.cgroups.files,
                dweller.history,
                before,
                thresholds=self.temper.thresholds,
            )
        else:
            cause = record.epitaph.cause if record.epitaph else "nobody saw how"
            dweller.mood = Mood("ghost", cause)
        if dweller.mood.name != before.name and before.reason:
            self.tell_of("mood", dweller, mood=dweller.mood.name, reason=dweller.mood.reason)
        return readings

    def _count_oom_kills(self, dweller: Dweller, readings: Readings) -> None:
        kills = (readings.oom_kills or 0) - dweller.record.oom_kills
        if kills > 0:
            dweller.record.oom_kills += kills
            dweller.oom_at = readings.at
            self.save(dweller, sync=False)
            self.tell_of("oom", dweller, kills=kills)

    def _notice_waking(self, dweller: Dweller) -> None:
        """Its group is a directory that its keeper can write to, without asking us."""
        asleep = dweller.record.asleep and not dweller.releases
        if asleep and dweller.group.frozen() is False:
            dweller.record.asleep = False
            self.save(dweller, sync=False)
            self.tell_of("awake", dweller)

    def _notice_throttling(self, dweller: Dweller) -> None:
        if len(dweller.history) < 2:
            return
        then, now = dweller.history[-2], dweller.history[-1]
        times = (now.throttled or 0) - (then.throttled or 0)
        if times <= 0:
            return
        if now.at - dweller.throttled_at > RESTED_SECONDS:
            self.tell_of("throttled", dweller, periods=times)
        dweller.throttled_at = now.at

    def notice_limits(self, dweller: Dweller) -> None:
        """Tell of the limits that it has run into since it was last looked at, and how it is."""
        self._notice_hits(dweller, dweller.group.hits())
        self.read(dweller)

    def _notice_hits(self, dweller: Dweller, hits: Mapping[str, int]) -> None:
        for limit, count in hits.items():
            if (times := count - dweller.hits.get(limit, 0)) > 0:
                dweller.hits[limit] = count
                self.tell_of("limit", dweller, limit=limit, times=times)

    def describe(self, dweller: Dweller, readings: Readings | None = None) -> Pet:
        """The pet as clients see it, with `readings` or a fresh one."""
        readings = self.read(dweller) if readings is None else readings
        record = dweller.record
        return Pet(
            name=record.name,
            pid=record.pid if dweller.alive else None,
            status=dweller.status,
            egg=record.egg,
            created_at=record.created_at,
            mood=dweller.mood.name,
            reason=dweller.mood.reason,
            stage=moods.stage(readings.cpu_usec, record.meals),
            limits=record.limits,
            enforced=record.enforced,
            readings=None if readings == NEVER_READ else readings,
            command=record.command,
            hostname=record.hostname,
            network=record.network,
            read_only=record.read_only,
            meals=record.meals,
            epitaph=record.epitaph,
            environment=record.environment,
            working_directory=record.working_directory,
            user=record.user,
            stop_signal=record.stop_signal,
            in_place=in_place(dweller.cgroups.rlimits(record.limits)),
        )

    def facts(self, dweller: Dweller) -> tuple[Any, ...]:
        """What can change of a pet besides its readings and the reason of its mood."""
        record = dweller.record
        mood = dweller.mood.name
        return (record.phase, record.asleep, record.meals, record.limits, record.pid, mood)

    def grouped(self) -> list[tuple[Group, Limits]]:
        """The groups of all pets that live under the ceiling, and their limits."""
        ours = (d for d in self.pets.values() if d.alive and d.cgroups is self.cgroups)
        return [(d.group, d.record.limits) for d in ours]

    def lives_in(self, cgroups: Cgroups) -> bool:
        """Whether any pet or ghost has its group there."""
        return any(dweller.cgroups is cgroups for dweller in self.pets.values())

    def layers_in_use(self) -> set[str]:
        """Layers that a pet or ghost stands on."""
        return {layer for dweller in self.pets.values() for layer in dweller.record.layers}

    def tell_of(self, kind: str, dweller: Dweller, **detail: Any) -> None:
        """Tell whoever watches what has happened to a pet."""
        self.tell(Event(kind, dweller.record.name, now(), detail))

    def save(self, dweller: Dweller, sync: bool = True) -> None:
        """Write its record; a disk that refuses is asked again until it takes it."""
        try:
            dweller.record.save(dweller.directory, sync)
        except OSError as error:
            if not dweller.unsaved:
                self.complain(f"{dweller.record.name}: its record is not written yet: {error}")
                dweller.unsaved = True
                self.loop.later(UNSAVED_SECONDS, lambda: self._save_at_last(dweller))
        else:
            dweller.unsaved = False

    def _save_at_last(self, dweller: Dweller) -> None:
        if not dweller.unsaved or self.pets.get(dweller.record.name) is not dweller:
            return
        try:
            dweller.record.save(dweller.directory)
            dweller.unsaved = False
        except OSError:
            self.loop.later(UNSAVED_SECONDS, lambda: self._save_at_last(dweller))

    def care(self, name: str, meal: int | None = None) -> list[Any]:
        """The steps of a pet's hatching, or of one of its latest meals. Raises ProcchiError."""
        dweller = self.find(name)
        if meal is not None:
            if (eaten := meals.steps(dweller.directory, meal)) is None:
                raise BadRequest(
                    f"{name}'s meal {meal} is not known: its last {meals.KEPT} are kept, and "
                    f"`procchi meals {name}` lists them"
                )
            return eaten
        try:
            with open(f"{dweller.directory}/care.json") as file:
                steps: list[Any] = json.load(file)
        except (OSError, ValueError) as error:
            raise ProcchiError(f"{name} has no care log that can be read: {error}") from error
        order = {one.name: place for place, one in enumerate(STEPS)}  # the pet's side told last
        return sorted(steps, key=lambda report: order.get(report[0], len(order)))

    def lives_on(self, egg: str) -> list[str]:
        """Pets and ghosts that hatched from the egg called `egg`."""
        return sorted(d.record.name for d in self.pets.values() if d.record.egg == egg)

    def describe_egg(self, name: str) -> EggDetails:
        """All that is known of an egg. Raises NoSuchEgg."""
        egg = self.store.egg(name)
        layers = [layer for digest in egg.layers if (layer := self.store.layer(digest))]
        return EggDetails(
            egg,
            parts=tuple((str(digest), int(size)) for one in layers for digest, size in one.parts),
            entries=sum(layer.entries for layer in layers),
            pets=tuple(self.lives_on(name)),
        )

    def remove_egg(self, name: str, done: Callable[[], None]) -> None:
        """Remove an egg from the store, and call `done` when nothing is left of it.

        Raises NoSuchEgg, or ProcchiError while a pet needs it.
        """
        if living := self.lives_on(name):
            ghosts = [one for one in living if not self.pets[one].alive]
            shown = [f"{one} (a ghost)" if one in ghosts else one for one in living]
            raise ProcchiError(f"{', '.join(shown)} hatched from {name}: release them first")
        self.store.remove(name, in_use=self.layers_in_use())
        self.clearing.in_a_child(self.store.clean, f"the egg {name}", done)

    # --- talking to it ---

    def write(self, name: str, text: bytes) -> None:
        """Put `text` into a pet's mouth, the FIFO that its PID 1 reads. Raises ProcchiError."""
        dweller = self.awake(name)
        try:
            mouth = os.open(
                f"{dweller.directory}/mouth", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
            try:
                written = os.write(mouth, text)
            finally:
                os.close(mouth)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise NotAwake(f"{name} does not read from its mouth ({error.strerror})") from error
        if written < len(text):
            raise NotAwake(f"{name}'s mouth is full ({written} of {len(text)} bytes went in)")

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a pet's PID 1. Raises ProcchiError."""
        dweller = self.awake(name)
        try:
            signal.pidfd_send_signal(dweller.pidfd, number)
        except ValueError as error:
            raise BadRequest(f"{number} is no signal: `kill -l` lists them") from error
        except OSError as error:
            raise BadRequest(f"signal {number} could not be sent: {error.strerror}") from error
        if number == signal.SIGKILL:  # it dies of this, not of an OOM kill that was another's
            dweller.oom_at = -math.inf

    # --- sleeping ---

    def freeze(self, name: str, frozen: bool) -> Dweller:
        """Put a pet to sleep, or wake it. Doing so twice is fine. Raises ProcchiError."""
        dweller = self.find(name)
        if not dweller.alive or dweller.releases:
            raise NotAwake(f"{name} is a ghost: there is nothing left to {_verb(frozen)}")
        try:
            dweller.group.freeze(frozen)
        except OSError as error:
            raise ProcchiError(f"{name} could not be {_verb(frozen)}: {error}") from error
        if dweller.record.asleep != frozen:
            dweller.record.asleep = frozen
            self.save(dweller)
            self.tell_of("asleep" if frozen else "awake", dweller)
        return dweller

    # --- dying ---

    def begin_care(self, dweller: Dweller) -> None:
        """It lives: watch for its limits and the end of its PID 1, and look after its log."""
        self.loop.readable(dweller.pidfd, lambda: self._died(dweller))
        self.alarms.set(dweller)
        self.minder.mind(dweller)

    def _died(self, dweller: Dweller) -> None:
        self.loop.forget(dweller.pidfd)
        self.alarms.unset(dweller.record.name)
        if dweller.ours:
            _, status = os.waitpid(dweller.record.pid, 0)
        else:
            status = self._status_of(dweller)
        os.close(dweller.pidfd)
        dweller.pidfd = -1
        last = dweller.group.read()
        self._count_oom_kills(dweller, last)
        if last[1:] == NEVER_READ[1:] and dweller.history:  # without a group all went with PID 1
            last = dweller.history[-1]
        released = bool(dweller.releases)
        killed = status != -1 and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        oom = killed and not released and time.monotonic() - dweller.oom_at < OOM_SECONDS
        self.bury(dweller, epitaph_of(status, oom, last, released))
        self.take_group_away(dweller)

    def _status_of(self, dweller: Dweller) -> int:
        """The wait status of one that was adopted, whom another reaps; -1 where nobody tells."""
        status = zombie_status(dweller.record.pid, dweller.record.start_time)
        if status is None:  # it has been reaped: a kernel that is new enough tells others now
            status = pidfd_status(dweller.pidfd)
        return -1 if status is None else status

    def bury(self, dweller: Dweller, epitaph: Epitaph) -> None:
        """Make it a ghost."""
        record = dweller.record
        self.minder.trim(dweller)
        epitaph = replace(epitaph, last_words=self.minder.last_words(dweller))
        record.phase, record.asleep, record.epitaph = "ghost", False, epitaph
        dweller.history.clear()
        dweller.mood = Mood("ghost", epitaph.cause)
        self.save(dweller)
        self.tell_of("died", dweller, cause=epitaph.cause, exit_code=epitaph.exit_code)

    def take_group_away(self, dweller: Dweller) -> None:
        """Remove its group, as soon as the last process has left it; then it is `gone`."""
        if not dweller.leaving:
            dweller.leaving = True
            self._take_group_away(dweller, 0)

    def _take_group_away(self, dweller: Dweller, attempt: int) -> None:
        try:
            gone = dweller.group.remove()
            if not gone and attempt and attempt % 20 == 0:
                dweller.group.kill()
        except OSError as error:
            self.complain(f"{dweller.record.name}: its group could not be removed: {error}")
            gone = True
        if not gone and attempt < REMOVAL_ATTEMPTS:
            again = partial(self._take_group_away, dweller, attempt + 1)
            self.loop.later(0.002 if attempt < 20 else 0.05, again)
            return
        if not gone:
            self.complain(f"{dweller.record.name}: its group does not become empty, and stays")
        dweller.leaving = False
        dweller.gone()

    # --- going ---

    def send(self, dweller: Dweller, number: int) -> None:
        """Send a signal to its PID 1, which may be dead already."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(dweller.pidfd, number)

    def forget(self, dweller: Dweller) -> None:
        """Its name is free again; after the last one not even an empty group is left."""
        if self.pets.get(dweller.record.name) is dweller:  # and not another of that name
            del self.pets[dweller.record.name]
        if not self.lives_in(dweller.cgroups):
            dweller.cgroups.remove()
        if not self.pets:
            self.when_empty()


def _verb(frozen: bool) -> str:
    return "put to sleep" if frozen else "woken"

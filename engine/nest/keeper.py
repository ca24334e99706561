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
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine import confined, feeding, hatching, moods
from engine.cgroups import Cgroups, Group
from engine.errors import (
    BadRequest,
    CommandNotExecutable,
    CommandNotFound,
    HatchFailed,
    NameTaken,
    NoSuchPet,
    NotAwake,
    ProcchiError,
)
from engine.idmap import Child, IdMap
from engine.images.removal import remove_contents
from engine.images.store import Store
from engine.model import (
    Epitaph,
    Event,
    Limits,
    Mood,
    Pet,
    Readings,
    Status,
    check_name,
    format_size,
    now,
)
from engine.nest.loop import Lines, Loop
from engine.nest.records import Record, boot_id, start_time, take_hold
from engine.places import Places
from engine.steps import StepFailed
from engine.syswrap import pidfd_status

HISTORY = 64
"""Readings kept of each pet: a moods' window at the fastest rate."""
MEALS_KEPT = 20
"""Care logs of meals kept of each pet."""
GRACE_SECONDS = 3.0
"""How long a PID 1 that handles SIGTERM may take to end, before SIGKILL."""
HATCH_SECONDS = 20.0
OOM_SECONDS = 5.0
"""How soon after an OOM kill was counted a death by SIGKILL is put down to it."""
LOG_LIMIT = 1 << 20
"""Bytes. Past it the older half of a pet's log is dropped."""
NEVER_READ = Readings(0.0)
NOT_YET = Mood("happy", "")

Answer = Callable[[dict[str, Any]], None]
Refuse = Callable[[ProcchiError], None]


@dataclass(slots=True)
class Dweller:
    """A pet as the nest holds it."""

    record: Record
    directory: str
    group: Group
    pidfd: int = -1
    ours: bool = True
    """Whether it is this nest's child: an adopted pet's status belongs to somebody else."""
    mood: Mood = NOT_YET
    history: deque[Readings] = field(default_factory=lambda: deque(maxlen=HISTORY))
    oom_kills: int = 0
    """How many are known, and so are not news."""
    oom_at: float = -math.inf
    """When the latest became known (CLOCK_MONOTONIC): who is counted may take a while to die."""
    meals: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MEALS_KEPT))
    releases: list[tuple[Answer, Refuse]] = field(default_factory=list)
    """Who waits for it to be gone; not empty once it is being released."""

    @property
    def alive(self) -> bool:
        """Whether it has a PID 1 that runs its command."""
        return self.record.phase == "alive"

    @property
    def status(self) -> Status:
        """As clients see it."""
        if not self.alive:
            return "ghost"
        return "asleep" if self.record.asleep else "alive"


class Keeper:
    """Every pet of this nest."""

    def __init__(
        self,
        loop: Loop,
        places: Places,
        cgroups: Cgroups,
        idmap: IdMap,
        tell: Callable[[Event], None],
        complain: Callable[[str], None],
    ) -> None:
        self.loop, self.places, self.cgroups, self.idmap = loop, places, cgroups, idmap
        self.tell, self.complain = tell, complain
        self.store = Store(places.eggs, idmap)
        self.pets: dict[str, Dweller] = {}
        self.boot = boot_id()
        self.own_pids = None
        if os.geteuid() == 0:
            self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
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

    def read(self, dweller: Dweller) -> Readings:
        """Take a reading, and judge its mood from it and those before."""
        readings = dweller.group.read() if dweller.alive else NEVER_READ
        record = dweller.record
        if dweller.alive:
            dweller.history.append(readings)
            self._count_oom_kills(dweller, readings)
        elif record.epitaph and record.epitaph.last_readings:
            readings = record.epitaph.last_readings
        before = dweller.mood
        if dweller.alive:
            limits = Limits(
                **{key: getattr(record.limits, key) for key in record.enforced},
                **{key: None for key in ("memory", "cpu", "pids") if key not in record.enforced},
            )
            dweller.mood = moods.judge(
                dweller.status, limits, self.cgroups.files, dweller.history, before
            )
        else:
            cause = record.epitaph.cause if record.epitaph else "nobody saw how"
            dweller.mood = Mood("ghost", cause)
        if dweller.mood.name != before.name and before.reason:
            self._tell("mood", dweller, mood=dweller.mood.name, reason=dweller.mood.reason)
        return readings

    def _count_oom_kills(self, dweller: Dweller, readings: Readings) -> None:
        kills = (readings.oom_kills or 0) - dweller.oom_kills
        if kills > 0:
            dweller.oom_kills += kills
            dweller.oom_at = readings.at
            self._tell("oom", dweller, kills=kills)

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
        )

    def facts(self, dweller: Dweller) -> tuple[Any, ...]:
        """What can change of a pet besides its readings."""
        record = dweller.record
        return (record.phase, record.asleep, record.meals, record.limits, record.pid, dweller.mood)

    def layers_in_use(self) -> set[str]:
        """Layers that a pet or ghost stands on."""
        return {layer for dweller in self.pets.values() for layer in dweller.record.layers}

    def _tell(self, kind: str, dweller: Dweller, **detail: Any) -> None:
        self.tell(Event(kind, dweller.record.name, now(), detail))

    def _save(self, dweller: Dweller) -> None:
        """Write its record; a disk that refuses costs the record, not the pet."""
        try:
            dweller.record.save(dweller.directory)
        except OSError as error:
            self.complain(f"{dweller.record.name}: its record could not be written: {error}")

    def care(self, name: str) -> dict[str, Any]:
        """The steps of a pet's hatching, and of its latest meals. Raises ProcchiError."""
        dweller = self.find(name)
        try:
            with open(f"{dweller.directory}/care.json") as file:
                steps = json.load(file)
        except (OSError, ValueError) as error:
            raise ProcchiError(f"{name} has no care log that can be read: {error}") from error
        return {"hatch": steps, "meals": list(dweller.meals)}

    def remove_egg(self, name: str) -> None:
        """Remove an egg from the store. Raises NoSuchEgg, or ProcchiError while a pet needs it."""
        living = sorted(d.record.name for d in self.pets.values() if d.record.egg == name)
        if living:
            raise ProcchiError(f"{', '.join(living)} hatched from {name}: release them first")
        self.store.remove(name, in_use=self.layers_in_use())

    # --- hatching ---

    def hatch(self, wish: Mapping[str, Any], answer: Answer, refuse: Refuse) -> None:
        """Build a pet. Answers `{"pet": …}` once it executes its command. Raises ProcchiError."""
        name = check_name(str(wish["name"]), "pet name")
        if (taken := self.pets.get(name)) is not None:
            ghost = " (a ghost)" if taken.record.phase == "ghost" else ""
            raise NameTaken(f"{name} is taken{ghost}: `procchi release {name}`, or another name")
        egg = self.store.egg(str(wish.get("egg") or "home"))
        hostname = check_name(str(wish.get("hostname") or name), "host name")
        if (network := str(wish.get("network") or "none")) not in {"none", "host"}:
            raise BadRequest(f"network {network[:40]!r} does not exist: choose none or host")
        record = Record(
            name=name,
            egg=egg.name,
            layers=egg.layers,
            created_at=now(),
            command=_words(wish.get("command") or []),
            hostname=hostname,
            limits=Limits.from_json(wish.get("limits") or {}),
            enforced=self.cgroups.enforced,
            network=network,
            read_only=bool(wish.get("read_only")),
            boot_id=self.boot,
        )
        directory = f"{self.places.pets}/{name}"
        if not self.pets:
            self.cgroups.prepare()
        dweller = Dweller(record, directory, self.cgroups.group(name))
        environment = _variables(wish.get("environment") or {})
        self.pets[name] = dweller
        _Hatching(self, dweller, environment, bool(wish.get("chroot_only")), answer, refuse).begin()

    # --- feeding ---

    def feed(
        self, wish: Mapping[str, Any], descriptors: list[int], answer: Answer, refuse: Refuse
    ) -> _Feeding:
        """Run a command in a pet. Answers `{"pid": …}`, then how it ended. Raises ProcchiError.

        `descriptors` are the command's first three, or one socket where a terminal is wanted.
        They are closed here.
        """
        dweller = self.awake(str(wish["name"]))
        command = _words(wish.get("command") or [])
        if not command:
            raise BadRequest("nothing to eat: give a command, as in `procchi feed moka -- ls`")
        if len(descriptors) != (1 if wish.get("terminal") else 3):
            raise BadRequest("a meal needs three descriptors, or one socket for a terminal")
        environment = {"HOSTNAME": dweller.record.hostname}
        environment |= _variables(wish.get("environment") or {})
        ends = socket.socket(fileno=os.dup(descriptors[0])) if wish.get("terminal") else None
        table = feeding.Table(
            pid=dweller.record.pid,
            pidfd=dweller.pidfd,
            group=dweller.group,
            idmap=self.idmap,
            network=dweller.record.network,
            command=command,
            environment=environment,
            stdio=None if ends else (descriptors[0], descriptors[1], descriptors[2]),
            terminal=ends,
            own_pids=self.own_pids,
        )
        return _Feeding(self, dweller, table, answer, refuse)

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
            self._save(dweller)
            self._tell("asleep" if frozen else "awake", dweller)
        return dweller

    # --- dying ---

    def expect_death(self, dweller: Dweller) -> None:
        """Watch for the end of its PID 1."""
        self.loop.readable(dweller.pidfd, lambda: self._died(dweller))

    def _died(self, dweller: Dweller) -> None:
        self.loop.forget(dweller.pidfd)
        if dweller.ours:
            _, status = os.waitpid(dweller.record.pid, 0)
        else:
            known = pidfd_status(dweller.pidfd)
            status = -1 if known is None else known
        os.close(dweller.pidfd)
        dweller.pidfd = -1
        last = dweller.group.read()
        self._count_oom_kills(dweller, last)
        killed = status != -1 and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        oom = killed and last.at - dweller.oom_at < OOM_SECONDS
        self.bury(dweller, _epitaph(status, oom, last, released=bool(dweller.releases)))
        self._take_group_away(dweller)

    def bury(self, dweller: Dweller, epitaph: Epitaph) -> None:
        """Make it a ghost."""
        record = dweller.record
        record.phase, record.asleep, record.epitaph = "ghost", False, epitaph
        dweller.history.clear()
        dweller.mood = Mood("ghost", epitaph.cause)
        self._save(dweller)
        self._tell("died", dweller, cause=epitaph.cause, exit_code=epitaph.exit_code)

    def _take_group_away(self, dweller: Dweller, attempt: int = 0) -> None:
        """Remove its group, as soon as the last process has left it; then go on releasing."""
        try:
            gone = dweller.group.remove()
        except OSError as error:
            self.complain(f"{dweller.record.name}: its group could not be removed: {error}")
            gone = True
        if gone or attempt > 200:
            if dweller.releases:
                self._remove(dweller)
            return
        if attempt and attempt % 20 == 0:
            dweller.group.kill()
        self.loop.later(
            0.002 if attempt < 20 else 0.05, lambda: self._take_group_away(dweller, attempt + 1)
        )

    # --- releasing ---

    def release(self, name: str, answer: Answer, refuse: Refuse) -> None:
        """End a pet and remove all that was its. Answers `{}` once it is gone. Raises NoSuchPet."""
        dweller = self.find(name)
        first = not dweller.releases
        dweller.releases.append((answer, refuse))
        if not first:
            return
        if not dweller.alive:
            self._take_group_away(dweller)
            return
        if _handles(dweller.record.pid, signal.SIGTERM) and not dweller.record.asleep:
            self._send(dweller, signal.SIGTERM)
            self.loop.later(GRACE_SECONDS, lambda: self._kill(dweller))
        else:  # a PID 1 that does not handle SIGTERM never sees it: pid_namespaces(7)
            self._kill(dweller)

    def _kill(self, dweller: Dweller) -> None:
        if dweller.pidfd == -1:
            return
        self._send(dweller, signal.SIGKILL)
        if dweller.record.asleep:
            with contextlib.suppress(OSError):
                dweller.group.freeze(False)  # a v1 freezer holds even the dying

    def _send(self, dweller: Dweller, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(dweller.pidfd, number)

    def _remove(self, dweller: Dweller) -> None:
        """Move its directory out of the way, and have it deleted by a process of its own."""
        name = dweller.record.name
        try:
            self.discard(dweller.directory, lambda: self._released(dweller))
        except OSError as error:
            waiting, dweller.releases = dweller.releases, []
            for _, refuse in waiting:
                refuse(ProcchiError(f"{name}'s directory could not be removed: {error}"))

    def _released(self, dweller: Dweller) -> None:
        self.forget(dweller)
        self._tell("released", dweller)
        for answer, _ in dweller.releases:
            answer({})

    def forget(self, dweller: Dweller) -> None:
        """Its name is free again; after the last one not even an empty group is left."""
        del self.pets[dweller.record.name]
        if not self.pets:
            self.cgroups.remove()

    def discard(self, directory: str, done: Callable[[], None]) -> None:
        """Remove a pet's directory; calls `done` when nothing is left. Raises OSError.

        What a pet wrote belongs to its ids, and may be a tree of any depth: a confined process
        with those ids removes it, while the nest goes on.
        """
        if not os.path.lexists(directory):
            done()
            return
        grave = f"{self.places.trash}/{os.urandom(16).hex()}"
        os.rename(directory, grave)
        self._empty(grave, done)

    def _empty(self, grave: str, done: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                remove_tree(grave, self.idmap)
                code = 0
            except BaseException as error:
                self.complain(f"{grave} could not be removed: {error}")
            finally:
                os._exit(code)
        self.when_ended(pid, lambda _: done())

    def when_ended(self, pid: int, done: Callable[[int], None]) -> None:
        """Call `done` with the wait status of the child `pid`, when it has ended."""
        pidfd = os.pidfd_open(pid)

        def ended() -> None:
            self.loop.forget(pidfd)
            os.close(pidfd)
            _, status = os.waitpid(pid, 0)
            done(status)

        self.loop.readable(pidfd, ended)

    # --- coming back ---

    def come_home(self) -> None:
        """After a start: adopt the pets that live, bury those that died, clear what was left."""
        with os.scandir(self.places.pets) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            directory = f"{self.places.pets}/{name}"
            try:
                record = Record.load(directory)
            except ProcchiError as error:
                self._set_aside(name, directory, error)
                continue
            self._find_again(Dweller(record, directory, self.cgroups.group(name)))
        for name in self.cgroups.names():
            if name not in self.pets:  # its pet never got as far as a record
                stray = Dweller(_nobody(name), "", self.cgroups.group(name))
                stray.group.kill()
                self._take_group_away(stray)
        with os.scandir(self.places.trash) as entries:
            for entry in entries:
                self._empty(entry.path, lambda: None)

    def _find_again(self, dweller: Dweller) -> None:
        record = dweller.record
        dweller.group.inhabit(record.pid)
        pidfd = None
        if record.boot_id == self.boot and record.phase != "ghost":
            pidfd = take_hold(record.pid, record.start_time)
        if record.phase == "hatching":  # the nest died over it: nobody was told that it lives
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
            self._take_group_away(dweller)
            self.discard(dweller.directory, lambda: None)
            return
        self.pets[record.name] = dweller
        if record.phase == "ghost":
            self._take_group_away(dweller)
            return
        if pidfd is not None:
            dweller.pidfd, dweller.ours = pidfd, False
            dweller.oom_kills = dweller.group.read().oom_kills or 0
            self.expect_death(dweller)
            self._tell("adopted", dweller)
            return
        last = dweller.group.read()
        if record.boot_id != self.boot:
            cause = "the host was restarted"
        else:
            cause = "died while no nest was there to see how"
        oom = bool(last.oom_kills)
        self.bury(dweller, Epitaph(cause, None, None, oom, last if last.memory else None))
        self._take_group_away(dweller)

    def _set_aside(self, name: str, directory: str, error: ProcchiError) -> None:
        """Keep a directory whose record cannot be read, where no pet will be looked for."""
        self.complain(f"{error}: set aside in {self.places.data}/broken")
        os.makedirs(f"{self.places.data}/broken", mode=0o700, exist_ok=True)
        os.rename(directory, f"{self.places.data}/broken/{name}.{os.urandom(4).hex()}")

    # --- keeping house ---

    def trim_logs(self) -> None:
        """Drop the older half of logs that have grown past their limit.

        The pet writes at the end whatever the size (O_APPEND), so the file can be cut under it.
        """
        for dweller in self.pets.values():
            path = f"{dweller.directory}/log"
            try:
                if not dweller.alive or os.stat(path).st_size <= LOG_LIMIT:
                    continue
                with open(path, "r+b", buffering=0) as log:
                    log.seek(-LOG_LIMIT // 2, os.SEEK_END)
                    tail = log.read(LOG_LIMIT // 2)
                    log.truncate(0)
                    log.seek(0)
                    log.write(tail[tail.find(b"\n") + 1 :])
            except OSError as error:
                self.complain(f"{path} could not be cut: {error}")


class _Hatching:
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
        dweller, keeper = self.dweller, self.keeper
        opened: list[int] = []
        try:
            os.mkdir(dweller.directory, 0o711)  # the mapped root passes through, and lists nothing
            record = dweller.record
            house = hatching.House(
                directory=dweller.directory,
                layers=[keeper.store.layer_tree(layer) for layer in record.layers],
                idmap=keeper.idmap,
                group=dweller.group,
                limits=record.limits,
                hostname=record.hostname,
                command=record.command,
                environment=self.environment,
                network=record.network,
                read_only=record.read_only,
                chroot_only=self.chroot_only,
            )
            told, tell = os.pipe2(os.O_CLOEXEC)
            opened.append(tell)
            try:
                hatching.hatch(house, tell, self._born)
            except BaseException:
                os.close(told)
                raise
            self.reports = list(house.reports)
        except StepFailed as error:
            self.failure = (error.step, error.errno, str(error))
            self._give_up()
            return
        except (OSError, ProcchiError) as error:
            self.failure = ("record", 0, str(error))
            self._give_up()
            return
        finally:
            for fd in opened:
                os.close(fd)
        self.patience = keeper.loop.later(HATCH_SECONDS, self._too_late)
        Lines(keeper.loop, told, self._heard, self._executed)

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
        self.keeper._send(self.dweller, signal.SIGKILL)

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
        keeper._tell("hatched", dweller, egg=record.egg)
        self.answer({"pet": keeper.describe(dweller).to_json()})
        self._write_care_log()

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
        if dweller.pidfd == -1:
            self._clear_away(0)
            return
        self.keeper._send(dweller, signal.SIGKILL)
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
            _refusal(f"{name} did not hatch", self.dweller.record.command, step, errno, said)
        )


class _Feeding:
    """One meal, from the wish to its end."""

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
        """Send a signal to the command; one that has ended does not mind."""
        if self.pidfd != -1:
            with contextlib.suppress(OSError, ValueError):
                signal.pidfd_send_signal(self.pidfd, number)

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
            self.refuse(_refusal(f"{record.name} could not be fed", self.table.command, *said))
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
            self.keeper._tell("fed", self.dweller, command=list(self.table.command))
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
            self.refuse(_refusal(f"{name} could not eat that", self.table.command, *self.failure))
            return
        code = _exit_code(self.status)
        if self.dweller.alive:
            self.keeper.read(self.dweller)
        detail = {
            "exit_code": code,
            "duration": time.monotonic() - self.started,
            "oom_killed": self.dweller.oom_kills > self.oom_kills,
        }
        self.keeper._tell("meal-over", self.dweller, command=list(self.table.command), **detail)
        self.answer(detail)
        self.over()


def remove_tree(grave: str, idmap: IdMap) -> None:
    """Remove the directory `grave` of a pet. Changes the working directory. Raises OSError.

    What the pet wrote may belong to ids that an ordinary user cannot remove the files of; a
    confined child with the pet's ids can.
    """
    if os.geteuid() != 0:
        for name in ("upper", "work"):
            if os.path.isdir(f"{grave}/{name}"):
                confined.run(remove_contents, f"{grave}/{name}", idmap)
    os.chdir(grave)
    remove_contents()
    os.rmdir(grave)


def _words(command: Sequence[Any]) -> tuple[str, ...]:
    words = tuple(map(str, command))
    if any("\0" in word for word in words):
        raise BadRequest("a command cannot hold a NUL byte")
    return words


def _variables(environment: Mapping[str, Any]) -> dict[str, str]:
    for key, value in environment.items():
        if not key or "=" in key or "\0" in key + str(value):
            raise BadRequest(f"environment variable {key[:40]!r} is not of the form NAME=VALUE")
    return {str(key): str(value) for key, value in environment.items()}


def _verb(frozen: bool) -> str:
    return "put to sleep" if frozen else "woken"


def _nobody(name: str) -> Record:
    """A record for a group that has none."""
    return Record(name, "", (), now(), (), name, Limits(), (), phase="ghost")


def _exit_code(status: int) -> int:
    """A wait status as a shell gives it."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _epitaph(status: int, oom: bool, last: Readings, released: bool) -> Epitaph:
    if status == -1:
        cause, code = "died while another nest's child: its status is not known", None
    else:
        code = _exit_code(status)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in _SIGNALS else f"signal {number}"
            cause = f"killed by {name}"
        else:
            cause = f"exited with status {code}"
    if oom:
        peak = f" at {format_size(last.memory_peak)}" if last.memory_peak else ""
        cause += f": out of memory{peak}"
    elif released:
        cause += ": released by its keeper"
    return Epitaph(cause, datetime.now(UTC), code, oom, last)


_SIGNALS = {int(number) for number in signal.Signals}


def _refusal(what: str, command: Sequence[str], step: str, errno: int, said: str) -> ProcchiError:
    """The error that a failed step means to whoever asked."""
    shown = command[0] if command else "a shell"
    if step == "execve":
        if errno == 2:
            return CommandNotFound(f"{what}: its egg has no {shown!r} in the PATH")
        return CommandNotExecutable(f"{what}: {shown!r} cannot be executed ({said})")
    return HatchFailed(f"{what}: at the step {step!r}: {said}")


def _handles(pid: int, number: int) -> bool:
    """Whether the process catches the signal (SigCgt in proc_pid_status(5))."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except OSError:
        pass
    return False

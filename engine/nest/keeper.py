"""The pets: how they come to be, eat, sleep, die and go.

Nothing here waits. What takes time is started, and goes on when the loop says that a pipe has
something to tell or a process has ended; then the one who asked is answered.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine import confined, moods
from engine.cgroups import Cgroups, Group
from engine.errors import (
    BadRequest,
    NoSuchPet,
    NotAwake,
    ProcchiError,
)
from engine.idmap import IdMap
from engine.images.removal import remove_contents
from engine.images.store import Store
from engine.model import (
    Epitaph,
    Event,
    Limits,
    Mood,
    Pet,
    Readings,
    now,
)
from engine.nest.dweller import NEVER_READ, Answer, Dweller, Refuse, epitaph_of
from engine.nest.loop import Loop
from engine.nest.records import Record, boot_id, take_hold
from engine.places import Places
from engine.syswrap import close_all_but, pidfd_status

GRACE_SECONDS = 3.0
"""How long a PID 1 that handles SIGTERM may take to end, before SIGKILL."""
OOM_SECONDS = 5.0
"""How soon after an OOM kill was counted a death by SIGKILL is put down to it."""
STRAY_ATTEMPTS = 200
LOG_LIMIT = 1 << 20
"""Bytes. Past it the older half of a pet's log is dropped."""


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
        self.when_empty: Callable[[], None] = lambda: None
        """Called when the last pet is gone."""
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
            dweller.remember(readings)
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
            self.tell_of("mood", dweller, mood=dweller.mood.name, reason=dweller.mood.reason)
        return readings

    def _count_oom_kills(self, dweller: Dweller, readings: Readings) -> None:
        kills = (readings.oom_kills or 0) - dweller.oom_kills
        if kills > 0:
            dweller.oom_kills += kills
            dweller.oom_at = readings.at
            self.tell_of("oom", dweller, kills=kills)

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
        """What can change of a pet besides its readings and the reason of its mood."""
        record = dweller.record
        mood = dweller.mood.name
        return (record.phase, record.asleep, record.meals, record.limits, record.pid, mood)

    def layers_in_use(self) -> set[str]:
        """Layers that a pet or ghost stands on."""
        return {layer for dweller in self.pets.values() for layer in dweller.record.layers}

    def tell_of(self, kind: str, dweller: Dweller, **detail: Any) -> None:
        """Tell whoever watches what has happened to a pet."""
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
            self.tell_of("asleep" if frozen else "awake", dweller)
        return dweller

    # --- feeding less or more ---

    def diet(self, name: str, changes: Mapping[str, Any]) -> Dweller:
        """Change a living pet's limits; those not named stay. Raises ProcchiError."""
        dweller = self.find(name)
        if not dweller.alive or dweller.releases:
            raise NotAwake(f"{name} is a ghost: it needs no diet")
        record = dweller.record
        limits = Limits.from_json(record.limits.to_json() | dict(changes))
        try:
            dweller.group.limit(limits)
        except OSError as error:
            with contextlib.suppress(OSError):
                dweller.group.limit(record.limits)  # what was changed before the refusal
            raise ProcchiError(f"{name}'s diet stays as it is: {_refused(error)}") from error
        record.limits = limits
        self._save(dweller)
        self.tell_of("diet", dweller, **limits.to_json())
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
        self.bury(dweller, epitaph_of(status, oom, last, released=bool(dweller.releases)))
        self._take_group_away(dweller)

    def bury(self, dweller: Dweller, epitaph: Epitaph) -> None:
        """Make it a ghost."""
        record = dweller.record
        record.phase, record.asleep, record.epitaph = "ghost", False, epitaph
        dweller.history.clear()
        dweller.mood = Mood("ghost", epitaph.cause)
        self._save(dweller)
        self.tell_of("died", dweller, cause=epitaph.cause, exit_code=epitaph.exit_code)

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
            self.send(dweller, signal.SIGTERM)
            self.loop.later(GRACE_SECONDS, lambda: self._kill(dweller))
        else:  # a PID 1 that does not handle SIGTERM never sees it: pid_namespaces(7)
            self._kill(dweller)

    def _kill(self, dweller: Dweller) -> None:
        if dweller.pidfd == -1:
            return
        self.send(dweller, signal.SIGKILL)
        if dweller.record.asleep:
            with contextlib.suppress(OSError):
                dweller.group.freeze(False)  # a v1 freezer holds even the dying

    def send(self, dweller: Dweller, number: int) -> None:
        """Send a signal to its PID 1, which may be dead already."""
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
        self.tell_of("released", dweller)
        for answer, _ in dweller.releases:
            answer({})

    def forget(self, dweller: Dweller) -> None:
        """Its name is free again; after the last one not even an empty group is left."""
        del self.pets[dweller.record.name]
        if not self.pets:
            self.cgroups.remove()
            self.when_empty()

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
        self._in_a_child(lambda: remove_tree(grave, self.idmap), grave, done)

    def _in_a_child(self, work: Callable[[], object], what: str, done: Callable[[], None]) -> None:
        """Clear something away in a process of its own, and call `done` when that has ended."""
        pid = os.fork()
        if pid == 0:
            try:
                close_all_but(())  # clients must see us hang up when we do
                work()
            except BaseException as error:
                self.complain(f"{what} could not be removed: {error}")
            finally:
                os._exit(0)
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
            if name not in self.pets:
                self._clear_group(self.cgroups.group(name))
        with os.scandir(self.places.trash) as entries:
            for entry in entries:
                self._empty(entry.path, lambda: None)
        self._in_a_child(self.store.clean, "what dead pulls left", lambda: None)

    def _clear_group(self, group: Group) -> None:
        """Take away a group whose pet never got as far as a record, or lost it.

        Waits, since a new pet of that name must not be taken for the old one's rest.
        """
        for _ in range(STRAY_ATTEMPTS):
            group.kill()
            if group.remove():
                return
            time.sleep(0.01)
        self.complain(f"{group} does not become empty: it is left as it is")

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
            self._clear_group(dweller.group)
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
            self.tell_of("adopted", dweller)
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


def _refused(error: OSError) -> str:
    """Why the kernel would not take a limit."""
    if error.errno == errno.EBUSY:
        return f"more memory is in use than that, and cannot be taken away ({error})"
    return str(error)


def _verb(frozen: bool) -> str:
    return "put to sleep" if frozen else "woken"


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

"""A nest of fixed readings: what the face draws is then the same on every machine."""

from __future__ import annotations

import os
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event as Flag
from typing import Any, Self

from engine import (
    Call,
    Check,
    Details,
    Egg,
    EggDetails,
    Epitaph,
    Event,
    Fact,
    Limits,
    Meal,
    NoSuchPet,
    Offer,
    PastMeal,
    Pet,
    Progress,
    Readings,
    Snapshot,
    StepReport,
    XRay,
)
from procchi_tui.host import Host
from tests.tui.fixed_xray import fixed_xray

NOW = datetime(2025, 5, 4, 12, 30, tzinfo=UTC)
MIB = 1 << 20
ALL = ("memory", "cpu", "pids")


OFFERS = [
    Offer("alpine", "https://mirror.example/alpine/latest-stable", "Small.", 3_600_000, None, True),
    Offer("busybox", "docker.io/library/busybox:stable", "The smallest system.", 2_200_000),
    Offer("debian", "docker.io/library/debian:stable-slim", "The universal one.", 30_000_000),
    Offer("room", "http://teacher.example/room.tar.gz", "For the class.", None, "7a" * 32),
]


def fixed_clock() -> datetime:
    return NOW


def fixed_host() -> Host:
    return Host(cpu=0.23, memory=3300 * MIB, memory_total=24 * 1024 * MIB, load=0.42)


def pet(name: str, mood: str = "happy", **different: Any) -> Pet:
    readings = different.pop("readings", Readings(0.0, 12 * MIB, 14 * MIB, 900_000, 40, 3, pids=3))
    values: dict[str, Any] = {
        "name": name,
        "pid": 4200 + sum(map(ord, name)),
        "status": "alive",
        "egg": "home",
        "created_at": NOW - timedelta(minutes=7),
        "mood": mood,
        "reason": "memory.current 12M of 50M",
        "stage": "baby",
        "limits": Limits(),
        "enforced": ALL,
        "readings": readings,
        "hostname": name,
        "meals": 2,
    }
    return Pet(**(values | different))


def a_nest_full() -> list[Pet]:
    """One pet of each kind there is to draw."""
    ages = iter(range(100))

    def at(name: str, mood: str, stage: str, reason: str, **different: Any) -> Pet:
        born = NOW - timedelta(hours=30, minutes=-next(ages) * 100)
        return pet(name, mood, stage=stage, reason=reason, created_at=born, **different)

    def using(memory: float, cpu: int, pids: int) -> Readings:
        return Readings(0.0, int(memory * MIB), int(memory * MIB), cpu, 400, 0, pids=pids)

    return [
        at("moka", "happy", "child", "memory.current 1.3M of 50M", readings=using(1.3, 0, 1)),
        at(
            "momo",
            "busy",
            "grown",
            "cpu.stat usage_usec 0.41 cores",
            readings=using(12, 410_000, 9),
        ),
        at("pico", "asleep", "baby", "cgroup.freeze 1", status="asleep", readings=using(3, 0, 2)),
        at("nori", "queasy", "child", "memory.current 47M of 50M", readings=using(47, 100_000, 4)),
        at("miso", "crowded", "grown", "pids.current 60 of 64", readings=using(22, 200_000, 60)),
        at(
            "tofu",
            "tired",
            "elder",
            "cpu.stat nr_throttled 93 of 100",
            readings=using(8, 500_000, 3),
        ),
        at(
            "kiko",
            "ghost",
            "child",
            "killed by SIGKILL: out of memory",
            status="ghost",
            pid=None,
            epitaph=Epitaph(
                "killed by SIGKILL: out of memory",
                NOW - timedelta(minutes=3),
                137,
                True,
                Readings(0.0, 50 * MIB, 50 * MIB, 2_100_000, 90, 12, pids=2, oom_kills=1),
                "step 41 of 50\nstep 42 of 50\n\x1b[31mKilled\x1b[0m\n",
            ),
        ),
        at("luma", "full", "egg", "memory.peak 44M of 50M", readings=using(31, 20_000, 2)),
        at("yuzu", "happy", "baby", "psutil rss 2.1M", enforced=(), readings=using(2.1, 30_000, 2)),
        at("suki", "dreamy", "child", "a mood nobody has drawn", readings=using(5, 30_000, 2)),
        at("taro", "hungry", "baby", "no meal for 3 h", limits=Limits(None, None, None)),
        at("umi", "panicked", "grown", "memory.events oom_kill 2", readings=using(49, 450_000, 12)),
    ]


class FixedWatch:
    def __init__(self, first: Snapshot) -> None:
        self._items: SimpleQueue[Event | Snapshot | None] = SimpleQueue()
        self._items.put(first)
        self.wedged = Flag()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, item: Event | Snapshot) -> None:
        self._items.put(item)

    def tell_readings(self, at: float, readings: Mapping[str, Readings]) -> None:
        self._items.put(Snapshot(at, (), readings, {}, ()))

    def close(self) -> None:
        self._items.put(None)

    def __iter__(self) -> Iterator[Event | Snapshot]:
        at = 0.0
        while True:
            try:
                item = self._items.get(timeout=0.5)
            except Empty:  # a nest that has nothing to tell says that
                item = Snapshot(at, (), {}, {}, ())
            if item is None:
                return
            if isinstance(item, Snapshot):
                at = item.at
            while self.wedged.is_set():
                time.sleep(0.05)
            yield item


class FixedMeal:
    """Says what it was told to say; or, for `sleep` and on a terminal, waits for a signal."""

    def __init__(self, command: Sequence[str], output: int, *, terminal: bool) -> None:
        self._command = tuple(command)
        self.number = 3
        self.terminal: int | None = None
        self._far = -1
        if terminal:
            self.terminal, self._far = os.openpty()
            os.write(self._far, b"\x1b[1;32mroot@pet\x1b[0m:\x1b[34m/\x1b[0m# ")
        self._over, self._end = os.pipe()
        self._signalled: list[int] = []
        self._output = -1 if terminal else os.dup(output)
        line = self._command[-1]
        if line.startswith("echo "):
            os.write(output, line.removeprefix("echo ").encode() + b"\n")
        self._status = int(line.removeprefix("exit ")) if line.startswith("exit ") else 0
        if not line.startswith("sleep") and not terminal:
            os.write(self._end, b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for fd in (self._over, self._end, self.terminal, self._far, self._output):
            if fd is not None and fd >= 0:
                os.close(fd)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._far, (rows, columns))

    def write(self, text: str) -> None:
        os.write(self._output, text.encode())

    def fileno(self) -> int:
        return self._over

    def signal(self, number: int) -> None:
        self._status = 128 + number
        os.write(self._end, b"!")

    def wait(self) -> Meal:
        os.read(self._over, 1)
        return Meal(self._command, self._status, 0.012)


class FixedNest:
    """Holds pets, does what it is asked at once, and remembers what that was."""

    def __init__(self, pets: Sequence[Pet] = (), *, log: Path = Path(os.devnull)) -> None:
        self.known = {known.name: known for known in pets}
        self.asked: list[tuple[Any, ...]] = []
        self.trouble: Exception | None = None
        self.cgroup: dict[str, Any] = {"kind": "v2", "enforced": list(ALL), "why": ""}
        self.store = ["home"]
        self.egg_details: dict[str, EggDetails] = {}
        self.pull_goes_on = Flag()
        self.pull_goes_on.set()
        self.meals_begun: list[FixedMeal] = []
        self.shell_may_start = Flag()
        self.shell_may_start.set()
        self._log = log
        self.watches: list[FixedWatch] = []

    # what tests do to it

    def tell(self, *pets: Pet, gone: tuple[str, ...] = (), at: float = 1.0) -> None:
        for known in pets:
            self.known[known.name] = known
        for name in gone:
            self.known.pop(name)
        readings = {known.name: known.readings for known in pets if known.readings}
        for watch in self.watches:
            watch.tell(Snapshot(at, pets, readings, {}, gone))

    def tell_event(self, kind: str, name: str, **detail: Any) -> None:
        for watch in self.watches:
            watch.tell(Event(kind, name, NOW, detail))

    def stop(self) -> None:
        for watch in self.watches:
            watch.close()

    # what the face asks of it

    def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        if self.trouble is not None:
            raise self.trouble

    def _known(self, name: str) -> Pet:
        if name not in self.known:
            raise NoSuchPet(f"no pet is called {name}")
        return self.known[name]

    def pull(
        self,
        reference: str = "home",
        *,
        name: str | None = None,
        progress: Callable[[Progress], None] | None = None,
        **pins: str,
    ) -> Egg:
        self._asked("pull", reference, name, *pins.values())
        assert progress is not None
        progress(Progress("downloading", 4 * MIB, 10 * MIB))
        self.pull_goes_on.wait(20)
        progress(Progress("storing", 10 * MIB, 10 * MIB))
        if (name or reference) not in self.store:
            self.store.append(name or reference)
        return self._egg(name or reference)

    def _egg(self, name: str) -> Egg:
        return Egg(name, "sha256:" + "0" * 64, 9 * MIB, NOW, name, ())

    def catalogue(self) -> list[Offer]:
        return OFFERS

    def egg(self, name: str) -> EggDetails:
        living = tuple(pet.name for pet in self.known.values() if pet.egg == name)
        egg = self.egg_details.get(name) or EggDetails(self._egg(name), (), 812, ())
        return replace(egg, pets=living)

    def remove_egg(self, name: str) -> None:
        self._asked("remove_egg", name)
        self.store.remove(name)

    def eggs(self) -> list[Egg]:
        known = self.egg_details
        return [known[n].egg if n in known else self._egg(n) for n in self.store]

    def hatch(
        self,
        name: str,
        egg: str = "home",
        *,
        command: Sequence[str] = (),
        limits: Limits | None = None,
        **settings: Any,
    ) -> Pet:
        self._asked("hatch", name, egg, tuple(command), limits)
        settings = {key: value for key, value in settings.items() if value and key != "entrypoint"}
        born = pet(
            name,
            egg=egg,
            limits=limits,
            created_at=NOW,
            stage="egg",
            command=tuple(command),
            **settings,
        )
        self.tell(born)
        self.tell_event("hatched", name, egg=egg)
        return born

    def open_meal(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdio: tuple[int, int, int] = (0, 1, 2),
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> FixedMeal:
        self._asked("open_meal", name, tuple(command))
        if terminal:
            self.shell_may_start.wait(20)
        meal = FixedMeal(command, stdio[1], terminal=terminal)
        self.meals_begun.append(meal)
        return meal

    def sleep(self, name: str) -> Pet:
        self._asked("sleep", name)
        self.tell(replace(self._known(name), status="asleep", mood="asleep"))
        return self.known[name]

    def wake(self, name: str) -> Pet:
        self._asked("wake", name)
        self.tell(replace(self._known(name), status="alive", mood="happy"))
        return self.known[name]

    def diet(self, name: str, **limits: Any) -> Pet:
        self._asked("diet", name, limits)
        old = self._known(name)
        self.tell(replace(old, limits=old.limits.changed(limits)))
        return self.known[name]

    def signal(self, name: str, number: int) -> None:
        self._asked("signal", name, number)
        self._known(name)

    def release(self, name: str) -> None:
        self._asked("release", name)
        self._known(name)
        self.tell(gone=(name,))

    def commands(self, name: str) -> list[str]:
        self._known(name)
        return ["cat", "head", "hostname", "printenv", "printf", "ps", "sleep", "tail"]

    def xray(self, name: str) -> XRay:
        self._known(name)
        return fixed_xray(name)

    def details(self, name: str) -> Details:
        self._known(name)
        return Details(
            name,
            1.0,
            {
                "memory_anonymous": Fact(9 * MIB, "bytes", "memory.stat anon"),
                "memory_file": Fact(3 * MIB, "bytes", "memory.stat file"),
                "throttled_usec": Fact(128_000, "usec", "cpu.stat throttled_usec"),
                "memory_pressure_some": Fact(1.5, "percent", "memory.pressure some avg10"),
            },
        )

    def meals(self, name: str) -> list[PastMeal]:
        self._known(name)
        return [
            PastMeal(1, ("sh", "-c", "ls / | wc -l"), NOW - timedelta(minutes=4), 0, 0.012),
            PastMeal(2, ("tail", "/dev/zero"), NOW - timedelta(minutes=2), 137, 0.4, True),
            PastMeal(3, ("sleep", "60"), NOW - timedelta(seconds=20), running=True),
        ]

    def care_log(self, name: str, *, meal: int | None = None) -> list[StepReport]:
        self._known(name)

        slower = sum(map(ord, name)) % 7
        session = StepReport(
            "session",
            "no terminal, no inherited descriptor",
            [Call("setsid", "", "2", 3), Call("close_range", "3, ~0", "0", 5 + slower)],
            9.0 + slower,
        )
        if meal is not None:
            joined = [Call("setns", "5, CLONE_NEWPID", "0", 21)]
            return [StepReport("join namespaces", "so that it is in there", joined, 30.0), session]
        made = [Call("clone3", "CLONE_NEWUSER|CLONE_NEWPID", "4711", 812)]
        named = [Call("sethostname", f'"{name}"', "0", 4)]
        return [
            StepReport("user namespace", "so that its root is nobody on the host", made, 830.0),
            StepReport("hostname", "its own name for its own house", named, 6.0),
            session,
        ]

    def log_path(self, name: str) -> Path:
        return self._log

    def watch(self, readings: float | None = None) -> FixedWatch:
        pets = tuple(self.known.values())
        shown = {known.name: known.readings for known in pets if known.readings}
        watch = FixedWatch(Snapshot(0.0, pets, shown, {}, ()))
        self.watches.append(watch)
        return watch

    def doctor(self) -> list[Check]:
        return [
            Check("kernel", True, "Linux 6.12.0"),
            Check("user namespaces", True, "made one, and became its root"),
            Check("limits", False, "cgroup v2 is not delegated", "log in by systemd, or use sudo"),
        ]

    def nest_status(self) -> Mapping[str, Any]:
        nest = {"running": True, "pid": 4000, "pets": 11, "home": "/var/lib/procchi"}
        ceiling = {"memory": 8 * 1024 * MIB, "cpu": 4.0, "pids": 2000, "enforced": list(ALL)}
        return {**nest, "cgroup": self.cgroup, "ceiling": ceiling}

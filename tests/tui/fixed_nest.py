"""A nest of fixed readings: what the face draws is then the same on every machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Flag
from typing import Any, Self

from engine import (
    Egg,
    Epitaph,
    Event,
    Limits,
    Meal,
    NoSuchPet,
    Pet,
    Progress,
    Readings,
    Snapshot,
    StepReport,
)
from procchi_tui.host import Host

NOW = datetime(2025, 5, 4, 12, 30, tzinfo=UTC)
MIB = 1 << 20
ALL = ("memory", "cpu", "pids")


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
                "killed by SIGKILL: out of memory", NOW - timedelta(minutes=3), 137, True
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
        while (item := self._items.get()) is not None:
            yield item


class FixedMeal:
    """Says what it was told to say; or, for `sleep`, waits for a signal."""

    def __init__(self, command: Sequence[str], output: int) -> None:
        self._command = tuple(command)
        self._over, self._end = os.pipe()
        self._signalled: list[int] = []
        line = self._command[-1]
        if line.startswith("echo "):
            os.write(output, line.removeprefix("echo ").encode() + b"\n")
        self._status = int(line.removeprefix("exit ")) if line.startswith("exit ") else 0
        if not line.startswith("sleep"):
            os.write(self._end, b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._over)
        os.close(self._end)

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
        self.pull_goes_on = Flag()
        self.pull_goes_on.set()
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
    ) -> Egg:
        self._asked("pull", reference, name)
        assert progress is not None
        progress(Progress("downloading", 4 * MIB, 10 * MIB))
        self.pull_goes_on.wait(20)
        progress(Progress("storing", 10 * MIB, 10 * MIB))
        self.store.append(name or reference)
        return self._egg(name or reference)

    def _egg(self, name: str) -> Egg:
        return Egg(name, "sha256:" + "0" * 64, 9 * MIB, NOW, name, ())

    def eggs(self) -> list[Egg]:
        return [self._egg(name) for name in self.store]

    def hatch(
        self,
        name: str,
        egg: str = "home",
        *,
        command: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> Pet:
        self._asked("hatch", name, egg, tuple(command), limits)
        born = pet(
            name, egg=egg, limits=limits, created_at=NOW, stage="egg", command=tuple(command)
        )
        self.tell(born)
        self.tell_event("hatched", name, egg=egg)
        return born

    def open_meal(
        self, name: str, command: Sequence[str], *, stdio: tuple[int, int, int] = (0, 1, 2)
    ) -> FixedMeal:
        self._asked("open_meal", name, tuple(command))
        return FixedMeal(command, stdio[1])

    def sleep(self, name: str) -> Pet:
        self._asked("sleep", name)
        self.tell(replace(self._known(name), status="asleep", mood="asleep"))
        return self.known[name]

    def wake(self, name: str) -> Pet:
        self._asked("wake", name)
        self.tell(replace(self._known(name), status="alive", mood="happy"))
        return self.known[name]

    def release(self, name: str) -> None:
        self._asked("release", name)
        self._known(name)
        self.tell(gone=(name,))

    def care_log(self, name: str) -> list[StepReport]:
        return [
            StepReport(
                "user namespace",
                "so that its root is nobody on the host",
                [
                    {
                        "name": "clone3",
                        "args": "CLONE_NEWUSER|CLONE_NEWPID",
                        "result": "4711",
                        "usec": 812,
                    }
                ],
                830.0,
            ),
            StepReport(
                "hostname",
                "its own name for its own house",
                [{"name": "sethostname", "args": f'"{name}"', "result": "0", "usec": 4}],
                6.0,
            ),
        ]

    def log_path(self, name: str) -> Path:
        return self._log

    def watch(self, readings: float | None = None) -> FixedWatch:
        pets = tuple(self.known.values())
        shown = {known.name: known.readings for known in pets if known.readings}
        watch = FixedWatch(Snapshot(0.0, pets, shown, {}, ()))
        self.watches.append(watch)
        return watch

    def nest_status(self) -> Mapping[str, Any]:
        return {"cgroup": self.cgroup}

"""The things Procchi speaks of, as plain immutable values.

They are what the library returns, and `to_json`/`from_json` are what travels between the
nest and its clients. Nothing here reads a file or makes a system call.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from engine.errors import BadRequest

Json = dict[str, Any]
Status = Literal["alive", "asleep", "ghost"]

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)

SMALLEST_MEMORY = 4 * MIB
"""Bytes. Below this the kernel kills the pet before it can execute its first command."""
LARGEST_MEMORY = (1 << 63) - 1
"""Bytes: what a cgroup's memory files can hold (a signed 64-bit number)."""
SMALLEST_CPU = 0.001
"""Cores. The kernel wants a quota of at least 1 ms in a period of at most 1 s."""
LARGEST_CPU = 1024.0
LARGEST_PIDS = 1 << 22
"""PID_MAX_LIMIT of a 64-bit kernel (proc_sys_kernel(5))."""

NAME_RULE = "a letter or digit, then at most 62 letters, digits, '.', '_' or '-'"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def check_name(name: str, what: str = "name") -> str:
    """`name`, if it can name a pet or an egg (and so a directory, a cgroup and a host).

    Raises BadRequest otherwise.
    """
    if not _NAME.fullmatch(name):
        shown = repr(name if len(name) <= 40 else name[:40] + "…")
        raise BadRequest(f"{what} {shown} cannot be used: use {NAME_RULE}")
    return name


def parse_size(text: str | int, what: str = "size") -> int:
    """Bytes from `50M`, `1.5GiB`, `4096` (units are powers of 1024, as docker and podman).

    Raises BadRequest when it is not a size.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if not match or isinstance(text, bool):
        raise BadRequest(f"{what} {str(text)[:40]!r} is not a size: write it like 50M or 1G")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_size(size: float) -> str:
    """`size` bytes in a few characters: 512B, 1.5K, 50M, 1.2G (powers of 1024)."""
    units = iter("BKMGT")
    unit = next(units)
    while size >= 1024 and unit != "T":
        size, unit = size / 1024, next(units)
    digits = f"{size:.1f}" if size < 10 and unit != "B" else f"{size:.0f}"
    return digits.removesuffix(".0") + unit


def _unlimited(value: object) -> bool:
    return value is None or (
        isinstance(value, str) and value.strip().lower() in {"unlimited", "max", "none"}
    )


@dataclass(frozen=True, slots=True, init=False)
class Limits:
    """A pet's diet: what it may use at most. None means unlimited."""

    memory: int | None
    """Bytes of memory, page cache included; no swap on top (memory.max, cgroups(7))."""
    cpu: float | None
    """Cores: 0.5 is half of one CPU's time (cpu.max)."""
    pids: int | None
    """Processes and threads alive at once (pids.max)."""

    def __init__(
        self,
        memory: int | str | None = "50M",
        cpu: float | str | None = 0.5,
        pids: int | str | None = 64,
    ) -> None:
        """Check each limit; raises BadRequest for what no kernel could enforce."""
        object.__setattr__(self, "memory", _memory(memory))
        object.__setattr__(self, "cpu", _cpu(cpu))
        object.__setattr__(self, "pids", _pids(pids))

    def to_json(self) -> Json:
        """The three limits by name."""
        return {"memory": self.memory, "cpu": self.cpu, "pids": self.pids}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `to_json`; keys it does not know are ignored."""
        return cls(**{key: data[key] for key in ("memory", "cpu", "pids") if key in data})


def _memory(value: int | str | None) -> int | None:
    if value is None or _unlimited(value):
        return None
    size = parse_size(value, "memory limit")
    if not SMALLEST_MEMORY <= size <= LARGEST_MEMORY:
        bounds = f"{format_size(SMALLEST_MEMORY)} to {LARGEST_MEMORY} bytes, or unlimited"
        raise BadRequest(f"memory limit {value!r} cannot be enforced: choose {bounds}")
    return size


def _cpu(value: float | str | None) -> float | None:
    if value is None or _unlimited(value):
        return None
    try:
        cores = float(value)
    except ValueError:
        raise BadRequest(
            f"CPU limit {str(value)[:40]!r} is not a number of cores: write it like 0.5 or 2"
        ) from None
    if not (math.isfinite(cores) and SMALLEST_CPU <= cores <= LARGEST_CPU):
        bounds = f"{SMALLEST_CPU} to {LARGEST_CPU:.0f} cores, or unlimited"
        raise BadRequest(f"CPU limit {value!r} cannot be enforced: choose {bounds}")
    return cores


def _pids(value: int | str | None) -> int | None:
    if value is None or _unlimited(value):
        return None
    text = str(value).strip()
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= LARGEST_PIDS:
        raise BadRequest(
            f"pids limit {text[:40]!r} cannot be enforced: choose 1 to {LARGEST_PIDS}, or unlimited"
        )
    return int(text)


class Readings(NamedTuple):
    """The kernel's numbers for one pet at one moment. None: the kernel does not give it here.

    A tuple, because a nest of a thousand pets sends four thousand of these a second.
    Counters only ever grow during a pet's life.
    """

    at: float
    """Seconds on CLOCK_MONOTONIC."""
    memory: int | None = None
    """Bytes in use now (memory.current; v1 memory.usage_in_bytes)."""
    memory_peak: int | None = None
    """Bytes, the most so far (memory.peak; v1 memory.max_usage_in_bytes)."""
    cpu_usec: int | None = None
    """Microseconds of CPU time used so far (cpu.stat usage_usec; v1 cpuacct.usage / 1000)."""
    periods: int | None = None
    """Quota periods in which the pet wanted to run (cpu.stat nr_periods)."""
    throttled: int | None = None
    """Periods in which it was stopped for having used up its quota (cpu.stat nr_throttled)."""
    throttled_usec: int | None = None
    """Microseconds it was stopped in all (cpu.stat throttled_usec; v1 throttled_time / 1000)."""
    pids: int | None = None
    """Tasks alive now (pids.current)."""
    forks_refused: int | None = None
    """Forks refused by the pids limit so far (pids.events max)."""
    oom_kills: int | None = None
    """Processes killed by the OOM killer so far (memory.events oom_kill; v1 memory.oom_control)."""

    def to_json(self) -> Json:
        """Every reading by name."""
        return self._asdict()


class Mood(NamedTuple):
    """How a pet is, and the kernel's number that says so."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Egg:
    """A root filesystem in the store, from which pets hatch."""

    name: str
    digest: str
    """`sha256:` and 64 hexadecimal digits, of the uncompressed content."""
    size: int
    """Bytes unpacked."""
    created_at: datetime
    """When it was pulled, UTC."""
    source: str
    """What was asked for: `home`, a path, a URL or a registry reference."""
    layers: tuple[str, ...]
    """Digests of its layers, lowest first: the directories of the overlay."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many entries were kept out or changed when unpacking, by reason."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What an image wants to be run with: `entrypoint` and `command` (lists), `environment` (a
    mapping), `working_directory`, `user` and `stop_signal` (text, empty where the image does not
    say). Empty for a root filesystem that came as no image."""

    def to_json(self) -> Json:
        """The egg as `procchi eggs --json` lists it."""
        return {
            "name": self.name,
            "digest": self.digest,
            "size": self.size,
            "created_at": self.created_at.isoformat(),
            "source": self.source,
            "layers": list(self.layers),
            "left_out": dict(self.left_out),
            "config": dict(self.config),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Egg:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            digest=data["digest"],
            size=data["size"],
            created_at=datetime.fromisoformat(data["created_at"]),
            source=data["source"],
            layers=tuple(data["layers"]),
            left_out=data.get("left_out", {}),
            config=data.get("config", {}),
        )


class Progress(NamedTuple):
    """How far a pull has come."""

    stage: str
    """`resolving`, `downloading`, `unpacking`, `cooking` or `storing`."""
    done: int
    """Bytes (files, when cooking)."""
    total: int | None
    """The same unit; None while nobody knows."""


@dataclass(frozen=True, slots=True)
class Meal:
    """One command's run in a pet."""

    command: tuple[str, ...]
    exit_code: int
    """As a shell gives it: the command's status, or 128 + the signal that ended it."""
    duration: float
    """Seconds, from the request to the end."""
    stdout: bytes = b""
    """Empty when the caller's own descriptors were used."""
    stderr: bytes = b""
    oom_killed: bool = False
    """True when the kernel's OOM killer struck the pet's cgroup during this meal."""


@dataclass(frozen=True, slots=True)
class Epitaph:
    """How a ghost died."""

    cause: str
    """One sentence: `exited with status 0`, `killed by SIGKILL: out of memory`, …"""
    died_at: datetime | None
    """UTC; None when nobody was there to see it."""
    exit_code: int | None
    """As a shell gives it; None when the kernel no longer tells."""
    oom_killed: bool = False
    last_readings: Readings | None = None

    def to_json(self) -> Json:
        """Every field by name."""
        return {
            "cause": self.cause,
            "died_at": self.died_at.isoformat() if self.died_at else None,
            "exit_code": self.exit_code,
            "oom_killed": self.oom_killed,
            "last_readings": self.last_readings and list(self.last_readings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Epitaph:
        """The inverse of `to_json`."""
        readings = data.get("last_readings")
        return cls(
            cause=data["cause"],
            died_at=datetime.fromisoformat(data["died_at"]) if data["died_at"] else None,
            exit_code=data["exit_code"],
            oom_killed=data["oom_killed"],
            last_readings=Readings(*readings) if readings else None,
        )


@dataclass(frozen=True, slots=True)
class Pet:
    """A pet as the nest knows it at one moment."""

    name: str
    pid: int | None
    """Of its PID 1, as the host sees it; None for a ghost."""
    status: Status
    egg: str
    created_at: datetime
    mood: str
    reason: str
    """The kernel's file and value behind the mood."""
    stage: str
    """Its stage of life, from CPU time lived and meals eaten (moods.stage)."""
    limits: Limits
    enforced: tuple[str, ...]
    """Which of `memory`, `cpu`, `pids` the kernel enforces for this pet."""
    readings: Readings | None
    command: tuple[str, ...] = ()
    hostname: str = ""
    network: str = "none"
    read_only: bool = False
    meals: int = 0
    """How many it has eaten."""
    epitaph: Epitaph | None = None

    def to_json(self) -> Json:
        """The pet as `procchi pets --json` lists it."""
        return {
            "name": self.name,
            "pid": self.pid,
            "status": self.status,
            "egg": self.egg,
            "created_at": self.created_at.isoformat(),
            "mood": self.mood,
            "reason": self.reason,
            "stage": self.stage,
            "limits": self.limits.to_json() | {"enforced": list(self.enforced)},
            "readings": self.readings.to_json() if self.readings else None,
            "command": list(self.command),
            "hostname": self.hostname,
            "network": self.network,
            "read_only": self.read_only,
            "meals": self.meals,
            "epitaph": self.epitaph.to_json() if self.epitaph else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pet:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            pid=data["pid"],
            status=data["status"],
            egg=data["egg"],
            created_at=datetime.fromisoformat(data["created_at"]),
            mood=data["mood"],
            reason=data["reason"],
            stage=data["stage"],
            limits=Limits.from_json(data["limits"]),
            enforced=tuple(data["limits"]["enforced"]),
            readings=Readings(**data["readings"]) if data["readings"] else None,
            command=tuple(data["command"]),
            hostname=data["hostname"],
            network=data["network"],
            read_only=data["read_only"],
            meals=data["meals"],
            epitaph=Epitaph.from_json(data["epitaph"]) if data["epitaph"] else None,
        )


class StepReport(NamedTuple):
    """What one step of hatching or feeding really did."""

    name: str
    why: str
    """One sentence."""
    calls: Sequence[Mapping[str, Any]]
    """Each system call: `name`, `args` (text), `result` (text), `usec`."""
    usec: float
    """Microseconds for the whole step."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a pet."""

    kind: str
    """hatched, fed, meal-over, mood, oom, throttled, asleep, awake, died, adopted, released."""
    pet: str
    at: datetime
    """UTC."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What changed in the nest since the snapshot before; the first one holds everything."""

    at: float
    """Seconds on CLOCK_MONOTONIC, when the nest sampled."""
    pets: tuple[Pet, ...]
    """Pets that are new, or whose mood, status or limits changed."""
    readings: Mapping[str, Readings]
    """By pet: readings that changed."""
    reasons: Mapping[str, str]
    """By pet: reasons that changed while the mood stayed."""
    gone: tuple[str, ...]
    """Names of pets that were released."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `procchi doctor`."""

    name: str
    ok: bool
    found: str
    """What was seen, in plain words."""
    remedy: str = ""
    """What to do about it; empty when all is well."""


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)

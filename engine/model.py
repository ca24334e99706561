"""The things Procchi speaks of, as plain immutable values.

They are what the library returns, and `to_json`/`from_json` are what travels between the
nest and its clients. Nothing here reads a file or makes a system call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from engine.errors import BadRequest
from engine.limits import GIB as GIB  # noqa: PLC0414 (they belong to the model, for all others)
from engine.limits import KIB as KIB  # noqa: PLC0414
from engine.limits import MIB as MIB  # noqa: PLC0414
from engine.limits import Limits as Limits  # noqa: PLC0414
from engine.limits import format_size as format_size  # noqa: PLC0414
from engine.limits import parse_size as parse_size  # noqa: PLC0414

Json = dict[str, Any]
Status = Literal["alive", "asleep", "ghost"]

NAME_RULE = "a letter or digit, then at most 62 letters, digits, '.', '_' or '-'"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether `text` can name a pet or an egg."""
    return bool(_NAME.fullmatch(text))


def check_name(name: str, what: str = "name") -> str:
    """`name`, if it can name a pet or an egg (and so a directory, a cgroup and a host).

    Raises BadRequest otherwise.
    """
    if not is_name(name):
        shown = repr(name if len(name) <= 40 else name[:40] + "…")
        raise BadRequest(f"{what} {shown} cannot be used: use {NAME_RULE}")
    return name


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
    memory_cache: int | None = None
    """Bytes of `memory` that are cached files, which the kernel takes back before anything else
    (memory.stat inactive_file). Asked for only while memory is near its limit."""
    memory_pressure: float | None = None
    """Percent of the last ten seconds in which a task waited for memory (memory.pressure some
    avg10, cgroup v2). Asked for only while memory is near its limit."""

    def to_json(self) -> Json:
        """Every reading by name."""
        return self._asdict()


class Fact(NamedTuple):
    """One number of the kernel's, and where it stands."""

    value: int | float | None
    """None: no limit is set (the kernel's `max`)."""
    unit: str
    """`bytes`, `usec`, `count`, `percent` or `cores`."""
    file: str
    """As the kernel's documents name it: `memory.stat anon`."""
    path: str = ""
    """The file on this host, to be looked at with cat(1); empty where there are several."""


@dataclass(frozen=True, slots=True)
class Details:
    """All that the kernel tells of one pet, read when it was asked for."""

    pet: str
    at: float
    """Seconds on CLOCK_MONOTONIC."""
    facts: Mapping[str, Fact]
    """By name, the same names for every kind of control group. What this kernel does not give is
    not there; of a ghost there is nothing. `memory_…`: `anonymous`, `file`, `kernel`, `limit`,
    …; `swap`; `cpu_…`; `throttled`; `pids_…`; `…_pressure_some` and `…_full` (PSI, of the last ten
    seconds); `io_read_bytes`, `io_written_bytes`; `net_received_bytes`, `net_sent_bytes`."""

    def to_json(self) -> Json:
        """Each fact by name, as an object of its fields."""
        facts = {name: fact._asdict() for name, fact in self.facts.items()}
        return {"pet": self.pet, "at": self.at, "facts": facts}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Details:
        """The inverse of `to_json`."""
        facts = {name: Fact(**fact) for name, fact in data["facts"].items()}
        return cls(data["pet"], data["at"], facts)


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
    platform: str = ""
    """What its image, or the catalogue, says it runs on, as `linux/arm64`; empty where neither
    says."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """The `sha256` and the `platform` that it was asked for with: to be said again with its
    source."""

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
            "platform": self.platform,
            "pins": dict(self.pins),
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
            platform=data.get("platform", ""),
            pins=data.get("pins", {}),
        )


@dataclass(frozen=True, slots=True)
class EggDetails:
    """An egg, what it was made of, and who lives on it."""

    egg: Egg
    parts: tuple[tuple[str, int], ...]
    """Its image's layers, lowest first, or its one archive: the digest of each uncompressed
    (diff id), and the bytes that it had as it came."""
    entries: int
    """Files, directories and links that were unpacked."""
    pets: tuple[str, ...]
    """Pets and ghosts that hatched from it."""

    def to_json(self) -> Json:
        """The egg as `procchi eggs show --json` has it."""
        return self.egg.to_json() | {
            "parts": [{"digest": digest, "size": size} for digest, size in self.parts],
            "entries": self.entries,
            "pets": list(self.pets),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EggDetails:
        """The inverse of `to_json`."""
        parts = tuple((part["digest"], part["size"]) for part in data["parts"])
        return cls(Egg.from_json(data), parts, data["entries"], tuple(data["pets"]))


class Verdict(NamedTuple):
    """What came of verifying an egg."""

    name: str
    digest: str
    entries: int
    """How many were compared."""
    damage: tuple[str, ...]
    """A line for each file that is not what was unpacked; empty where all is well."""
    more: int = 0
    """How many damaged files are not named."""

    def to_json(self) -> Json:
        """Every field by name, and whether all is well."""
        return self._asdict() | {"ok": not self.damage}


@dataclass(frozen=True, slots=True)
class Freed:
    """What was cleared away: how many of each kind, and their bytes."""

    layers: tuple[int, int] = (0, 0)
    """That no egg and no pet needs any more."""
    unfinished: tuple[int, int] = (0, 0)
    """What dead pulls were unpacking."""
    downloads: tuple[int, int] = (0, 0)
    """Whole ones that may have been of use again, and beginnings."""
    pulling: bool = False
    """A pull is under way, and so downloads were left alone."""

    def __add__(self, other: Freed) -> Freed:
        """Both together."""
        return Freed(
            _sum(self.layers, other.layers),
            _sum(self.unfinished, other.unfinished),
            _sum(self.downloads, other.downloads),
            self.pulling or other.pulling,
        )

    @property
    def kinds(self) -> dict[str, tuple[int, int]]:
        """How many, and their bytes, by kind."""
        return {
            "layers": self.layers,
            "unfinished": self.unfinished,
            "downloads": self.downloads,
        }

    def to_json(self) -> Json:
        """Each kind with its count and bytes, and all bytes."""
        each = {kind: {"count": count, "bytes": size} for kind, (count, size) in self.kinds.items()}
        total = sum(size for _, size in self.kinds.values())
        return {**each, "bytes": total, "pulling": self.pulling}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Freed:
        """The inverse of `to_json`."""
        layers, unfinished, downloads = (
            (int(data[kind]["count"]), int(data[kind]["bytes"]))
            for kind in ("layers", "unfinished", "downloads")
        )
        return cls(layers, unfinished, downloads, data["pulling"])


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


class Offer(NamedTuple):
    """An egg that the catalogue has under a short name."""

    name: str
    source: str
    """Where it comes from: a reference, a URL or a path; a branch of Alpine's where `alpine`."""
    about: str = ""
    """One sentence."""
    size: int | None = None
    """Bytes to fetch, about; None where the catalogue does not say."""
    sha256: str | None = None
    """Hexadecimal, as `pull` takes it."""
    alpine: bool = False
    """Whether Alpine's own release index says the file and its digest."""

    def to_json(self) -> Json:
        """Every field by name."""
        return self._asdict()


class LayerProgress(NamedTuple):
    """How far one layer of an image has come."""

    digest: str
    """What tells it from the others: `sha256:…` of the layer as it was packed."""
    state: str
    """`waiting`, `downloading`, `here` (fetched, or there already), `unpacking` or `unpacked`."""
    done: int
    """Bytes, of the layer as it was packed."""
    total: int


class Progress(NamedTuple):
    """How far a pull has come."""

    stage: str
    """`resolving`, `downloading`, `unpacking`, `cooking` or `storing`."""
    done: int
    """Bytes (files, when cooking)."""
    total: int | None
    """The same unit; None while nobody knows."""
    layers: tuple[LayerProgress, ...] = ()
    """An image's layers, lowest first, while they are fetched and unpacked."""

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Progress:
        """What it was before it travelled as a list."""
        stage, done, total, layers = data
        return cls(stage, done, total, tuple(LayerProgress(*layer) for layer in layers))


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
class PastMeal:
    """A meal as the nest remembers it. What it put out is the caller's, and is not kept."""

    number: int
    """Counted from 1, in the order in which a pet was fed."""
    command: tuple[str, ...]
    """Very long ones are cut."""
    at: datetime
    """When it began, UTC."""
    exit_code: int | None = None
    """None while it is running, and where no nest was there to see its end."""
    duration: float | None = None
    """Seconds."""
    oom_killed: bool = False
    running: bool = False

    def to_json(self) -> Json:
        """Every field by name."""
        return {
            "number": self.number,
            "command": list(self.command),
            "at": self.at.isoformat(),
            "exit_code": self.exit_code,
            "duration": self.duration,
            "oom_killed": self.oom_killed,
            "running": self.running,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PastMeal:
        """The inverse of `to_json`; keys it does not know are ignored."""
        return cls(
            number=data["number"],
            command=tuple(data["command"]),
            at=datetime.fromisoformat(data["at"]),
            exit_code=data.get("exit_code"),
            duration=data.get("duration"),
            oom_killed=data.get("oom_killed", False),
            running=data.get("running", False),
        )


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
    last_words: str = ""
    """The end of its log, as the pet wrote it: make it harmless before a terminal gets it."""

    def to_json(self) -> Json:
        """Every field by name."""
        return {
            "cause": self.cause,
            "died_at": self.died_at.isoformat() if self.died_at else None,
            "exit_code": self.exit_code,
            "oom_killed": self.oom_killed,
            "last_readings": self.last_readings and list(self.last_readings),
            "last_words": self.last_words,
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
            last_words=data.get("last_words", ""),
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
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of its PID 1 and of its meals, beside PATH, HOME, TERM and HOSTNAME."""
    working_directory: str = ""
    """Where its PID 1 and its meals begin; empty for `/`."""
    user: str = ""
    """Who they are, as it was asked for; empty for the pet's root."""
    stop_signal: str = ""
    """What asks its PID 1 to end; empty for SIGTERM."""
    in_place: Mapping[str, str] = field(default_factory=dict)
    """By limit that is not enforced: what each process is held to in its place, in words."""

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
            "limits": self.limits.to_json()
            | {"enforced": list(self.enforced), "in_place": dict(self.in_place)},
            "readings": self.readings.to_json() if self.readings else None,
            "command": list(self.command),
            "hostname": self.hostname,
            "network": self.network,
            "read_only": self.read_only,
            "meals": self.meals,
            "epitaph": self.epitaph.to_json() if self.epitaph else None,
            "environment": dict(self.environment),
            "working_directory": self.working_directory,
            "user": self.user,
            "stop_signal": self.stop_signal,
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
            in_place=data["limits"].get("in_place", {}),
            readings=Readings(**data["readings"]) if data["readings"] else None,
            command=tuple(data["command"]),
            hostname=data["hostname"],
            network=data["network"],
            read_only=data["read_only"],
            meals=data["meals"],
            epitaph=Epitaph.from_json(data["epitaph"]) if data["epitaph"] else None,
            environment=data.get("environment", {}),
            working_directory=data.get("working_directory", ""),
            user=data.get("user", ""),
            stop_signal=data.get("stop_signal", ""),
        )


class Call(NamedTuple):
    """One system call as it was made."""

    name: str
    args: str
    result: str
    usec: float
    """Microseconds, the call alone."""

    def __str__(self) -> str:
        """As strace(1) writes it."""
        return f"{self.name}({self.args}) = {self.result}"


class StepReport(NamedTuple):
    """What one step of hatching or feeding really did."""

    name: str
    why: str
    """One sentence."""
    calls: Sequence[Call]
    usec: float
    """Microseconds for the whole step."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a pet."""

    kind: str
    """hatched, fed, meal-over, mood, limit (it ran into one), oom, throttled, asleep, awake, diet,
    died, adopted, released."""
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

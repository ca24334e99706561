"""What the nest writes down of a pet, so that nothing is lost with the nest.

A record is written whole: into a temporary file, then renamed. One that cannot be read back is
set aside and reported, never guessed at.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from engine.errors import ProcchiError
from engine.model import Epitaph, Limits

Phase = Literal["hatching", "alive", "ghost"]
FILE = "pet.json"
_NONSENSE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError),
    ProcchiError,
)
"""What reading a file raises that is no record, whatever else it is."""


@dataclass(slots=True)
class Record:
    """One pet, as it is on disk."""

    name: str
    egg: str
    layers: tuple[str, ...]
    created_at: datetime
    command: tuple[str, ...]
    hostname: str
    limits: Limits
    enforced: tuple[str, ...]
    network: str = "none"
    read_only: bool = False
    phase: Phase = "hatching"
    pid: int = 0
    start_time: int = 0
    """Clock ticks since boot (field 22 of proc_pid_stat(5)): with the pid, an identity."""
    boot_id: str = ""
    asleep: bool = False
    meals: int = 0
    oom_kills: int = 0
    """How many are known, and so are not news."""
    epitaph: Epitaph | None = None
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: str = ""
    user: str = ""
    stop_signal: str = ""
    cgroup: dict[str, Any] = field(default_factory=dict)
    """Where its group is, as `Cgroups.to_json` says it; empty in a record of an older nest."""

    def to_json(self) -> dict[str, Any]:
        """Every field by name."""
        return {
            "name": self.name,
            "egg": self.egg,
            "layers": list(self.layers),
            "created_at": self.created_at.isoformat(),
            "command": list(self.command),
            "hostname": self.hostname,
            "limits": self.limits.to_json(),
            "enforced": list(self.enforced),
            "network": self.network,
            "read_only": self.read_only,
            "phase": self.phase,
            "pid": self.pid,
            "start_time": self.start_time,
            "boot_id": self.boot_id,
            "asleep": self.asleep,
            "meals": self.meals,
            "oom_kills": self.oom_kills,
            "epitaph": self.epitaph.to_json() if self.epitaph else None,
            "environment": self.environment,
            "working_directory": self.working_directory,
            "user": self.user,
            "stop_signal": self.stop_signal,
            "cgroup": self.cgroup,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """The inverse of `to_json`."""
        if data["phase"] not in get_args(Phase):
            raise ValueError(f"there is no phase {data['phase']!r}")
        return cls(
            name=data["name"],
            egg=data["egg"],
            layers=tuple(data["layers"]),
            created_at=datetime.fromisoformat(data["created_at"]),
            command=tuple(data["command"]),
            hostname=data["hostname"],
            limits=Limits.from_json(data["limits"]),
            enforced=tuple(data["enforced"]),
            network=data["network"],
            read_only=data["read_only"],
            phase=data["phase"],
            pid=int(data["pid"]),
            start_time=int(data["start_time"]),
            boot_id=data["boot_id"],
            asleep=data["asleep"],
            meals=int(data["meals"]),
            oom_kills=int(data.get("oom_kills", 0)),
            epitaph=Epitaph.from_json(data["epitaph"]) if data["epitaph"] else None,
            environment=dict(data.get("environment") or {}),
            working_directory=data.get("working_directory", ""),
            user=data.get("user", ""),
            stop_signal=data.get("stop_signal", ""),
            cgroup=dict(data.get("cgroup") or {}),
        )

    def save(self, directory: str, sync: bool = True) -> None:
        """Write it whole into the pet's directory. Raises OSError.

        Without `sync` a power cut may leave the record before this one; a mere crash does not.
        """
        write_whole(f"{directory}/{FILE}", json.dumps(self.to_json()).encode(), sync)

    @classmethod
    def load(cls, directory: str) -> Record:
        """Read it back. Raises ProcchiError when it is torn or not a record of that pet."""
        try:
            with open(f"{directory}/{FILE}", "rb") as file:
                record = cls.from_json(json.load(file))
        except _NONSENSE as error:
            raise ProcchiError(f"{directory}/{FILE}: {type(error).__name__}: {error}") from error
        if record.name != os.path.basename(directory):
            raise ProcchiError(f"{directory}/{FILE} is the record of {record.name!r}")
        return record


def write_whole(path: str, data: bytes, sync: bool = True) -> None:
    """Replace `path` by `data`, or leave it as it was. Raises OSError."""
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def boot_id() -> str:
    """This boot's identity: a pid means nothing after another one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()

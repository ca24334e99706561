"""What the nest writes down of a pet, so that nothing is lost with the nest.

A record is written whole: into a temporary file, then renamed. One that cannot be read back is
set aside and reported, never guessed at.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from engine.errors import ProcchiError
from engine.model import Epitaph, Limits

Phase = Literal["hatching", "alive", "ghost"]
FILE = "pet.json"


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
    epitaph: Epitaph | None = None

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
            "epitaph": self.epitaph.to_json() if self.epitaph else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """The inverse of `to_json`."""
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
            epitaph=Epitaph.from_json(data["epitaph"]) if data["epitaph"] else None,
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
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ProcchiError) as error:
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


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which `pid` started; None when there is no such process.

    A process may have any name, `) (` included: the fields are counted behind the last `)`.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = content.rpartition(b")")[2].split()
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


def take_hold(pid: int, started: int) -> int | None:
    """A pidfd of the process `pid` that started at `started`; None when it is gone.

    The start time is read with the pidfd in hand, so the number cannot change hands between.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError):
        return None
    if start_time(pid) == started:
        return pidfd
    os.close(pidfd)
    return None

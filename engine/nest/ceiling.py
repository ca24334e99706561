"""What all pets of a nest together may use, so that many within their own limits leave a host.

It is set on the group that holds the pets' groups; the nest is outside of it. What its keeper
chose is kept on disk in their own words: a share stays one when the host changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.cgroups import Cgroups, Group
from engine.errors import BadRequest, ProcchiError
from engine.limits import Limits, parse_size
from engine.nest.records import write_whole
from engine.places import Places

USUAL = {"memory": "75%", "cpu": "all but a bit", "pids": "50%"}
"""Where nothing was chosen. A bit is half a core, or a fifth of a host with less than three."""
DEFAULT = "default"
Pets = Iterable[tuple[Group, Limits]]


class Ceiling:
    """The ceiling of one nest."""

    def __init__(self, places: Places, cgroups: Cgroups, complain: Callable[[str], None]) -> None:
        self._path = f"{places.data}/ceiling.json"
        self._cgroups, self._complain = cgroups, complain
        self._words = self._load()
        self._refused = ""

    def apply(self, pets: Pets = ()) -> None:
        """Set it; where the kernel refuses, that is said in `status`. Needs `Cgroups.prepare`."""
        try:
            self._cgroups.cap(limits_of(self._words), pets)
            self._refused = ""
        except OSError as error:
            self._refused = str(error)
            self._complain(f"the ceiling for all pets could not be set: {error}")

    def change(self, changes: Mapping[str, Any], pets: Pets, lives: bool) -> None:
        """Choose another, now and from now on. All of it or nothing. Raises ProcchiError."""
        words = dict(self._words)
        for name, word in changes.items():
            if name not in USUAL:
                raise BadRequest(f"there is no ceiling for {str(name)[:40]!r}: {', '.join(USUAL)}")
            words[name] = str(word).strip()
            if words[name] == DEFAULT:
                del words[name]
        new = limits_of(words)
        known = list(pets)
        try:
            if lives:
                self._cgroups.cap(new, known)
            write_whole(self._path, json.dumps(words).encode())
        except OSError as error:
            self.apply(known)
            raise ProcchiError(f"the ceiling stays as it is: {error}") from error
        self._words, self._refused = words, ""

    def status(self) -> dict[str, Any]:
        """The limits as numbers, what was chosen, and those that the kernel enforces."""
        limits = limits_of(self._words).to_json()
        return {
            **{name: limits[name] for name in USUAL},
            "chosen": USUAL | self._words,
            "enforced": [] if self._refused else list(self._cgroups.enforced),
            "why": self._refused,
        }

    def _load(self) -> dict[str, str]:
        try:
            with open(self._path) as file:
                words = {name: str(word) for name, word in json.load(file).items() if name in USUAL}
            limits_of(words)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, ProcchiError) as error:
            self._complain(f"{self._path} says nothing that can be used ({error}): as if not there")
            return {}
        return words


def limits_of(words: Mapping[str, str]) -> Limits:
    """The ceiling that `words` mean on this host. Raises BadRequest."""
    chosen = USUAL | dict(words)
    cores = len(os.sched_getaffinity(0))
    cpu: str | float = chosen["cpu"]
    if cpu == USUAL["cpu"]:
        cpu = cores - min(0.5, cores * 0.2)
    elif share := _share(chosen["cpu"]):
        cpu = share * cores
    memory: str | int = chosen["memory"]
    if share := _share(chosen["memory"]):
        memory = int(share * _memory())
    pids: str | int = chosen["pids"]
    if share := _share(chosen["pids"]):
        pids = int(share * _tasks())
    return Limits(memory, cpu, pids, swap=None)


def _share(word: str) -> float | None:
    """0.75 of `75%`; None where it is no share. Raises BadRequest for one that cannot be."""
    if not word.endswith("%"):
        return None
    try:
        share = float(word[:-1]) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise BadRequest(f"{word[:40]!r} is no share of a host: choose more than 0%, up to 100%")
    return share


def _memory() -> int:
    """Bytes of this host."""
    with open("/proc/meminfo") as file:
        return parse_size(file.readline().split(":")[1].strip())


def _tasks() -> int:
    """How many processes and threads this host can have."""
    most = []
    for name in ("pid_max", "threads-max"):
        with open(f"/proc/sys/kernel/{name}") as file:
            most.append(int(file.read()))
    return min(most)

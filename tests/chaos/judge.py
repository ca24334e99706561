"""What must be true once the noise is over: the disk, the kernel and everybody's journal agree."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import engine
from engine.group_files import own_groups
from engine.limits import cpu_quota
from engine.places import Places
from tests.conftest import children_of, eventually, fork_server, leftovers, nest_pid

SAVED_SECONDS = 10
"""How long a nest may take to write down what a full disk refused."""


class Journals:
    """What all clients have put down."""

    def __init__(self, directory: Path) -> None:
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tracebacks: list[str] = []
        self.gorged: set[str] = set()
        """Who was fed more than it may have."""
        self._words: dict[str, list[tuple[str, str]]] = {}
        for path in sorted(directory.iterdir()):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._take(line.split("\t"))

    def _take(self, words: list[str]) -> None:
        match words:
            case ["traceback", said]:
                self.tracebacks.append(said)
            case ["gorges", name]:
                self.gorged.add(name)
            case ["did", wish, name]:
                self.done[wish] += 1
                self._words.setdefault(name, []).append(("did", wish))
            case ["refused", wish, name, kind, _]:
                self.refused[f"{wish}: {kind}"] += 1
            case ["try", "release", name]:
                self._words.setdefault(name, []).append(("try", "release"))

    def must_be_there(self) -> set[str]:
        """Pets that hatched and that nobody has even tried to release."""
        return {
            name
            for name, words in self._words.items()
            if ("did", "hatch") in words and ("try", "release") not in words
        }

    def may_be_dying(self) -> set[str]:
        """Pets of which a release was tried: it may have died with the nest, half-way."""
        return {name for name, words in self._words.items() if ("try", "release") in words}

    def must_be_gone(self) -> set[str]:
        """Pets whose release was answered."""
        return {name for name, words in self._words.items() if ("did", "release") in words}


def findings(home: str, journals: Journals, killed: set[str]) -> Iterator[str]:
    """Everything that is wrong, while the pets are still there."""
    pets = {pet.name: pet for pet in engine.pets()}
    yield from (f"a client's traceback: {said}" for said in journals.tracebacks)
    for name in sorted(journals.must_be_there() - set(pets)):
        yield f"{name} is lost"
    for name in sorted(journals.must_be_gone() & set(pets)):
        yield f"{name} was released, and is there"
    dying = journals.may_be_dying()
    living = {}
    for name, pet in pets.items():
        if pet.status == "ghost":
            end = pet.epitaph
            forgiven = name in journals.gorged and (end is None or _may_be_oom(end.cause))
            if name not in killed | dying and not forgiven:
                yield f"{name} died, and nobody killed it: {end and end.cause}"
        elif namespace := _namespace(pet.pid or 0):
            living[namespace] = name
            yield from (f"{name}: {wrong}" for wrong in _lasting(home, pet))
        else:
            yield f"{name} is said to be {pet.status}, and there is no process {pet.pid}"
    group = Places(home, "").group
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        if group in groups and _namespace(int(pid)) not in living:
            yield f"process {pid} is in a group of ours, and of no pet"
    listed = set(os.listdir(f"{home}/pets"))
    if listed != set(pets):
        yield f"on the disk or in the list alone: {sorted(listed ^ set(pets))}"
    log = Path(f"{home}/nest.log").read_text(errors="replace")
    if "Traceback" in log:
        yield "the nest's log has a traceback:\n" + log[log.index("Traceback") :][:3000]


def _lasting(home: str, pet: engine.Pet) -> list[str]:
    """Disagreements that stay: a full disk's record is written some seconds after there is room."""
    deadline = time.monotonic() + SAVED_SECONDS
    while (wrong := list(disagreements(home, pet))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return wrong


def disagreements(home: str, pet: engine.Pet) -> Iterator[str]:
    """Where the kernel, the list and the record on disk differ about a living pet."""
    record = json.loads(Path(f"{home}/pets/{pet.name}/pet.json").read_text())
    said: dict[str, tuple[object, object]] = {
        "phase": ("alive", record["phase"]),
        "pid": (pet.pid, record["pid"]),
        "asleep on the disk": (pet.status == "asleep", record["asleep"]),
        "limits": (pet.limits.to_json(), record["limits"]),
    }
    content = Path(f"/proc/{pet.pid}/cgroup").read_text()
    groups = own_groups(content, pet.name)
    if not {"", "memory", "cpu", "pids", "freezer"} & set(groups):
        yield f"it is in no group of its own: {content}"
        return
    for name, held in _held(groups).items():
        said[f"the kernel's {name}"] = (_wanted(pet)[name], held)
    for what, (one, other) in said.items():
        if one != other:
            yield f"{what}: {one} in the list, and {other}"


def _held(groups: Mapping[str, str]) -> dict[str, object]:
    """What the kernel holds a pet to, by its own files."""

    def read(controller: str, file: str) -> list[str]:
        directory = groups.get("", groups.get(controller, ""))
        return Path(directory, file).read_text().split()

    if "" in groups:
        (memory,), cpu, frozen = (
            read("", "memory.max"),
            read("", "cpu.max"),
            read("", "cgroup.freeze"),
        )
    else:
        (memory,) = read("memory", "memory.limit_in_bytes")
        cpu = [*read("cpu", "cpu.cfs_quota_us"), *read("cpu", "cpu.cfs_period_us")]
        frozen = read("freezer", "freezer.state")
    (pids,) = read("pids", "pids.max")
    return {
        "memory": int(memory),
        "cpu": None if cpu[0] in {"max", "-1"} else (int(cpu[0]), int(cpu[1])),
        "pids": int(pids),
        "asleep": frozen[0] in {"1", "FROZEN"},
    }


def _wanted(pet: engine.Pet) -> dict[str, object]:
    limits = pet.limits
    return {
        "memory": limits.memory,
        "cpu": None if limits.cpu is None else cpu_quota(limits.cpu, limits.cpu_period),
        "pids": limits.pids,
        "asleep": pet.status == "asleep",
    }


def _may_be_oom(cause: str) -> bool:
    """Whether an epitaph speaks of the OOM killer, or of a death that no nest has seen."""
    return "out of memory" in cause or "OOM killer" in cause


MOST_RESIDENT = 60 << 20
"""Bytes that a nest may have after all that."""
QUIET_ROUNDS = 10


def left(home: str) -> Iterator[str]:
    """What is still there once every pet was released, in the nest and outside of it."""
    for pet in engine.pets():
        engine.release(pet.name)
    nest = nest_pid()
    forks = fork_server()
    eventually(lambda: children_of(nest) == [forks], "the nest's children have ended")
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{nest}/status").read_text().splitlines()
    )
    if (resident := int(status["VmRSS"].split()[0]) << 10) > MOST_RESIDENT:
        yield f"{resident} bytes of memory in the nest"
    descriptors = _descriptors(nest)
    engine.stop_nest()
    yield from (thing for thing in leftovers(home) if " tmpfs chaos " not in thing)
    engine.start_nest()
    fresh = _descriptors(nest_pid())
    if len(descriptors) > len(fresh):
        yield f"descriptors in the nest: {descriptors}, of which a new one has {fresh}"
    engine.stop_nest()


def _descriptors(pid: int) -> list[str]:
    """What it has open at the quietest of some moments: it answers before it hangs up."""
    moments = []
    for _ in range(QUIET_ROUNDS):
        moments.append(_open(pid))
        time.sleep(0.05)
    return min(moments, key=len)


def _open(pid: int) -> list[str]:
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(found)


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid_for_children") if pid else ""
    except OSError:
        return ""

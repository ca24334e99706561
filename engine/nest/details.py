"""All that the kernel tells of one pet: its group's numbers, its I/O, its network."""

from __future__ import annotations

import time
from collections.abc import Iterable

from engine.model import Details, Fact, Readings
from engine.nest.keeper import Keeper

LONGEST, SHORTEST = 5.0, 0.9
"""Seconds over which the CPU's use is taken, where somebody has been watching for that long."""


def details(keeper: Keeper, name: str) -> Details:
    """What is known of the pet `name` now. Raises NoSuchPet."""
    dweller = keeper.find(name)
    if not dweller.alive:
        return Details(name, time.monotonic(), {})
    now = keeper.read(dweller)
    facts = dweller.group.facts()
    facts |= _cores(dweller.history, now, dweller.cgroups.files.get("cpu_usec", ""))
    if "io_read_bytes" not in facts:  # the io controller is not ours, or there is none
        facts |= _io(dweller.group.processes())
    if dweller.record.network == "none":
        facts |= _network(dweller.record.pid)
    return Details(name, now.at, facts)


def _cores(history: Iterable[Readings], now: Readings, file: str) -> dict[str, Fact]:
    """The CPU time used per second, lately; nothing where nobody had looked before."""
    then = next((past for past in history if now.at - past.at <= LONGEST), now)
    if then.cpu_usec is None or now.cpu_usec is None or now.at - then.at < SHORTEST:
        return {}
    if (used := now.cpu_usec - then.cpu_usec) < 0:  # without groups, what had used it is gone
        return {}
    cores = round(used / 1e6 / (now.at - then.at), 3)
    return {"cpu_cores": Fact(cores, "cores", f"{file}, over {now.at - then.at:.1f} s")}


def _io(processes: Iterable[int]) -> dict[str, Fact]:
    """What went to and came from disks: the sum of proc_pid_io(5), children waited for included."""
    sums = {"read_bytes": 0, "write_bytes": 0}
    seen = False
    for pid in processes:
        try:
            with open(f"/proc/{pid}/io") as file:
                lines = dict(line.split(": ") for line in file)
            for key in sums:
                sums[key] += int(lines[key])
            seen = True
        except (OSError, ValueError, KeyError):
            continue
    if not seen:
        return {}
    return {
        fact: Fact(sums[key], "bytes", f"/proc/PID/io {key}, of its living processes")
        for fact, key in (("io_read_bytes", "read_bytes"), ("io_written_bytes", "write_bytes"))
    }


def _network(pid: int) -> dict[str, Fact]:
    """Bytes through every interface of its network namespace, loopback included."""
    path = f"/proc/{pid}/net/dev"
    received = sent = 0
    try:
        with open(path) as file:
            for line in file:
                _, colon, rest = line.partition(":")
                if colon:
                    received += int(rest.split()[0])
                    sent += int(rest.split()[8])
    except OSError:
        return {}
    return {
        "net_received_bytes": Fact(received, "bytes", "/proc/PID/net/dev receive bytes", path),
        "net_sent_bytes": Fact(sent, "bytes", "/proc/PID/net/dev transmit bytes", path),
    }

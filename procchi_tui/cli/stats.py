"""`procchi stats`: what the pets use, once or again and again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

import engine
from procchi_tui.cli import text, words

HEADER = (
    *("NAME", "CORES", "CPU TIME", "MEMORY", "PEAK", "NET I/O", "BLOCK I/O", "PIDS"),
    *("THROTTLED", "REFUSED", "OOM"),
)

IO = ("net_received_bytes", "net_sent_bytes", "io_read_bytes", "io_written_bytes")

Entry = dict[str, Any]
"""What is shown of one pet, as JSON has it."""


@click.command(epilog=words.example("procchi stats", "procchi stats moka --watch"))
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=words.complete_pet)
@click.option("--watch", is_flag=True, help="Again every second, with the CPU share, until Ctrl-C.")
@words.json_option
def stats(names: tuple[str, ...], watch: bool, as_json: bool) -> None:
    """Show what the living pets use, as the kernel counts it.

    CORES is the CPU time used since a second ago, in cores, and shown with --watch only;
    NET I/O is what it received and sent in a network of its own, BLOCK I/O what it read from and
    wrote to disks. THROTTLED counts quota periods, REFUSED forks. With --watch, --json is one
    document a line.
    """
    found = [_entry(pet, pet.readings, None) for pet in _chosen(names)]
    if not watch:
        click.echo(json.dumps(found, indent=2) if as_json else _table(found))
        return
    for found in _every_second(names):
        if as_json:
            click.echo(json.dumps(found))
            continue
        if sys.stdout.isatty():
            click.clear()
        click.echo(_table(found))


def _chosen(names: Sequence[str]) -> list[engine.Pet]:
    """The pets of those names, or every one that lives. Raises NoSuchPet."""
    if names:
        return [engine.look(name) for name in names]
    return [pet for pet in engine.pets() if pet.status != "ghost"]


def _every_second(names: Sequence[str]) -> Iterator[list[Entry]]:
    pets: dict[str, engine.Pet] = {}
    before: dict[str, engine.Readings] = {}
    with engine.watch(readings=1.0) as news:
        for snapshot in news:
            if not isinstance(snapshot, engine.Snapshot):
                continue
            pets |= {pet.name: pet for pet in snapshot.pets}
            for name in snapshot.gone:
                pets.pop(name, None)
                before.pop(name, None)
            now = {pet.name: pet.readings for pet in snapshot.pets if pet.readings}
            now |= snapshot.readings
            yield [
                _entry(pet, now.get(name) or before.get(name), _cores(before, now, name))
                for name, pet in pets.items()
                if (name in names if names else pet.status != "ghost")
            ]
            before |= now


def _cores(
    before: dict[str, engine.Readings], now: dict[str, engine.Readings], name: str
) -> float | None:
    """How many cores it used between two readings; those that did not change are not sent."""
    if not (earlier := before.get(name)):
        return None
    if not (later := now.get(name)):
        return 0.0
    if earlier.cpu_usec is None or later.cpu_usec is None or later.at <= earlier.at:
        return None
    return (later.cpu_usec - earlier.cpu_usec) / 1e6 / (later.at - earlier.at)


def _entry(pet: engine.Pet, readings: engine.Readings | None, cores: float | None) -> Entry:
    return {
        "name": pet.name,
        "status": pet.status,
        "cores": cores,
        "limits": pet.to_json()["limits"],
        "readings": readings.to_json() if readings else None,
        "io": _io(pet),
    }


def _io(pet: engine.Pet) -> dict[str, Any]:
    """Bytes through its network and its disks; None where the kernel does not say."""
    try:
        facts = engine.details(pet.name).facts
    except engine.NoSuchPet:  # released since
        facts = {}
    return {name: facts[name].value if name in facts else None for name in IO}


def _table(entries: Sequence[Entry]) -> str:
    return text.columns([HEADER, *map(_row, entries)])


def _row(entry: Entry) -> tuple[str, ...]:
    now = entry["readings"] or engine.Readings(at=0.0).to_json()
    if entry["status"] == "ghost":  # what was counted stays; it uses nothing any more
        now = now | {"memory": None, "pids": None}
    received, sent, read, written = (text.size(entry["io"][name]) for name in IO)
    cores = text.DASH if entry["cores"] is None else f"{entry['cores']:.2f}"
    return (
        entry["name"],
        text.usage("cpu", cores, entry["limits"]),
        text.cpu_time(now["cpu_usec"]),
        text.usage("memory", text.size(now["memory"]), entry["limits"]),
        text.size(now["memory_peak"]),
        f"{received} / {sent}",
        f"{read} / {written}",
        text.usage("pids", text.count(now["pids"]), entry["limits"]),
        f"{text.count(now['throttled'])}/{text.count(now['periods'])}",
        text.count(now["forks_refused"]),
        text.count(now["oom_kills"]),
    )

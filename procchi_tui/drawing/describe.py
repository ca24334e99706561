"""From what the nursery knows of a pet to what its card says."""

from __future__ import annotations

from datetime import datetime
from zlib import crc32

from engine import Pet, Readings
from procchi_tui.drawing.card import Card, Gauge
from procchi_tui.drawing.sprites import Look, coat_of
from procchi_tui.moments import Step
from procchi_tui.nursery import Nursery
from procchi_tui.words import age, cores, size

PULSES_A_BEAT = 2
"""At rest pets move on at half the screen's tick: two steps a second are lively enough."""


def describe(
    nursery: Nursery,
    name: str,
    now: datetime,
    pulse: int = 0,
    *,
    chosen: bool = False,
    marked: bool = False,
    moment: Step | None = None,
) -> Card:
    """The card of the pet called `name` at `pulse` of the screen's tick."""
    pet = nursery.pets[name]
    old = age(pet.created_at, now)
    body = f"pid {pet.pid}" if pet.pid is not None else "no pid"
    return Card(
        name=name,
        stage=pet.stage,
        mood=pet.mood,
        reason=nursery.reason(name),
        facts=(body, pet.egg, old),
        look=look(pet, pulse, moment, eating=name in nursery.eating),
        gauges=gauges(pet, nursery.readings.get(name), nursery.cores(name)),
        history=nursery.history(name),
        memory_limit=pet.limits.memory,
        cores_limit=pet.limits.cpu,
        epitaph=epitaph(pet, now),
        chosen=chosen,
        marked=marked,
    )


def look(pet: Pet, pulse: int, moment: Step | None = None, *, eating: bool = False) -> Look:
    """How the pet looks at that pulse. Each has its own rhythm, so that they do not march."""
    coat = coat_of(pet.name)
    if moment is not None:
        return Look(pet.stage, moment.mood, coat, moment.frame, moment.frame)
    beat = pulse // PULSES_A_BEAT + crc32(pet.name.encode()) % 60
    mood = "eating" if eating and pet.status == "alive" else pet.mood
    calm = pet.status != "alive"
    return Look(
        stage=pet.stage,
        mood=mood,
        coat=coat,
        pose=beat // (4 if calm else 2) % 2,
        face=int(beat % 5 == 0) if mood != "eating" else beat % 2,
    )


def gauges(pet: Pet, readings: Readings | None, used_cores: float | None) -> tuple[Gauge, ...]:
    """Memory, CPU and pids against their limits."""
    limits, enforced = pet.limits, pet.enforced
    memory = readings.memory if readings else None
    pids = readings.pids if readings else None
    if used_cores is None and readings and readings.cpu_usec is not None:
        used_cores = 0.0
    return (
        Gauge(
            "mem",
            None if memory is None else size(memory),
            None if limits.memory is None else size(limits.memory),
            _share(memory, limits.memory),
            "memory" in enforced,
        ),
        Gauge(
            "cpu",
            None if used_cores is None else f"{used_cores:.2f}",
            None if limits.cpu is None else cores(limits.cpu),
            _share(used_cores, limits.cpu),
            "cpu" in enforced,
        ),
        Gauge(
            "pids",
            None if pids is None else str(pids),
            None if limits.pids is None else str(limits.pids),
            _share(pids, limits.pids),
            "pids" in enforced,
            "user" if "pids" in pet.in_place else "",  # RLIMIT_NPROC
        ),
    )


def _share(used: float | None, limit: float | None) -> float:
    return min(1.0, used / limit) if used is not None and limit else 0.0


def epitaph(pet: Pet, now: datetime) -> str:
    """How a ghost died, and when; empty for the living."""
    if pet.epitaph is None:
        return "It is dead; nobody saw how." if pet.status == "ghost" else ""
    when = pet.epitaph.died_at
    ago = {"new": "just now"}.get(age(when, now), f"{age(when, now)} ago") if when else "unseen"
    return f"{pet.epitaph.cause} ({ago})"

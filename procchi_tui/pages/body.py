"""How a pet is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine import Details, Pet, Readings
from procchi_tui.drawing.gauges import spark
from procchi_tui.nest_engine import Engine
from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.words import age, cores, count, duration, loosely, plain, size

SPARK_WIDTH = 40


class Body(Page):
    """Its facts, its diet, its last minutes, and the kernel's numbers."""

    id = "body"
    title = "Body"
    about = "How it is, its limits and readings"
    of_ghosts = True

    def read(self, engine: Engine, name: str) -> Details:
        """All that the kernel tells of it."""
        return engine.details(name)

    def blocks(self, seen: Details | None, sight: Sight) -> Iterable[Block]:
        """Facts first, numbers last."""
        pet, now = sight.pet, sight.readings
        yield Block("", "", list(_facts(pet, age(pet.created_at, sight.now))))
        is_over = pet.status == "ghost"
        uses = "used" if is_over else "uses"
        yield Block("diet", f"its limits, and what it {uses} of them", list(_diet(pet, now)))
        if sight.history:
            lately = "its end" if is_over else "lately"
            yield Block(lately, "a sample a second, oldest left", list(_past(sight)))
        if seen is not None and seen.facts:
            yield Block(
                "the kernel's numbers",
                "each with the file that it stands in",
                [
                    (
                        name.removesuffix("_usec").replace("_", " "),
                        _told(fact.value, fact.unit),
                        fact.file,
                    )
                    for name, fact in seen.facts.items()
                ],
            )


def _told(value: float | None, unit: str) -> str:
    if value is None:
        return "no limit"
    match unit:
        case "bytes":
            return size(value)
        case "usec":
            return duration(value / 1e6)
        case "percent":
            return f"{value:g} %"
    return f"{value:g}"


def _past(sight: Sight) -> Iterator[tuple[str, str]]:
    limits = sight.pet.limits
    memory = [sample.memory for sample in sight.history]
    used = [sample.cores for sample in sight.history]
    top = limits.memory or max((value or 0 for value in memory), default=0)
    most = limits.cpu or max((value or 0 for value in used), default=0)
    yield "memory", f"{spark(memory, top, SPARK_WIDTH)}  of {size(top)}"
    yield "CPU", f"{spark(used, most, SPARK_WIDTH)}  of {cores(most)} cores"


def _facts(pet: Pet, old: str) -> Iterator[tuple[str, str]]:
    yield "status", pet.status
    if pet.epitaph:
        yield "epitaph", pet.epitaph.cause
        if pet.epitaph.died_at:
            yield "died", f"{pet.epitaph.died_at.astimezone():%Y-%m-%d %H:%M:%S}"
        if words := plain(pet.epitaph.last_words).strip():
            yield "last words", words.splitlines()[-1]
    yield "pid", "none any more" if pet.pid is None else f"{pet.pid} on the host, 1 inside"
    yield "egg", pet.egg
    yield "command", " ".join(pet.command) or "the egg's shell"
    yield "hostname", pet.hostname or pet.name
    yield (
        "network",
        {"none": "none but its own loopback", "host": "the host's"}.get(pet.network, pet.network),
    )
    yield "root", "read-only" if pet.read_only else "writable; the egg stays untouched"
    yield "stage", pet.stage
    yield "eaten", count(pet.meals, "meal")
    yield "born", f"{pet.created_at.astimezone():%Y-%m-%d %H:%M:%S} ({old})"


def _diet(pet: Pet, readings: Readings | None) -> Iterator[tuple[str, str]]:
    """Each limit with what is used of it, and what the kernel has counted."""
    limits, now = pet.limits, readings or Readings(0.0)
    in_use, counted = ("when last read",) * 2 if pet.status == "ghost" else ("in use", "now")

    def line(kind: str, used: str | None, limit: str | None) -> str:
        told = used or "no reading here"
        if limit is None:
            return f"{told}, no limit"
        loose = f" ({said})" if (said := loosely(pet, kind)) else ""
        return f"{told}, {limit} at most{loose}"

    yield (
        "memory",
        line(
            "memory",
            None if now.memory is None else f"{size(now.memory)} {in_use}",
            None if limits.memory is None else size(limits.memory),
        ),
    )
    if now.memory_peak is not None:
        yield "peak", size(now.memory_peak)
    if now.oom_kills is not None:
        yield "OOM kills", str(now.oom_kills)
    yield (
        "CPU",
        line(
            "cpu",
            None if now.cpu_usec is None else f"{duration(now.cpu_usec / 1e6)} used",
            None if limits.cpu is None else f"{cores(limits.cpu)} cores",
        ),
    )
    if now.periods is not None and now.throttled is not None:
        yield "throttled", f"in {now.throttled} of {now.periods} periods"
    tasks = None if now.pids is None else f"{now.pids} {counted}"
    yield "pids", line("pids", tasks, None if limits.pids is None else str(limits.pids))
    if now.forks_refused is not None:
        yield "refused", count(now.forks_refused, "fork")

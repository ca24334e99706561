"""Looking at pets and caring for them: every command that names one and is over at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

import engine
from procchi_tui.cli import failures, listing, text, words
from procchi_tui.cli.explaining import explain as explain_steps
from procchi_tui.telling import sentence
from procchi_tui.words import loosely, one_line, plain

LAST_LINES = 5
"""Of a ghost's log, shown with its epitaph."""


@click.command(epilog=words.example("procchi pets --all", "procchi pets --json | jq '.[].mood'"))
@click.option("-a", "--all", "everything", is_flag=True, help="Ghosts (dead pets) too.")
@words.json_option
def pets(everything: bool, as_json: bool) -> None:
    """List the pets (containers) and their moods.

    MEMORY and PIDS are what a pet uses now, and what it may use at most; MAX CORES is what it may
    use of the CPU. What it does use of that, procchi stats --watch shows.

    JSON lists the ghosts too.
    """
    listing.show(everything, as_json)


@click.command(epilog=words.example("procchi look moka", "procchi look moka --xray"))
@words.name_argument
@click.option(
    "--xray", is_flag=True, help="Namespaces, ids, mounts, capabilities, processes, files too."
)
@words.json_option
def look(name: str, xray: bool, as_json: bool) -> None:
    """Look at one pet closely (inspect).

    Its mood and why, its limits, what it uses as the kernel counts it, and how it died.
    """
    pet, details = engine.look(name), engine.details(name)
    seen = engine.xray(name) if xray else None
    if as_json:
        told = pet.to_json() | {"details": details.to_json()["facts"]}
        click.echo(json.dumps(told | ({"xray": seen.to_json()} if seen else {}), indent=2))
        return
    about = (*_about(pet), *_needs(pet), *_end(pet))  # in part its image's words
    click.echo(text.columns([(what, one_line(value)) for what, value in about]))
    if details.facts:
        click.echo("\nwhat the kernel says")
        click.echo(text.columns([*map(_fact, details.facts.items())]))
    if seen:
        _show_xray(seen)


def _show_xray(seen: engine.XRay) -> None:
    """Each page of the screen's X-ray, as text."""
    from procchi_tui.pages import XRAY
    from procchi_tui.pages.page import harmless

    for page in XRAY:
        for block in map(harmless, page.parts(seen)):
            click.echo(f"\n{block.title} ({block.about})")
            rows = [block.head, *block.rows] if block.head else block.rows
            if rows:
                click.echo(text.columns(rows))


def _fact(item: tuple[str, engine.Fact]) -> tuple[str, str, str]:
    name, fact = item
    shown = name.removesuffix("_usec").replace("_", " ")
    return shown, text.fact(fact.value, fact.unit), fact.file


def _about(pet: engine.Pet) -> Iterable[tuple[str, str]]:
    yield "name", pet.name
    yield "mood", f"{pet.mood}: {pet.reason}"
    if remedy := engine.remedy(pet.mood):
        yield "what to do", remedy.replace("NAME", pet.name)
    yield (
        "status",
        {"asleep": "asleep (frozen, paused)", "ghost": "ghost (dead)"}.get(pet.status, pet.status),
    )
    yield "stage", pet.stage
    yield "pid", f"{pet.pid}, of its PID 1 as the host sees it" if pet.pid else "none any more"
    yield "egg (image)", pet.egg
    yield "hatched", f"{pet.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
    yield "command", " ".join(pet.command) or "its egg's shell, reading from its mouth"
    yield from (
        (what, value)
        for what, value in (
            ("user", pet.user),
            ("directory", pet.working_directory),
            ("stop signal", pet.stop_signal),
        )
        if value
    )
    yield "host name", pet.hostname
    yield "network", "the host's" if pet.network == "host" else "its own, loopback only"
    if pet.read_only:
        yield "root", "read-only"
    yield "meals", str(pet.meals)


def _needs(pet: engine.Pet) -> Iterable[tuple[str, str]]:
    limits = pet.to_json()["limits"]
    for name in ("memory", "cpu", "pids"):
        limit = text.limit(name, limits)
        loose = f" {said}: procchi doctor says why" if (said := loosely(pet, name)) else ""
        yield f"{name} limit", f"{limit}{' cores' if name == 'cpu' else ''}{loose}"
    if limits["memory_high"]:
        yield "soft limit", f"{text.limit('memory_high', limits)} of memory (memory.high)"
    if limits["swap"] != 0:
        yield "swap", f"{text.limit('swap', limits)} on top of its memory"
    for what, told in _used(pet):
        if told:
            yield what, told


def _used(pet: engine.Pet) -> Iterable[tuple[str, str]]:
    """What it uses or, as a ghost, used; nothing of what the kernel does not tell."""
    seen = pet.readings or (pet.epitaph.last_readings if pet.epitaph else None)
    if seen is None:
        return
    now, so_far = ("when last read", "") if pet.status == "ghost" else ("now", " so far")

    def told(joint: str, *parts: tuple[object, str]) -> str:
        return joint.join(words for value, words in parts if value is not None)

    yield (
        "memory",
        told(
            ", ",
            (seen.memory, f"{text.size(seen.memory)} {now}"),
            (seen.memory_peak, f"{text.size(seen.memory_peak)} at most{so_far}"),
        ),
    )
    yield (
        "cpu",
        told(
            "; ",
            (seen.cpu_usec, f"{text.cpu_time(seen.cpu_usec)} used"),
            (seen.throttled, f"stopped in {text.counted(seen.throttled, 'period')}"),
        ),
    )
    yield (
        "pids",
        told(
            "; ",
            (seen.pids, f"{seen.pids} {now}"),
            (seen.forks_refused, f"{text.counted(seen.forks_refused, 'fork')} refused"),
        ),
    )
    yield "OOM kills", told("", (seen.oom_kills, str(seen.oom_kills)))


def _end(pet: engine.Pet) -> Iterable[tuple[str, str]]:
    if pet.epitaph:
        died = pet.epitaph.died_at
        yield "epitaph", pet.epitaph.cause
        yield "died", f"{died.astimezone():%Y-%m-%d %H:%M:%S}" if died else "when nobody looked"
        words_said = plain(pet.epitaph.last_words).splitlines()[-LAST_LINES:]
        yield from zip(["last words", *[""] * LAST_LINES], words_said, strict=False)


@click.command(epilog=words.example("procchi logs moka", "procchi logs -f moka"))
@words.name_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the pet is dead.")
def logs(name: str, follow: bool) -> None:
    """Print what a pet's PID 1 has said (its log), as it said it."""
    out = sys.stdout.buffer
    with engine.Log(engine.log_path(name)) as log:
        while True:
            living = follow and _lives(name)  # asked before the last read
            while chunk := log.read():
                out.write(chunk)
            out.flush()
            if not living:
                return
            time.sleep(0.25)


def _lives(name: str) -> bool:
    """Not as a ghost, nor released since."""
    try:
        return engine.look(name).status != "ghost"
    except engine.NoSuchPet:
        return False


@click.command(epilog=words.example("procchi meals moka", "procchi meals moka --explain 3"))
@words.name_argument
@click.option("--explain", type=int, metavar="NUMBER", help="Each step of that meal instead.")
@words.json_option
def meals(name: str, explain: int | None, as_json: bool) -> None:
    """List a pet's last meals (the commands run in it), oldest first."""
    if explain is not None:
        explain_steps(engine.care_log(name, meal=explain))
        return
    eaten = engine.meals(name)
    if as_json:
        click.echo(json.dumps([meal.to_json() for meal in eaten], indent=2))
    elif eaten:
        click.echo(
            text.columns([("MEAL", "BEGAN", "TOOK", "STATUS", "COMMAND"), *map(_eaten, eaten)])
        )


def _eaten(meal: engine.PastMeal) -> tuple[str, ...]:
    status = "?" if meal.exit_code is None else str(meal.exit_code)
    if meal.running:
        status = "eating"
    elif meal.oom_killed:
        status += " (out of memory)"
    return (
        str(meal.number),
        f"{meal.at.astimezone():%Y-%m-%d %H:%M:%S}",
        text.DASH if meal.duration is None else f"{meal.duration:.2f} s",
        status,
        " ".join(meal.command),
    )


@click.command(epilog=words.example("procchi diet moka --memory 100M --cpu 50% --pids unlimited"))
@words.name_argument
@click.option("--memory", help="At most so many bytes from now on.")
@click.option("--cpu", help="Cores from now on: 0.5, 50% or 50000/100000 (quota/period).")
@click.option("--pids", help="At most so many tasks at once from now on.")
@words.soft_options
def diet(name: str, **limits: str | None) -> None:
    """Change a living pet's limits (update); what is not named stays as it is.

    What the kernel refuses changes nothing: memory that a pet needs cannot be taken away.
    """
    given = {key: value for key, value in limits.items() if value is not None}
    if not given:
        raise click.UsageError("name at least one limit, as in --memory 100M")
    pet = engine.diet(name, **given)
    click.echo(name)
    if loose := [key for key in pet.limits.loose(pet.enforced) if key in given]:
        click.echo(f"* {', '.join(loose)} not enforced here; procchi doctor says why", err=True)


@click.command(epilog=words.example("procchi sleep moka"))
@words.names_argument
def sleep(names: tuple[str, ...]) -> int:
    """Put pets to sleep (pause).

    Every process of theirs is frozen where it stands.
    """
    return _each(names, engine.sleep)


@click.command(epilog=words.example("procchi wake moka"))
@words.names_argument
def wake(names: tuple[str, ...]) -> int:
    """Wake sleeping pets (unpause): they go on where they stood."""
    return _each(names, engine.wake)


@click.command(epilog=words.example("procchi release moka"))
@words.names_argument
def release(names: tuple[str, ...]) -> int:
    """Release pets (stop and remove).

    They are killed, and nothing of theirs is left.
    """
    return _each(names, engine.release)


def _each(names: Sequence[str], act: Callable[[str], object]) -> int:
    """Do it to every one, whatever becomes of the others; the first failure's status, or 0."""
    status = 0
    for name in names:
        try:
            act(name)
            click.echo(name)
        except engine.ProcchiError as error:
            failure = failures.report(error, [])
            status = status or failure
    return status


@click.command(epilog=words.example("procchi events", "procchi events --json | jq .kind"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def events(as_json: bool) -> None:
    """Print what happens to the pets, as it happens, until Ctrl-C."""
    with engine.watch() as watched:
        for event in watched:
            if not isinstance(event, engine.Event):
                continue
            if as_json:
                click.echo(json.dumps(_event_json(event)))
            else:
                at = f"{event.at.astimezone():%H:%M:%S}"
                click.echo(f"{at}  {event.pet} {sentence(event)}")


def _event_json(event: engine.Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "pet": event.pet,
        "at": event.at.isoformat(),
        "detail": dict(event.detail),
    }

"""`procchi-tui --plain`: the nest as lines of words, for screen readers and for logs.

Nothing is drawn and nothing is typed: what is to be done is said to `procchi` in another
terminal. Imports no Textual.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from engine import Event, Pet, ProcchiError, Snapshot
from procchi_tui.nest_engine import Engine
from procchi_tui.telling import sentence
from procchi_tui.words import count, names_in_words, one, plain

RETRY_SECONDS = 1.0
Say = Callable[[str], None]


def announce(engine: Engine, readings: float, *, out: Say | None = None) -> None:
    """Say how the pets are, then whatever happens to them, until interrupted.

    Where the output is no terminal each line begins with its time (ISO 8601), as in a log.
    """
    say = out if out is not None else _print if sys.stdout.isatty() else _log
    say("Procchi, as plain words. Ctrl-C ends them; `procchi --help` lists what can be done.")
    lost = ""

    def found() -> None:
        nonlocal lost
        if lost:
            say("The nest is there again.")
            lost = ""

    while True:
        try:
            _follow(engine, readings, say, found)
            reason = "it stopped"
        except (ProcchiError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            reason = str(error)
        if reason != lost:
            say(f"No word from the nest: {reason}. Trying again; the pets live on.")
            lost = reason
        time.sleep(RETRY_SECONDS)


def _follow(engine: Engine, readings: float, say: Say, found: Callable[[], None]) -> None:
    with engine.watch(readings=readings) as watch:
        first = True
        for item in watch:
            if isinstance(item, Event):
                say(f"{item.pet} {sentence(item)}")
            elif first:
                found()
                for line in _introduction(item, engine.nest_status()):
                    say(line)
                first = False


def _introduction(snapshot: Snapshot, status: Mapping[str, Any]) -> Iterable[str]:
    enforced = status.get("cgroup", {}).get("enforced", ())
    missing = [kind for kind in ("memory", "cpu", "pids") if kind not in enforced]
    if missing:
        them = names_in_words(missing)
        yield f"Limits on {them} are not enforced here: `procchi doctor` says what helps."
    yield f"{count(len(snapshot.pets), 'pet')} in the nest."
    for pet in sorted(snapshot.pets, key=lambda pet: pet.created_at):
        yield f"{pet.name}: {_how(pet)}"


def _how(pet: Pet) -> str:
    if pet.epitaph is not None:
        return plain(f"a ghost: {pet.epitaph.cause}")
    return plain(f"{pet.mood}, {one(pet.stage)}: {pet.reason}" if pet.reason else pet.mood)


def _print(line: str) -> None:
    print(line, flush=True)


def _log(line: str) -> None:
    print(f"{datetime.now(UTC).astimezone():%Y-%m-%dT%H:%M:%S%z} {line}", flush=True)

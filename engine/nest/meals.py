"""What a pet has eaten: its last meals on disk, each with what its steps really did.

One line of JSON when a meal begins and one when it is over, added at the end of the file; so a
nest that dies in between leaves a meal whose end nobody saw. Lines that were torn are passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from typing import Any

from engine.model import PastMeal
from engine.nest.records import write_whole

FILE = "meals.jsonl"
KEPT = 20
"""Meals of each pet."""
LARGEST = 256 << 10
"""Bytes. Past it the file is written anew, with the meals that are kept."""
LONGEST_TEXT = 2048
"""Characters kept of a command, and of one system call's arguments."""

Entry = dict[str, Any]


def begin(
    directory: str, number: int, command: Sequence[str], at: str, steps: Sequence[Sequence[Any]]
) -> None:
    """Put down that a meal began, and how. Raises OSError."""
    entry = {"meal": number, "command": _shortened(command), "at": at, "steps": _bounded(steps)}
    _append(directory, entry)


def end(directory: str, number: int, exit_code: int, duration: float, oom_killed: bool) -> None:
    """Put down how it ended. Raises OSError."""
    over = {"exit_code": exit_code, "duration": round(duration, 6), "oom_killed": oom_killed}
    _append(directory, {"meal": number, **over})


def past(directory: str, under_way: Collection[int]) -> list[PastMeal]:
    """The last meals, oldest first; those whose numbers are `under_way` have not ended."""
    return [
        PastMeal.from_json({"running": number in under_way, **entry, "number": number})
        for number, entry in _read(directory).items()
    ]


def steps(directory: str, number: int) -> list[Any] | None:
    """What the steps of a meal did; None where it is not kept."""
    entry = _read(directory).get(number)
    return None if entry is None else entry["steps"]


def latest(directory: str) -> int:
    """The number of the newest meal; 0 before the first."""
    return max(_read(directory), default=0)


def _append(directory: str, entry: Entry) -> None:
    path = f"{directory}/{FILE}"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        line = json.dumps(entry).encode() + b"\n"
        before = os.fstat(fd).st_size
        if before and os.pread(fd, 1, before - 1) != b"\n":
            line = b"\n" + line  # the one before was torn, as by a full disk: it ends here
        size = before + os.write(fd, line)
    finally:
        os.close(fd)
    if size > LARGEST:
        kept = _read(directory).items()
        lines = [json.dumps({"meal": number, **entry}) + "\n" for number, entry in kept]
        write_whole(path, "".join(lines).encode(), sync=False)


def _read(directory: str) -> dict[int, Entry]:
    """The meals that are kept, by number, oldest first."""
    found: dict[int, Entry] = {}
    try:
        with open(f"{directory}/{FILE}", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
            number = int(entry.pop("meal"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if number in found:
            found[number] |= entry
        elif "steps" in entry:
            found[number] = entry
    return dict(list(found.items())[-KEPT:])


def _shortened(command: Sequence[str]) -> list[str]:
    """`command`, cut where it is very long."""
    kept, room = list[str](), LONGEST_TEXT
    for word in command:
        if len(word) >= room:
            return [*kept, f"{word[:room]}…"]
        kept.append(word)
        room -= len(word) + 1
    return kept


def _bounded(steps: Sequence[Sequence[Any]]) -> list[Any]:
    """Step reports, long arguments cut."""
    return [
        [name, why, [[call, args[:LONGEST_TEXT], *rest] for call, args, *rest in calls], usec]
        for name, why, calls, usec in steps
    ]

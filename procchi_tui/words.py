"""Numbers and foreign text as words for the screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from engine import Pet, Progress

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and their kin, to their end
    r"|[ -/]*[0-~]?)"
)
_CONTROLS = {code: "�" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}
_CONTROLS |= dict.fromkeys((0x061C, *range(0x200B, 0x2010), *range(0x202A, 0x202F)), "�")
_CONTROLS |= dict.fromkeys((0x2028, 0x2029, *range(0x2066, 0x206A), 0xFEFF), "�")


def plain(text: str) -> str:
    """`text` that a pet wrote, made harmless: it must not steer the terminal that shows it.

    Escape sequences go, other control and direction-changing characters become `�`; lines
    and tabs stay (a tab as spaces).
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ESCAPES.sub("", text).translate(_CONTROLS).expandtabs(8)


def one_line(text: str) -> str:
    """`plain`, on one line."""
    return text if text.isascii() and text.isprintable() else plain(text).replace("\n", " ")


def age(born: datetime, now: datetime) -> str:
    """How long ago `born` was, in its largest unit: `new`, `5min`, `3h`, `12d`."""
    seconds = (now - born).total_seconds()
    if seconds < 60:
        return "new"
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    length, unit = next(step for step in units if seconds >= step[0])
    return f"{seconds // length:.0f}{unit}"


def size(count: float) -> str:
    """`count` bytes in at most five characters: 512B, 1.5K, 50M, 1.2G (powers of 1024)."""
    units = iter("BKMGT")
    unit = next(units)
    while count >= 1024 and unit != "T":
        count /= 1024
        unit = next(units)
    digits = f"{count:.1f}" if count < 10 and unit != "B" else f"{count:.0f}"
    return digits.removesuffix(".0") + unit


def cores(value: float) -> str:
    """A number of cores in at most four characters: 0.05, 0.5, 2, 16."""
    digits = 2 if value < 10 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """A stretch of time as people say it: 850 µs, 12 ms, 3.4 s, 2 min."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def time_left(seconds: float) -> str:
    """How long something will take, no more exactly than anybody can know: 8s, 3min, 2h."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}min" if seconds < 5400 else f"{seconds / 3600:.0f}h"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 pet`, `3 pets`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def one(noun: str) -> str:
    """`a pet`, `an egg`."""
    return f"{'an' if noun[:1] in set('aeiou') else 'a'} {noun}"


def names_in_words(names: Sequence[str]) -> str:
    """`moka`, `moka and pico`, `moka, pico and 3 more`."""
    if len(names) <= 3:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:2])} and {len(names) - 2} more"


def loosely(pet: Pet, limit: str) -> str:
    """That `limit` is not enforced, and what holds in its place; empty where it is, or is none."""
    if limit not in pet.limits.loose(pet.enforced):
        return ""
    instead = pet.in_place.get(limit)
    return "not enforced here" + (f", but {instead}" if instead else "")


def amount(progress: Progress) -> str:
    """What is done of how much, in words."""
    done, total = progress.done, progress.total
    if progress.stage == "cooking":
        return f"{done} files" if total is None else f"{done} of {total} files"
    if total is None:
        return size(done)
    return f"{done / total if total else 1.0:.0%} ({size(done)} of {size(total)})"

"""The language of the filter: what is typed after `/`, and which pets it means.

    mo !ghost mem>80%

Terms stand side by side, and all of them must hold. A word is looked for in the pet's name, egg,
mood, status and stage; `egg:debian` looks in one of them only; `mem>80%`, `cpu>=0.2`, `pids<10`
and `age>5min` compare, where a percentage is one of the pet's limit. A `!` before a term turns it
round. Pure: nothing here reads a clock or knows of a screen.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from engine import BadRequest, Pet, Readings, parse_size


class FilterMistake(ValueError):
    """A filter that means nothing; the message is one line that says what would."""


class Subject(NamedTuple):
    """A pet as filters see it."""

    pet: Pet
    readings: Readings | None
    cores: float | None
    """CPU time used per second, over the last second."""
    age: float
    """Seconds since it hatched."""


Test = Callable[[Subject], bool]
Measure = Callable[[Subject], float | None]

_TEXTS: dict[str, Callable[[Pet], str]] = {
    "name": lambda pet: pet.name,
    "egg": lambda pet: pet.egg,
    "mood": lambda pet: pet.mood,
    "status": lambda pet: pet.status,
    "stage": lambda pet: pet.stage,
}


class _Quantity(NamedTuple):
    """Something of a pet that can be compared with a number."""

    measure: Measure
    limit: Callable[[Pet], float | None]
    """What 100 % is; None where the pet has no such limit."""
    read: Callable[[str], float]
    """From text to the measure's unit. Raises ValueError or BadRequest."""
    example: str


_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}", re.ASCII)
_AGE = re.compile(rf"({_NUMBER.pattern})(s|min|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _seconds(text: str) -> float:
    match = _AGE.fullmatch(text)
    if not match:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2]]


def _unlimited(pet: Pet) -> None:
    return None


_QUANTITIES = {
    "mem": _Quantity(
        lambda it: it.readings and it.readings.memory,
        lambda pet: pet.limits.memory,
        lambda text: float(parse_size(text)),
        "mem>80% or mem>40M",
    ),
    "cpu": _Quantity(
        lambda it: it.cores, lambda pet: pet.limits.cpu, _number, "cpu>50% or cpu>0.2"
    ),
    "pids": _Quantity(
        lambda it: it.readings and it.readings.pids,
        lambda pet: pet.limits.pids,
        _number,
        "pids>10 or pids>50%",
    ),
    "meals": _Quantity(lambda it: it.pet.meals, _unlimited, _number, "meals>3"),
    "age": _Quantity(lambda it: it.age, _unlimited, _seconds, "age>5min or age<2h"),
}
_ALIASES = {"memory": "mem", "pid": "pids", "meal": "meals"}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_TERM = re.compile(r"(?P<field>[^<>=:]*)(?P<sign><=|>=|[<>=:])(?P<value>.*)", re.DOTALL)


class Filter(NamedTuple):
    """What was typed, understood."""

    text: str = ""
    tests: tuple[Test, ...] = ()
    measures: bool = False
    """Whether a reading that changes can change its answer."""

    def matches(self, subject: Subject) -> bool:
        """Whether all terms hold for this pet."""
        return all(test(subject) for test in self.tests)


EVERYTHING = Filter()


def parse(text: str) -> Filter:
    """The filter that `text` means; an empty one matches every pet. Raises FilterMistake."""
    words = text.split()
    terms = [_term(word) for word in words]
    measures = any(measured for _, measured in terms)
    return Filter(" ".join(words), tuple(test for test, _ in terms), measures)


def _term(word: str) -> tuple[Test, bool]:
    bare = word.lstrip("!")
    if not bare:
        raise FilterMistake("! turns the next word round: write it like !ghost or !mem>80%")
    match = _TERM.fullmatch(bare)
    test, measured = (_word(bare), False) if match is None else _compared(bare, match)
    if (len(word) - len(bare)) % 2:
        return lambda subject: not test(subject), measured
    return test, measured


def _word(word: str) -> Test:
    wanted = word.casefold()
    return lambda subject: any(wanted in of(subject.pet).casefold() for of in _TEXTS.values())


def _compared(term: str, match: re.Match[str]) -> tuple[Test, bool]:
    field, sign, value = match["field"].casefold(), match["sign"], match["value"]
    field = _ALIASES.get(field, field)
    if field in _TEXTS:
        if sign not in (":", "=") or not value:
            raise FilterMistake(f"{_short(term)}: write it like {field}:{_EXAMPLES[field]}")
        return _worded(_TEXTS[field], value.casefold(), exactly=sign == "="), False
    quantity = _QUANTITIES.get(field)
    if quantity is None:
        known = ", ".join([*_QUANTITIES, *_TEXTS])
        raise FilterMistake(f"nothing of a pet is called {_short(field)!r}: there are {known}")
    if sign == ":" or not value:
        raise FilterMistake(f"{_short(term)}: write it like {quantity.example}")
    return _measured(quantity, _COMPARE[sign], value, term), True


_EXAMPLES = {"name": "mo", "egg": "home", "mood": "sick", "status": "ghost", "stage": "baby"}


def _worded(of: Callable[[Pet], str], wanted: str, *, exactly: bool) -> Test:
    if exactly:
        return lambda subject: of(subject.pet).casefold() == wanted
    return lambda subject: wanted in of(subject.pet).casefold()


def _measured(
    quantity: _Quantity, compare: Callable[[float, float], bool], value: str, term: str
) -> Test:
    share = value.endswith("%")
    try:
        bound = _number(value[:-1]) / 100 if share else quantity.read(value)
    except (ValueError, BadRequest):
        raise FilterMistake(f"{_short(term)}: write it like {quantity.example}") from None

    def test(subject: Subject) -> bool:
        measured = quantity.measure(subject)
        if measured is None:
            return False
        if not share:
            return compare(measured, bound)
        limit = quantity.limit(subject.pet)
        return bool(limit) and compare(measured / limit, bound)  # type: ignore[operator]

    return test


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "�" for c in text)
    return shown if len(shown) <= 30 else shown[:29] + "…"

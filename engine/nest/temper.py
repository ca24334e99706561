"""Where the moods begin and end in this nest: the thresholds that its keeper changed, on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import BadRequest, ProcchiError
from engine.moods import DEFAULT, Band, Thresholds
from engine.nest.records import write_whole
from engine.places import Places

USUAL = "default"
REMEMBERED = 60.0
"""Seconds: how far back readings are kept for certain."""


class Temper:
    """The thresholds of one nest."""

    def __init__(self, places: Places, complain: Callable[[str], None]) -> None:
        self._path = f"{places.data}/moods.json"
        self._words: dict[str, str] = {}
        self.thresholds = DEFAULT
        try:
            with open(self._path) as file:
                words = {str(name): str(word) for name, word in json.load(file).items()}
            self.thresholds, self._words = thresholds_of(words), words
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, ProcchiError) as error:
            complain(f"{self._path} says nothing that can be used ({error}): as if not there")

    def change(self, changes: Mapping[str, Any]) -> None:
        """Choose others, now and from now on. Raises ProcchiError."""
        words = self._words | {str(name): str(word) for name, word in changes.items()}
        words = {name: word for name, word in words.items() if word != USUAL}
        thresholds = thresholds_of(words)
        try:
            write_whole(self._path, json.dumps(words).encode())
        except OSError as error:
            raise ProcchiError(f"the moods stay as they are: {error}") from error
        self.thresholds, self._words = thresholds, words

    def status(self) -> dict[str, Any]:
        """Each threshold: a number, or two where a mood ends elsewhere than it begins."""
        return {
            name: list(value) if isinstance(value, Band) else value
            for name, value in self.thresholds._asdict().items()
        }


def thresholds_of(words: Mapping[str, str]) -> Thresholds:
    """The thresholds that `words` mean: `5`, or `0.9:0.85` for beginning and end.

    Raises BadRequest.
    """
    values: dict[str, Any] = {}
    for name, word in words.items():
        if name not in Thresholds._fields:
            known = ", ".join(Thresholds._fields)
            raise BadRequest(f"no mood has a threshold {name[:40]!r}: there are {known}")
        values[name] = _parsed(name, word, getattr(DEFAULT, name))
    return DEFAULT._replace(**values)


def _parsed(name: str, word: str, usual: Any) -> Any:
    try:
        numbers = [float(part) for part in word.split(":")]
    except ValueError:
        numbers = []
    if not numbers or not all(math.isfinite(number) and number > 0 for number in numbers):
        raise BadRequest(f"{name} cannot be {word[:40]!r}: write it like 5, or 0.9:0.85")
    if isinstance(usual, Band):
        enter, leave = [*numbers, numbers[0] * usual.leave / usual.enter][:2]
        if (leave > enter) != (usual.leave > usual.enter) and leave != enter:
            raise BadRequest(
                f"{name} would begin at {enter:g} and end at {leave:g}: it would flicker"
            )
        return Band(enter, leave)
    if name in {"window", "lately"} and numbers[0] > REMEMBERED:
        raise BadRequest(f"{name} is {REMEMBERED:.0f} s at most: no more is remembered for certain")
    return max(1, int(numbers[0])) if isinstance(usual, int) else numbers[0]

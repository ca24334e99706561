"""Completing the program's name in a line that a shell will read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

_BEFORE_A_PROGRAM = re.compile(
    r"(?:^|[|&;(`{]|\$\(|\b(?:do|then|else|if|while|until|exec|time|timeout +\S+|xargs)\s)\s*"
    r"(?P<word>[\w.+\[-]*)$",
    re.ASCII,
)


class Completed(NamedTuple):
    """What became of a line."""

    line: str
    cursor: int
    choices: Sequence[str] = ()
    """What it could go on to be, where there is more than one way."""


def complete(line: str, cursor: int, commands: Sequence[str]) -> Completed:
    """Complete the word before `cursor` as far as it is certain, where a program is to stand."""
    match = _BEFORE_A_PROGRAM.search(line, 0, cursor)
    if not match:
        return Completed(line, cursor)
    word = match["word"]
    found = [command for command in commands if command.startswith(word)]
    if not found:
        return Completed(line, cursor)
    known = _shared(min(found), max(found))
    rest = line[cursor:]
    if len(found) == 1 and not rest.startswith(" "):
        known += " "
    done = line[: match.start("word")] + known
    return Completed(done + rest, len(done), found if len(found) > 1 and known == word else ())


def _shared(first: str, last: str) -> str:
    """How both begin; of sorted words that is how all between them begin, too."""
    pairs = zip(first, last, strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

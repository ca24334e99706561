from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procchi_tui.completion import complete

COMMANDS = ["cat", "head", "hostname", "printenv", "printf", "ps", "sleep", "tail"]


@pytest.mark.parametrize(
    ("line", "became"),
    [
        ("ca", "cat "),
        ("pri", "print"),
        ("ps | he", "ps | head "),
        ("ps|he", "ps|head "),
        ("true && sle", "true && sleep "),
        ("echo $(hos", "echo $(hostname "),
        ("while sle", "while sleep "),
        ("timeout 5 ta", "timeout 5 tail "),
        ("  ca", "  cat "),
        ("ls ca", "ls ca"),
        ("nosuch", "nosuch"),
        ("./ca", "./ca"),
    ],
)
def test_programs_are_completed_where_one_is_to_stand(line: str, became: str) -> None:
    done = complete(line, len(line), COMMANDS)
    assert (done.line, done.cursor) == (became, len(became))


def test_where_it_is_not_certain_the_choices_are_told() -> None:
    assert complete("print", 5, COMMANDS).choices == ["printenv", "printf"]
    assert complete("", 0, COMMANDS).choices == COMMANDS


def test_what_follows_the_cursor_stays() -> None:
    assert complete("ca /etc/hosts", 2, COMMANDS)[:2] == ("cat /etc/hosts", 3)


@given(st.text(), st.integers(0, 30), st.lists(st.from_regex(r"[a-z\[][a-z.+-]*", fullmatch=True)))
def test_nothing_that_was_typed_is_lost(line: str, cursor: int, commands: list[str]) -> None:
    cursor = min(cursor, len(line))
    done = complete(line, cursor, sorted(commands))
    assert done.line.startswith(line[:cursor]) and done.line.endswith(line[cursor:])
    assert cursor <= done.cursor <= len(done.line)

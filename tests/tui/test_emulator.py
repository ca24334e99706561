"""The embedded terminal: what programs write to it, and what it is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from procchi_tui.emulator import LONGEST_SEQUENCE, MOST_MARKS, Emulator
from procchi_tui.keystrokes import keystroke

PIECES = st.sampled_from(
    [
        *(b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b\\", b"\x07", b"?", b">", b";", b":", b"1049h"),
        *(b"1049l", b"2J", b"38:2::1:2:3m", b"999999999999", b"\r\n", b"\x1b[5;3r", b"\x1bM"),
        *(
            "é漢字🥚".encode(),
            b"\xff\xfe",
            b"text",
            b"\x1b[6n",
            b"4;2m",
            b"2 q",
            b"\x1b[H",
            b"L",
            b"P",
        ),
    ]
)
WRITTEN = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=40).map(b"".join)


def screen(emulator: Emulator, lines: int = 24) -> list[str]:
    return ["".join(char.data for char in emulator.line(y)).rstrip() for y in range(lines)]


def showing(written: bytes, columns: int = 80, lines: int = 24) -> list[str]:
    emulator = Emulator(columns, lines, lambda reply: None)
    emulator.feed(written)
    return screen(emulator, lines)


@given(WRITTEN, st.integers(2, 200), st.integers(1, 60))
def test_whatever_a_pet_writes_it_draws_on(written: bytes, columns: int, lines: int) -> None:
    emulator = Emulator(80, 24, lambda reply: None)
    emulator.feed(written)
    emulator.resize(columns, lines)
    emulator.feed(written)
    for y in range(-emulator.scrolled_away, lines):
        assert len(emulator.line(y)) == columns
    if emulator.cursor:
        x, y = emulator.cursor
        assert 0 <= x < columns
        assert 0 <= y < lines
    emulator.resize(80, 24)
    emulator.feed(b"\x1b\\\x18\x1bcafter all that")
    assert screen(emulator)[0] == "after all that"


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b[31mred", "漢".encode(), b"\x1b[2;5Hthere", b"\x1b]0;t\x07", b"\r\n"]
        )
    )
)
def test_how_the_bytes_come_in_does_not_matter(pieces: list[bytes]) -> None:
    at_once = b"".join(pieces)
    emulator = Emulator(80, 24, lambda reply: None)
    for number in at_once:
        emulator.feed(bytes([number]))
    assert screen(emulator) == showing(at_once)


def test_a_sequence_without_an_end_is_not_kept() -> None:
    emulator = Emulator(80, 24, lambda reply: None)
    for _ in range(1000):
        emulator.feed(b"\x1b]0;" + b"x" * 10_000)
    assert len(emulator._unfinished) <= LONGEST_SEQUENCE


def test_a_string_that_is_broken_off_ends() -> None:
    for begun in (b"\x1b]", b"\x1b]0;title", b"\x1bP+q", b"\x1b[31"):
        assert showing(begun + b"\x1b[1mseen")[0] == "seen", begun
        assert showing(begun + b"\x18seen")[0] == "seen", begun
    assert showing(b"\x1b]\x1b\\seen")[0] == showing(b"\x1b]\x07seen")[0] == "seen"
    assert showing(b"a\x01b\xc2\x9bc")[0] == "abc"


def test_a_flood_of_marks_makes_no_endless_cell() -> None:
    emulator = Emulator(80, 24, lambda reply: None)
    for _ in range(50):
        emulator.feed(b"e" + "\u0301\u0323".encode() * 1000)
        emulator.feed("\u0300".encode() * 1000)
    line = emulator.line(0)
    assert max(len(char.data) for char in line) <= 1 + MOST_MARKS
    assert showing("e\u0301".encode())[0] == "é"


def test_what_an_editor_covered_is_there_again() -> None:
    before = b"$ one\r\n$ vi"
    assert showing(before + b"\x1b[?1049h\x1b[2J\x1b[Hediting\x1b[?1049l") == showing(before)
    assert showing(before + b"\x1b[?1049h\x1b[Hediting")[0] == "editing"


def test_sequences_of_newer_terminals_are_not_shown_as_text() -> None:
    asked = b"\x1b[>4;2m\x1b[?4m\x1b[>c\x1bP+q436f\x1b\\\x1b[2 q\x1b[!p\x1b_Gx\x1b\\"
    emulator = Emulator(80, 24, lambda reply: None)
    emulator.feed(asked + b"plain")
    assert screen(emulator)[0] == "plain"
    assert not emulator.line(0)[0].underscore


def test_lines_that_scroll_away_are_kept_and_a_smaller_window_keeps_the_cursor() -> None:
    emulator = Emulator(20, 5, lambda reply: None)
    emulator.feed(b"\r\n".join(b"line %d" % number for number in range(1, 9)))
    assert emulator.scrolled_away == 3
    emulator.resize(20, 2)
    assert screen(emulator, 2) == ["line 7", "line 8"]
    assert [emulator.line(-n)[5].data for n in (1, 2, 6)] == ["6", "5", "1"]
    emulator.resize(20, 4)
    assert emulator.cursor == (6, 1)


def test_a_question_is_answered() -> None:
    replies: list[bytes] = []
    Emulator(80, 24, replies.append).feed(b"ab\x1b[6n")
    assert replies == [b"\x1b[1;3R"]


def test_keys() -> None:
    assert keystroke("a", "a") == b"a"
    assert keystroke("é", "é") == "é".encode()
    assert keystroke("plus", "+") == b"+"
    assert keystroke("enter", "\r") == b"\r"
    assert keystroke("ctrl+c", None) == keystroke("ctrl+c", "\x03") == b"\x03"
    assert keystroke("alt+b", "b") == b"\x1bb"
    assert keystroke("up", None) == b"\x1b[A"
    assert keystroke("up", None, application_cursor=True) == b"\x1bOA"
    assert keystroke("ctrl+left", None) == b"\x1b[1;5D"
    assert keystroke("delete", None) == b"\x1b[3~"
    assert keystroke("f5", None) == b"\x1b[15~"
    assert keystroke("shift+f1", None) == b"\x1b[1;2P"
    assert keystroke("shift+tab", None) == b"\x1b[Z"
    assert keystroke("f20", None) == b""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Limits
from procchi_tui.diet import in_words
from procchi_tui.names import free_name
from procchi_tui.words import age, cores, count, duration, one, plain, size


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("hello\n", "hello\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07shown", "shown"),
        ("\x1b]52;c;c3RvbGVu\x1b\\shown", "shown"),
        ("\x1bPq never ends", ""),
        ("\x1b[2J\x1b[Hgone?", "gone?"),
        ("bell\x07 and \x08 back", "bell� and � back"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\tb", "a       b"),
        ("right\u202eto left", "right�to left"),
        ("\x9b31mC1", "�31mC1"),
    ],
)
def test_what_a_pet_says_cannot_steer_the_terminal(written: str, shown: str) -> None:
    assert plain(written) == shown


@pytest.mark.parametrize(
    ("count_", "shown"),
    [(0, "0B"), (1023, "1023B"), (1024, "1K"), (1536, "1.5K"), (50 << 20, "50M"), (3 << 40, "3T")],
)
def test_sizes(count_: int, shown: str) -> None:
    assert size(count_) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "new"), (59, "new"), (60, "1min"), (3599, "59min"), (7200, "2h"), (90000, "1d")],
)
def test_ages(seconds: int, shown: str) -> None:
    now = datetime(2025, 1, 2, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == shown


def test_other_words() -> None:
    assert [cores(value) for value in (0.5, 2.0, 0.05, 16.0)] == ["0.5", "2", "0.05", "16"]
    assert [duration(value) for value in (5e-6, 0.012, 3.44, 130)] == [
        "5 µs",
        "12 ms",
        "3.4 s",
        "2 min",
    ]
    assert [count(1, "pet"), count(2, "pet"), count(0, "pet")] == ["1 pet", "2 pets", "0 pets"]
    assert [one(stage) for stage in ("egg", "baby", "adult")] == ["an egg", "a baby", "an adult"]


def test_names_are_never_taken_ones() -> None:
    taken: set[str] = set()
    for _ in range(100):
        name = free_name(taken)
        assert name not in taken
        taken.add(name)
    assert "moka" in taken and "moka-2" in taken


@given(
    memory=st.none() | st.integers(4 << 20, 1 << 50),
    cpu=st.none() | st.sampled_from(["0.5", "2", "0.125", "50%", "50000/200000", "1000/1000000"]),
    pids=st.none() | st.integers(1, 1 << 22),
    swap=st.none() | st.integers(0, 1 << 50),
)
def test_a_diet_in_words_means_the_same_diet(
    memory: int | None, cpu: str | None, pids: int | None, swap: int | None
) -> None:
    limits = Limits(memory, cpu, pids, swap=swap)
    assert Limits(**in_words(limits)) == limits

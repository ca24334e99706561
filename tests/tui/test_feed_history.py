from __future__ import annotations

import os
from pathlib import Path

from procchi_tui.feed_history import MOST, FeedHistory


def test_it_outlives_a_session(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "feed_history"
    first = FeedHistory(path)
    for line in ("ps", "ls", "ps"):
        first.add(line)
    again = FeedHistory(path)
    assert [again.older("half"), again.older(""), again.older("")] == ["ps", "ls", "ls"]
    assert [again.newer(), again.newer(), again.newer()] == ["ps", "half", "half"]
    assert path.stat().st_mode & 0o077 == 0
    assert os.listdir(path.parent) == ["feed_history"]


def test_two_sessions_share_it(tmp_path: Path) -> None:
    one, other = FeedHistory(tmp_path / "h"), FeedHistory(tmp_path / "h")
    one.add("one")
    other.add("other")
    third = FeedHistory(tmp_path / "h")
    assert [third.older(""), third.older("")] == ["other", "one"]


def test_it_is_bounded(tmp_path: Path) -> None:
    history = FeedHistory(tmp_path / "h")
    for number in range(MOST + 10):
        history.add(f"echo {number}")
    assert len((tmp_path / "h").read_text().splitlines()) == MOST


def test_a_place_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = FeedHistory(tmp_path / "file" / "h")
    history.add("ps")
    assert history.older("") == "ps"


def test_older_lines_are_searched_again_and_again(tmp_path: Path) -> None:
    history = FeedHistory(tmp_path / "h")
    for line in ("echo one", "ps -ef", "echo two", "ls"):
        history.add(line)
    assert history.search("echo") == "echo two"
    assert history.search("echo two") == "echo one"
    assert history.search("echo one") == "echo one"
    assert history.newer() == "ps -ef"
    assert history.search("nothing like it") == "nothing like it"
    assert history.search("ps") == "ps -ef"
    assert history.suggest("echo") == "echo two"
    assert history.suggest("nothing") is None

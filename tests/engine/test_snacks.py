"""Each snack does in a real pet what it says that it shows."""

from __future__ import annotations

import pathlib

import pytest

import engine
from procchi_tui.snacks import snacks
from tests.conftest import eventually

LINES = {snack.name: snack.line for snack in snacks({})}


def feed(name: str) -> engine.Meal:
    return engine.feed("moka", ["sh", "-c", LINES[name]])


def test_the_quick_ones_are_eaten_up(home: pathlib.Path) -> None:
    engine.hatch("moka")
    told = {name: feed(name) for name in ("zombie", "stats", "who-am-i", "walls")}
    assert {name: meal.exit_code for name, meal in told.items()} == dict.fromkeys(told, 0)
    assert b"<defunct>" in told["zombie"].stdout
    assert b"MemTotal" in told["stats"].stdout
    assert b"uid=0" in told["who-am-i"].stdout and b"NoNewPrivs:\t1" in told["who-am-i"].stdout
    assert b"net:[" in told["walls"].stdout


def test_the_memory_hog_meets_the_oom_killer(home: pathlib.Path) -> None:
    if "memory" not in engine.hatch("moka").enforced:
        pytest.skip("no memory limit holds here")
    assert feed("memory-hog").oom_killed
    assert engine.look("moka").status == "alive"


def test_the_fork_bomb_is_stopped_and_ends(home: pathlib.Path) -> None:
    if "pids" not in engine.hatch("moka").enforced:
        pytest.skip("no pids limit holds here")
    feed("fork-bomb")
    readings = engine.look("moka").readings
    assert readings is not None and (readings.forks_refused or 0) > 0
    eventually(lambda: (engine.look("moka").readings or readings).pids == 1, "the bomb is over")

"""The process that clones for the nest: nobody notices it, not even when it is killed."""

from __future__ import annotations

import os
import pathlib
import signal
from contextlib import suppress
from functools import partial

import engine
from tests.conftest import children_of, eventually, fork_server, kill_nest, nest_pid, said


def descriptors(pid: int) -> list[str]:
    """What it holds; nothing once it has ended, reaped or not."""
    with suppress(FileNotFoundError):
        return sorted(os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    return []


def kill_fork_server() -> int:
    pid = fork_server()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: descriptors(pid) == [], "it is dead")
    return pid


def test_one_that_is_killed_is_replaced(home: pathlib.Path) -> None:
    engine.hatch("moka")
    for name in ("pico", "nori"):
        killed = kill_fork_server()
        assert said("moka", "hostname") == "moka"
        kill_fork_server()
        engine.hatch(name)
        assert said(name, "hostname") == name
        assert not os.path.exists(f"/proc/{killed}"), "it is reaped"
    assert {pet.status for pet in engine.pets()} == {"alive"}


def test_it_keeps_nothing_of_what_it_was_given(home: pathlib.Path) -> None:
    for number in range(5):
        engine.hatch(f"pet{number}")
        assert said(f"pet{number}", "ls /proc/self/fd | wc -l") == "4"
    log = str(home / "nest.log")
    own = ["/dev/null", log, log, "pid", "socket"]
    forks = fork_server()  # it answers first, and lets go of what came with the request then
    eventually(lambda: [what.split(":")[0] for what in descriptors(forks)] == own, "it let go")


def test_what_it_clones_is_the_nests_own(home: pathlib.Path) -> None:
    pets = [engine.hatch(name) for name in ("moka", "pico")]
    assert {pet.pid for pet in pets} <= set(children_of(nest_pid()))
    assert children_of(fork_server()) == []


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def test_it_ends_with_the_nest(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    for end in (kill_nest, engine.stop_nest):
        forks = fork_server()
        end()
        eventually(partial(gone, forks), "it has ended")
        assert os.path.exists(f"/proc/{pet.pid}")
        assert engine.look("moka").pid == pet.pid


def test_words_that_fill_its_socket(home: pathlib.Path) -> None:
    """A socket's buffer holds some hundred kilobytes, a command line ten times as much."""
    engine.hatch("moka")
    words = ["x" * 100_000] * 10
    meal = engine.feed("moka", ["sh", "-c", "echo $#", "sh", *words])
    assert (meal.exit_code, meal.stdout) == (0, b"10\n")

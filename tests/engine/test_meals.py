"""What is remembered of meals, and what is said of one that never began."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import threading

import pytest

import engine
from engine.nest import meals as on_disk
from tests.conftest import eventually, kill_nest, said


def test_the_last_meals_are_remembered_with_their_steps(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.feed("moka", ["sh", "-c", "exit 7"])
    said("moka", "sleep 0.2")
    first, second = engine.meals("moka")
    assert (first.number, first.command, first.exit_code) == (1, ("sh", "-c", "exit 7"), 7)
    assert (second.number, second.exit_code, second.oom_killed) == (2, 0, False)
    assert second.duration is not None and second.duration >= 0.2
    assert first.at < second.at
    steps = engine.care_log("moka", meal=1)
    assert steps[0].name == "clone"
    assert steps[-1].name == "execve" and "exit 7" in steps[-1].calls[0].args
    assert any(call.name == "setns" for step in steps for call in step.calls)
    assert engine.care_log("moka")[0].name == "directories"
    with pytest.raises(engine.BadRequest, match="meal 3 is not known"):
        engine.care_log("moka", meal=3)


def test_a_meal_under_way_is_told_and_outlives_the_nest(home: pathlib.Path) -> None:
    engine.hatch("moka")
    done = threading.Event()
    with engine.open_meal("moka", ["sh", "-c", "read line"], stdio=_pipes()) as meal:
        assert meal.number == 1
        (running,) = engine.meals("moka")
        assert running.running and running.exit_code is None
        kill_nest()
        done.set()
    (unseen,) = engine.meals("moka")
    assert (unseen.running, unseen.exit_code, unseen.command[0]) == (False, None, "sh")
    said("moka", "true")
    assert [meal.number for meal in engine.meals("moka")] == [1, 2]
    assert engine.look("moka").meals == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_reaches_all_of_a_meal(number: signal.Signals, home: pathlib.Path) -> None:
    """Whoever fed it would not know what goes on: timeout(1) leaves its process group."""
    engine.hatch("moka")

    def inside() -> str:
        return said("moka", "ps -e -o args")

    command = ["sh", "-c", "timeout 300 sleep 299; true"]
    with engine.open_meal("moka", command, stdio=_pipes()) as meal:
        eventually(lambda: "\nsleep 299" in inside(), "timeout starts it")
        meal.signal(number)
        assert meal.wait().exit_code == 128 + number
    eventually(lambda: "sleep 299" not in inside(), "nothing of it goes on")


def test_a_service_that_a_meal_left_outlives_it(
    empty_home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A session of its own (setsid(2)) is how a program says that it is not part of a meal."""
    programs = tmp_path / "egg" / "bin"
    programs.mkdir(parents=True)
    shutil.copy("/bin/busybox", programs)
    for name in ("sh", "ps", "setsid", "sleep"):
        (programs / name).symlink_to("busybox")
    engine.pull(str(tmp_path / "egg"))
    engine.hatch("moka", egg="egg")
    command = ["sh", "-c", "setsid sleep 298 & sleep 297"]
    with engine.open_meal("moka", command, stdio=_pipes()) as meal:
        eventually(lambda: "sleep 298" in said("moka", "ps"), "the service runs")
        meal.signal(signal.SIGKILL)
        meal.wait()
    eventually(lambda: "sleep 297" not in said("moka", "ps"), "the rest of the meal has ended")
    assert "sleep 298" in said("moka", "ps")


def _pipes() -> tuple[int, int, int]:
    """An input that never says anything, and outputs that nobody reads."""
    reading, _ = os.pipe()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    return reading, nowhere, nowhere


def test_no_more_is_kept_than_has_a_place(tmp_path: pathlib.Path) -> None:
    directory = str(tmp_path)
    steps = [["execve", "why", [["execve", "x" * 9999, "", 1]], 1]]
    for number in range(1, 200):
        command = ["sh", "-c", "y" * 9999, "more"]
        on_disk.begin(directory, number, command, "2026-11-23T12:00:00+00:00", steps)
        on_disk.end(directory, number, 0, 0.5, False)
    kept = on_disk.past(directory, ())
    assert [meal.number for meal in kept] == list(range(180, 200))
    assert all(len(" ".join(meal.command)) < 3000 for meal in kept)
    assert (tmp_path / on_disk.FILE).stat().st_size <= on_disk.LARGEST + 10_000
    assert on_disk.latest(directory) == 199


def test_a_torn_line_costs_that_line(tmp_path: pathlib.Path) -> None:
    directory = str(tmp_path)
    on_disk.begin(directory, 1, ["ls"], "2026-11-23T12:00:00+00:00", [])
    on_disk.end(directory, 1, 3, 0.5, False)
    with open(tmp_path / on_disk.FILE, "ab") as file:
        file.write(b'{"meal": 2, "comm\n[1]\n{"meal": 9, "exit_code": 1}\n\xff\n')
    on_disk.begin(directory, 3, ["ps"], "2026-11-23T12:00:01+00:00", [])
    assert [(meal.number, meal.exit_code) for meal in on_disk.past(directory, {3})] == [
        (1, 3),
        (3, None),
    ]
    with open(tmp_path / on_disk.FILE, "ab") as file:
        file.write(b'{"meal": 4, "comm')  # and no newline: the disk was full
    on_disk.begin(directory, 5, ["top"], "2026-11-23T12:00:02+00:00", [])
    assert [meal.number for meal in on_disk.past(directory, ())] == [1, 3, 5]


def test_a_meal_killed_before_its_command_begins_was_no_meal(home: pathlib.Path) -> None:
    if "memory" not in engine.start_nest()["cgroup"]["enforced"]:
        pytest.skip("without a memory limit nothing kills it so early")
    engine.hatch("moka", limits=engine.Limits(memory="8M"))
    events: list[engine.Event] = []
    with engine.watch() as watched:
        listener = threading.Thread(
            target=lambda: events.extend(e for e in watched if isinstance(e, engine.Event))
        )
        listener.start()
        fill = ["sh", "-c", "cat /dev/zero >> /dev/shm/full; cat /dev/zero >> /tmp/full"]
        with pytest.raises(engine.ProcchiError, match="memory limit leaves too little"):
            for _ in range(50):  # each leaves files that fill the memory
                engine.feed("moka", fill)
        engine.release("moka")
        eventually(lambda: any(e.kind == "released" for e in events), "it is released")
        watched.close()
        listener.join()
    kinds = [event.kind for event in events]
    assert kinds.count("fed") == kinds.count("meal-over") > 0

"""Moods of real pets: what a reason says is what the kernel's files say."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess

import pytest

import engine
from tests.conftest import eventually, kill_nest, said


@pytest.fixture
def enforced(home: pathlib.Path) -> None:
    cgroup = engine.start_nest()["cgroup"]
    if cgroup["enforced"] != ["memory", "cpu", "pids"]:
        pytest.skip(f"limits are not enforced for this user: {cgroup['why']}")


def judged(name: str, *moods: str) -> engine.Pet:
    """The pet in one of `moods`, each number of whose reason stands in the file it names."""
    eventually(lambda: engine.look(name).mood in moods, f"{name} is {moods}")
    files = {fact.file: fact.path for fact in engine.details(name).facts.values() if fact.path}
    for _ in range(20):  # the number and the file are read one after the other
        before = {file: _number(file, path) for file, path in files.items()}
        pet = engine.look(name)
        after = {file: _number(file, path) for file, path in files.items()}
        if before == after:
            break
    assert pet.mood in moods, pet
    cited = [file for file in files if file in pet.reason]
    assert cited, pet.reason
    for file in cited:
        if level := re.search(rf"{re.escape(file)} (\d+)", pet.reason):
            assert int(level[1]) == after[file], (pet.reason, file)
        elif growth := re.search(rf"{re.escape(file)} \+(\d+)", pet.reason):
            assert 0 < int(growth[1]) <= (after[file] or 0), (pet.reason, file)
    return pet


def _number(file: str, path: str) -> int | None:
    """The number behind the key that `file` ends in, or the only one."""
    content = pathlib.Path(path).read_text()
    key = file.partition(" ")[2]
    found = re.search(rf"^{re.escape(key)} (\d+)$" if key else r"^(\d+)$", content, re.MULTILINE)
    return int(found[1]) if found else None


def test_eating_more_and_more(enforced: None) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="100M", cpu=None))
    judged("moka", "happy")
    said("moka", "head -c 45M /dev/zero > /dev/shm/a; head -c 35M /dev/zero > /tmp/a")
    judged("moka", "full")
    said("moka", "head -c 13M /dev/zero > /tmp/b")
    judged("moka", "queasy")
    for _ in range(40):  # a little at a time: the last two percent are not much
        if engine.look("moka").mood == "choking":
            break
        said("moka", "head -c 200K /dev/zero >> /dev/shm/a")
    judged("moka", "choking")
    said("moka", "rm /tmp/b /dev/shm/a")
    judged("moka", "happy")


def test_killed_for_memory_refused_a_fork_and_throttled(enforced: None) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="30M", cpu=None, pids=10))
    judged("moka", "happy")
    engine.feed("moka", ["sh", "-c", "for i in $(seq 20); do sleep 1 & done; wait"])
    judged("moka", "panicked")
    engine.diet("moka", pids=64)  # the shell that is its PID 1 leaves its orphans unburied
    engine.feed("moka", ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"])
    pet = judged("moka", "sick")
    assert pet.readings is not None and pet.readings.oom_kills == 1
    assert "oom_kill +1 in the last" in pet.reason
    engine.thresholds(lately=0.5)
    eventually(lambda: engine.look("moka").mood not in {"sick", "panicked"}, "both are forgotten")
    engine.diet("moka", cpu=0.05)  # less than a busy machine has for it
    nothing = os.open(os.devnull, os.O_RDWR)
    spin = ["sh", "-c", "while :; do :; done"]
    with (
        engine.watch(readings=4),
        engine.open_meal("moka", spin, stdio=(nothing, nothing, nothing)) as meal,
    ):
        judged("moka", "tired")
        meal.signal(signal.SIGKILL)
        meal.wait()
    os.close(nothing)
    engine.sleep("moka")
    pet = engine.look("moka")
    assert pet.mood == "asleep"
    assert pet.reason in {"frozen; freezer.state FROZEN", "frozen; cgroup.freeze 1"}


def test_a_file_that_is_only_cached_makes_nobody_choke(enforced: None, home: pathlib.Path) -> None:
    kind = ["stat", "--file-system", "--format=%T", str(home)]
    if subprocess.run(kind, capture_output=True, text=True, check=True).stdout == "tmpfs\n":
        return  # there is no cache there: what is written is memory for good
    engine.hatch("moka", limits=engine.Limits(memory="30M"))
    said("moka", "head -c 60M /dev/zero > /root/file; sync; cat /root/file > /dev/null")
    facts = engine.details("moka").facts
    assert (facts["memory"].value or 0) > 25 << 20
    assert engine.look("moka").mood not in {"choking", "queasy", "full"}


def test_a_diet_that_comes_near_to_what_is_cached_makes_nobody_choke(
    enforced: None, home: pathlib.Path
) -> None:
    """What of its memory is cache was of no interest before, and is not known of a still pet."""
    engine.hatch("moka", limits=engine.Limits(memory="100M"))
    said("moka", "head -c 30M /dev/zero > /root/file; sync; cat /root/file > /dev/null")
    with engine.watch(readings=20) as watch:
        told = iter(watch)
        for _ in range(20):  # it is still, and seen to be
            next(told)
        used = engine.details("moka").facts["memory"].value or 0
        engine.diet("moka", memory=int(used / 0.985))
        items = [next(told) for _ in range(20)]
    events = [item for item in items if isinstance(item, engine.Event)]
    assert "diet" in {event.kind for event in events}
    moods = {event.detail["mood"] for event in events if event.kind == "mood"}
    assert moods & {"choking", "queasy", "full"} == set()


def test_hunger_comes_when_its_keeper_says_and_is_remembered(home: pathlib.Path) -> None:
    assert engine.thresholds(hunger=1.5)["hunger"] == 1.5
    kill_nest()
    engine.hatch("moka")
    with engine.watch(readings=2) as watch:
        told = (e.detail for e in watch if isinstance(e, engine.Event) and e.kind == "mood")
        hungry = next(detail for detail in told if detail["mood"] == "hungry")
        assert hungry["reason"].startswith("idle; ") and hungry["reason"].endswith(" s")
        said("moka", "true")
        assert next(told)["mood"] != "hungry"  # asked for, it could be hungry again by now
    assert engine.thresholds(hunger="default")["hunger"] == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [("thirst", 1), ("hunger", "soon"), ("hunger", 0), ("full", "0.5:0.9"), ("lately", 600)],
)
def test_a_threshold_that_cannot_be(home: pathlib.Path, name: str, value: str) -> None:
    with pytest.raises(engine.BadRequest):
        engine.thresholds(**{name: value})

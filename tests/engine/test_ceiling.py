"""What all pets together may use."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator

import pytest

import engine
from tests.conftest import eventually, kill_nest, nest_pid, said

HOLD = "(head -c {0} /dev/zero; sleep 1000) | tail -c {0}"
"""Keeps that much memory."""


@pytest.fixture
def enforced(home: pathlib.Path) -> Iterator[None]:
    cgroup = engine.start_nest()["cgroup"]
    if cgroup["enforced"] != ["memory", "cpu", "pids"]:
        pytest.skip(f"limits are not enforced for this user: {cgroup['why']}")
    yield


def test_a_share_of_the_host_is_left_by_default(enforced: None) -> None:
    found = engine.ceiling()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found["memory"] == pytest.approx(0.75 * total, rel=0.01)
    assert 0 < found["cpu"] < len(os.sched_getaffinity(0))
    assert 0 < found["pids"] < int(pathlib.Path("/proc/sys/kernel/pid_max").read_text())
    assert found["enforced"] == ["memory", "cpu", "pids"]
    assert engine.nest_status()["ceiling"] == found


def test_pets_within_their_limits_do_not_exceed_it_and_the_nest_lives(enforced: None) -> None:
    names = ["moka", "pico", "nano"]
    engine.ceiling(memory="60M")
    for name in names:
        engine.hatch(name, limits=engine.Limits(memory="40M"))
    nest = nest_pid()
    with contextlib.ExitStack() as meals:
        for name in names:
            command = ["sh", "-c", HOLD.format("28M")]
            meals.enter_context(engine.open_meal(name, command, stdio=_nowhere()))
        eventually(lambda: any(oom_kills(name) for name in names), "the OOM killer strikes")
        used = [engine.look(name).readings or engine.Readings(0) for name in names]
        assert int(of_all("memory_peak")) <= 60 << 20
        assert all((readings.memory_peak or 0) < 40 << 20 for readings in used)
    assert nest_pid() == nest
    assert [pet.status for pet in engine.pets()] == ["alive"] * 3


def oom_kills(name: str) -> int:
    readings = engine.look(name).readings
    return (readings.oom_kills or 0) if readings else 0


def _nowhere() -> tuple[int, int, int]:
    nowhere = os.open(os.devnull, os.O_RDWR)
    return nowhere, nowhere, nowhere


def test_processes_of_all_pets_are_counted_together(enforced: None) -> None:
    engine.ceiling(pids=30)
    engine.hatch("moka", limits=engine.Limits(pids=25))
    engine.hatch("pico", limits=engine.Limits(pids=25))
    sleepers = "for i in $(seq 20); do sleep 1000 > /dev/null 2>&1 & done"
    engine.write("moka", f"{sleepers}\n")
    eventually(lambda: tasks("moka") == 21, "moka has them")
    meal = engine.feed("pico", ["sh", "-c", sleepers])
    assert meal.exit_code != 0 and b"fork" in meal.stderr
    assert tasks("moka") + tasks("pico") <= 30
    assert tasks("pico") < 25


def tasks(name: str) -> int:
    return int(engine.details(name).facts["pids"].value or 0)


def of_all(name: str) -> str:
    """What the group above moka's has in the file that `name` is read from."""
    path = pathlib.Path(engine.details("moka").facts[name].path)
    return (path.parent.parent / path.name).read_text().strip()


def test_it_is_changed_while_pets_live_and_outlives_the_nest(
    enforced: None, home: pathlib.Path
) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="40M", cpu=1))
    said("moka", "head -c 15M /dev/zero > /dev/shm/kept")
    assert engine.ceiling(cpu=0.5, memory="30M")["cpu"] == 0.5
    with pytest.raises(engine.ProcchiError, match="the ceiling stays as it is"):
        engine.ceiling(memory="8M", cpu=0.25)
    assert engine.look("moka").readings is not None and oom_kills("moka") == 0
    found = engine.ceiling()
    assert (found["memory"], found["cpu"]) == (30 << 20, 0.5)
    assert of_all("memory_limit") == str(30 << 20)
    assert of_all("cpu_quota_usec").split()[0] == "50000"
    files = len(os.listdir(f"/proc/{nest_pid()}/fd"))
    for _ in range(40):
        engine.ceiling(cpu=0.5)
    few = 20  # of a house that is laid ahead meanwhile
    assert len(os.listdir(f"/proc/{nest_pid()}/fd")) <= files + few, "descriptors are lost"
    kill_nest()
    assert engine.start_nest()["ceiling"] == found
    kill_nest()
    words = json.loads((home / "ceiling.json").read_text())
    (home / "ceiling.json").write_text(json.dumps(words | {"memory": "8M", "cpu": "0.75"}))
    assert "busy" in engine.start_nest()["ceiling"]["why"], "more memory is in use"
    assert of_all("cpu_quota_usec").split()[0] == "75000", "it was lifted and not set again"
    engine.ceiling(memory="30M", cpu=0.5)
    with pytest.raises(engine.ProcchiError, match="more than 0%"):
        engine.ceiling(cpu="150%")
    assert engine.ceiling(cpu="unlimited", memory="default")["cpu"] is None
    assert engine.details("moka").facts["cpu_quota_usec"].value == 100_000


def test_one_that_cannot_be_read_is_said_and_replaced_by_the_default(enforced: None) -> None:
    usual = engine.ceiling()
    home = pathlib.Path(engine.nest_status()["home"])
    for nonsense in ('{"cpu": "many"}', "[1]", "{", '{"memory": "1"}', json.dumps({"pids": "0%"})):
        kill_nest()
        (home / "ceiling.json").write_text(nonsense)
        assert engine.start_nest()["ceiling"] == usual
        assert "ceiling.json says nothing" in (home / "nest.log").read_text().splitlines()[-1]


def test_a_shorter_period_for_the_same_share_is_no_larger_share(enforced: None) -> None:
    """On v1 quota and period are two files: the old quota in the new period may exceed it."""
    engine.ceiling(cpu=1.5)
    engine.hatch("moka", limits=engine.Limits(cpu="50000/100000"))
    for ratio in ("5000/10000", "500000/1000000", "50000/100000"):
        engine.diet("moka", cpu=ratio)
        facts = engine.details("moka").facts
        assert f"{facts['cpu_quota_usec'].value}/{facts['cpu_period_usec'].value}" == ratio


def test_a_share_that_is_cut_to_it_is_no_larger_share_in_any_period(enforced: None) -> None:
    """What is rounded up in an odd period is more than the ceiling by a hair, which v1 refuses."""
    engine.ceiling(cpu=1.6)
    engine.hatch("moka")
    for period in (33_333, 12_345, 100_000):
        engine.diet("moka", cpu=f"{8 * period}/{period}")
        facts = engine.details("moka").facts
        quota, found = facts["cpu_quota_usec"].value, facts["cpu_period_usec"].value
        assert found == period
        assert engine.nest_status()["cgroup"]["kind"] == "v2" or quota == int(1.6 * period)

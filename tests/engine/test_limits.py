"""Limits that this machine's kernel enforces, seen from both sides."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

import engine
from tests.conftest import eventually, said

HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"


@pytest.fixture
def enforced(home: pathlib.Path) -> tuple[str, ...]:
    enforced = tuple(engine.start_nest()["cgroup"]["enforced"])
    if enforced != ("memory", "cpu", "pids"):
        pytest.skip(
            f"limits are not enforced for this user: {engine.nest_status()['cgroup']['why']}"
        )
    return enforced


def test_a_meal_that_eats_too_much_is_killed_and_everybody_says_so(
    enforced: tuple[str, ...],
) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="30M"))
    meal = engine.feed("moka", ["sh", "-c", HOG])
    assert meal.oom_killed
    pet = engine.look("moka")
    assert pet.status == "alive"
    assert pet.mood == "sick" and "oom_kill" in pet.reason
    assert pet.readings is not None and (pet.readings.oom_kills or 0) >= 1
    assert (pet.readings.memory_peak or 0) <= 30 << 20


def test_a_pet_that_eats_too_much_itself_leaves_an_epitaph_that_says_so(
    enforced: tuple[str, ...],
) -> None:
    limits = engine.Limits(memory="30M")
    engine.hatch("moka", command=["tail", "/dev/zero"], limits=limits)
    eventually(lambda: engine.look("moka").status == "ghost", "it is dead", seconds=30)
    epitaph = engine.look("moka").epitaph
    assert epitaph is not None and epitaph.oom_killed
    assert epitaph.cause.startswith("killed by SIGKILL: out of memory at ")


def test_a_fork_bomb_stops_at_the_pids_limit(enforced: tuple[str, ...]) -> None:
    engine.hatch("moka", limits=engine.Limits(pids=20))
    engine.write("moka", "bomb() { bomb | bomb & }; bomb\n")

    def refused() -> bool:
        readings = engine.look("moka").readings
        return readings is not None and (readings.forks_refused or 0) > 0

    eventually(refused, "forks are refused")
    pet = engine.look("moka")
    assert pet.readings is not None and (pet.readings.pids or 0) <= 20
    engine.hatch("pico")  # the host, and the nest, go on as before
    assert said("pico", "echo fine") == "fine"


def test_a_busy_loop_gets_its_share_of_a_cpu_and_no_more(enforced: tuple[str, ...]) -> None:
    limits = engine.Limits(cpu=0.2)
    engine.hatch("moka", command=["sh", "-c", "while :; do :; done"], limits=limits)
    time.sleep(0.5)
    first = engine.look("moka").readings
    time.sleep(4)
    second = engine.look("moka").readings
    assert first is not None and second is not None
    used = ((second.cpu_usec or 0) - (first.cpu_usec or 0)) / 1e6
    stops = (second.throttled or 0) - (first.throttled or 0)
    assert used <= 0.2 * 1.15 * (second.at - first.at)
    assert stops > 0 and used >= 0.02 * 0.85 * stops  # a busy machine may have less for it
    assert engine.look("moka").mood in {"tired", "busy"}


def test_a_diet_changes_a_living_pets_limits(enforced: tuple[str, ...]) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="40M", cpu=0.5, pids=30))
    pet = engine.diet("moka", memory="60M", pids=10)
    assert pet.limits == engine.Limits(memory="60M", cpu=0.5, pids=10)
    said("moka", "head -c 45M /dev/zero | tail -c 45M | wc -c")
    assert engine.feed("moka", ["sh", "-c", "for i in $(seq 20); do sleep 9 & done"]).exit_code != 0
    assert engine.diet("moka", pids="unlimited", cpu=None).limits.pids is None
    assert said("moka", "for i in $(seq 40); do sleep 0 & done; wait; echo fine") == "fine"
    with pytest.raises(engine.BadRequest, match="memory limit"):
        engine.diet("moka", memory="12bogus")
    assert engine.look("moka").limits.memory == 60 << 20


def held(name: str) -> dict[str, object]:
    """A pet's limits as the kernel holds them."""
    return {key: fact.value for key, fact in engine.details(name).facts.items()}


def test_cpu_in_every_form(enforced: tuple[str, ...]) -> None:
    engine.ceiling(cpu="unlimited")
    engine.hatch("moka", limits=engine.Limits(cpu="50%"))
    assert (held("moka")["cpu_quota_usec"], held("moka")["cpu_period_usec"]) == (50_000, 100_000)
    forms: list[tuple[str | int, int | None, int]] = [
        ("20000/40000", 20_000, 40_000),
        ("1000/1000000", 1_000, 1_000_000),
        ("0.005", 5_000, 1_000_000),  # 500 µs in 100 ms is less than the kernel takes
        (2, 200_000, 100_000),
        ("unlimited", None, 100_000),
        ("150%", 150_000, 100_000),
    ]
    for given, quota, period in forms:
        pet = engine.diet("moka", cpu=given)
        assert held("moka")["cpu_quota_usec"] == quota, given
        assert given == "unlimited" or held("moka")["cpu_period_usec"] == period, given
        assert pet.limits.pids == 64


def test_memory_in_use_is_not_taken_away_and_nobody_dies_of_a_diet(
    enforced: tuple[str, ...],
) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="60M", cpu=0.5, pids=30))
    said("moka", "head -c 25M /dev/zero > /dev/shm/kept")
    before = held("moka")
    with pytest.raises(engine.ProcchiError, match="more memory is in use than that"):
        engine.diet("moka", memory="10M", cpu=0.25, pids=10)
    after = held("moka")
    for name in ("memory_limit", "memory_soft_limit", "cpu_quota_usec", "pids_limit"):
        assert after.get(name) == before.get(name), name
    pet = engine.look("moka")
    assert (pet.status, pet.limits) == ("alive", engine.Limits(memory="60M", cpu=0.5, pids=30))
    assert pet.readings is not None and pet.readings.oom_kills == 0
    said("moka", "rm /dev/shm/kept")
    assert engine.diet("moka", memory="10M").limits.memory == 10 << 20
    assert held("moka")["oom_kills"] == 0


def test_no_swap_unless_asked_for(enforced: tuple[str, ...]) -> None:
    engine.hatch("moka")
    engine.hatch("pico", limits=engine.Limits(swap="20M"))
    if engine.nest_status()["cgroup"]["kind"] == "v2":
        assert (held("moka")["swap_limit"], held("pico")["swap_limit"]) == (0, 20 << 20)
    else:
        assert held("moka")["memory_and_swap_limit"] == 50 << 20
        assert held("pico")["memory_and_swap_limit"] == 70 << 20
    assert "swap" in engine.look("pico").enforced
    engine.diet("pico", memory="100M")  # up and down: the sum may never be below its part
    engine.diet("pico", memory="20M", swap=0)
    assert engine.diet("pico", swap="unlimited").limits.swap is None


def test_a_soft_limit_slows_and_does_not_kill(enforced: tuple[str, ...]) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="60M", memory_high="20M"))
    pet = engine.look("moka")
    if engine.nest_status()["cgroup"]["kind"] != "v2":
        assert pet.limits.loose(pet.enforced) == ["memory_high"]
        with pytest.raises(engine.HatchFailed, match="does not enforce its limits on memory_high"):
            engine.hatch("pico", limits=engine.Limits(memory_high="20M"), strict_limits=True)
        with pytest.raises(engine.NoSuchPet):
            engine.look("pico")
        found = next(check.found for check in engine.doctor() if check.name == "limits")
        assert "soft limit" in found, "as a pet without one was told"
        return
    assert held("moka")["memory_soft_limit"] == 20 << 20
    said("moka", "head -c 30M /dev/zero > /root/file")
    assert (engine.details("moka").facts["memory_soft_limit_hits"].value or 0) > 0
    assert held("moka")["oom_kills"] == 0
    assert engine.diet("moka", memory_high=None).limits.memory_high is None
    assert held("moka")["memory_soft_limit"] is None


def test_strict_limits_are_fine_where_they_are_enforced(enforced: tuple[str, ...]) -> None:
    assert engine.hatch("moka", strict_limits=True).enforced == enforced


def test_a_ghost_needs_no_diet(home: pathlib.Path) -> None:
    engine.hatch("brief", command=["true"])
    eventually(lambda: engine.look("brief").status == "ghost", "it is dead")
    with pytest.raises(engine.NotAwake, match="ghost"):
        engine.diet("brief", pids=3)


def test_limits_stand_before_the_pet_exists(enforced: tuple[str, ...]) -> None:
    engine.hatch("moka")
    names = [report.name for report in engine.care_log("moka")]
    assert names.index("cgroup") < names.index("clone") < names.index("execve")


def test_a_memory_limit_too_small_to_start_with_is_said_in_one_line(
    enforced: tuple[str, ...],
) -> None:
    with pytest.raises(engine.BadRequest, match="memory limit '1M'"):
        engine.hatch("moka", limits=engine.Limits(memory="1M"))


@pytest.mark.parametrize("limit", ["0", "-1", "12bogus", "2^64", str(2**64), "", "1e9M", True])
def test_a_memory_limit_that_cannot_be(limit: str) -> None:
    with pytest.raises(engine.BadRequest, match="memory limit"):
        engine.Limits(memory=limit)


@pytest.mark.parametrize("limit", ["0", "-1", "12bogus", "2^64", "nan", "inf", "", 1e300])
def test_a_cpu_limit_that_cannot_be(limit: str) -> None:
    with pytest.raises(engine.BadRequest, match="CPU limit"):
        engine.Limits(cpu=limit)


@pytest.mark.parametrize(
    "limit", ["0%", "-5%", "%", "999/100000", "5000/999", "5000/1000001", "1/2/3", "/100000"]
)
def test_a_share_that_cannot_be(limit: str) -> None:
    with pytest.raises(engine.BadRequest, match="CPU"):
        engine.Limits(cpu=limit)


def test_a_soft_limit_lies_below_the_hard_one() -> None:
    with pytest.raises(engine.BadRequest, match="60M is never reached under a limit of 50M"):
        engine.Limits(memory="50M", memory_high="60M")
    assert engine.Limits(memory=None, memory_high="60M").memory_high == 60 << 20


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "2^64", str(2**64), "", "٣"])
def test_a_pids_limit_that_cannot_be(limit: str) -> None:
    with pytest.raises(engine.BadRequest, match="pids limit"):
        engine.Limits(pids=limit)


def test_sizes_are_read_as_container_tools_read_them() -> None:
    assert engine.Limits(memory="50M").memory == 50 << 20
    assert engine.Limits(memory="1.5g").memory == 3 << 29
    assert engine.Limits(memory="64MiB").memory == engine.Limits(memory=64 << 20).memory
    assert engine.Limits(memory="unlimited", cpu=None, pids="max").to_json() == {
        "memory": None,
        "cpu": None,
        "pids": None,
        "memory_high": None,
        "swap": 0,
        "cpu_period": 100_000,
    }


BOMB = """
import os, resource
from engine import Limits
from engine.cgroups.none import NoCgroups
wanted = NoCgroups("").rlimits(Limits(pids=20))
resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))
try:
    for _ in range(40):
        if not os.fork():
            os.read(0, 1)
            os._exit(0)
    held = False
except BlockingIOError:
    held = True
print("NPROC" in wanted, held)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become it in a namespace")
def test_what_stands_in_for_the_pids_limit_is_not_claimed_for_the_hosts_root() -> None:
    """The kernel lets that one fork on, in whatever user namespace."""
    bomb = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", BOMB],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert bomb.stdout == "False False\n"

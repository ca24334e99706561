"""Pets at their limits, as the kernel of this machine enforces them, seen from the command line."""

from __future__ import annotations

import time
from typing import Any

from .conftest import Procchi
from .test_life import until


def test_a_pet_that_eats_too_much_is_killed_and_says_so(procchi: Procchi) -> None:
    procchi("hatch", "greedy", "--memory", "30M", "--", "tail", "/dev/zero")
    until(lambda: procchi.json("look", "greedy")["status"] == "ghost")
    pet = procchi.json("look", "greedy")
    assert pet["epitaph"]["oom_killed"]
    assert pet["epitaph"]["exit_code"] == 137
    assert "memory" in pet["epitaph"]["cause"]
    assert "memory" in procchi.says("look", "greedy").split("epitaph")[1]
    assert "memory" in procchi.says("pets", "--all")


def test_a_meal_that_eats_too_much_is_killed_and_the_pet_is_sick(procchi: Procchi) -> None:
    procchi("hatch", "moka", "--memory", "30M")
    procchi("look", "moka")
    eaten = procchi("feed", "moka", "--", "tail", "/dev/zero", status=137)
    assert "the OOM killer struck while moka ate that" in eaten.stderr
    pet = procchi.json("look", "moka")
    assert (pet["status"], pet["mood"]) == ("alive", "sick")
    assert pet["readings"]["oom_kills"] >= 1
    assert "oom_kill +" in pet["reason"]
    assert "sick: killed for want of memory" in procchi.says("look", "moka")


def test_a_fork_bomb_stops_at_its_limit(procchi: Procchi) -> None:
    procchi("hatch", "bomb", "--pids", "20")
    procchi("look", "bomb")
    script = "bomb() { bomb | bomb & }; bomb"
    procchi("feed", "bomb", "--", "sh", "-c", script, status=None)
    until(lambda: procchi.json("look", "bomb")["readings"]["forks_refused"] > 0)
    pet = procchi.json("look", "bomb")
    assert pet["readings"]["pids"] <= 20
    assert pet["mood"] == "panicked"
    assert procchi.json("stats")[0]["readings"]["forks_refused"] > 0
    procchi("release", "bomb")
    assert procchi.json("pets") == []


def test_a_busy_loop_gets_its_share(procchi: Procchi) -> None:
    procchi("hatch", "spinner", "--cpu", "0.2", "--", "sh", "-c", "while :; do :; done")

    def used() -> dict[str, Any]:
        readings: dict[str, Any] = procchi.json("look", "spinner")["readings"]
        return readings

    first = used()
    time.sleep(5)
    last = used()
    share = (last["cpu_usec"] - first["cpu_usec"]) / 1e6 / (last["at"] - first["at"])
    stopped = (last["throttled"] - first["throttled"]) / (last["periods"] - first["periods"])
    assert stopped > 0
    assert 0.17 * stopped <= share <= 0.23  # a busy machine may have less for it
    pet = procchi.json("look", "spinner")
    assert pet["mood"] == "tired"
    assert "nr_throttled +" in pet["reason"]


def test_a_diet_is_changed_while_the_pet_lives(procchi: Procchi) -> None:
    procchi("hatch", "moka", "--pids", "30")
    procchi("diet", "moka", "--pids", "10", "--cpu", "unlimited")
    limits = procchi.json("look", "moka")["limits"]
    assert (limits["memory"], limits["cpu"], limits["pids"]) == (50 << 20, None, 10)
    procchi("update", "moka", status=2)
    procchi("diet", "moka", "--memory", "12bogus", status=2)
    procchi("diet", "nobody", "--pids", "5", status=1)


def test_the_settings_say_what_a_new_pet_may_use(procchi: Procchi) -> None:
    file = procchi.home / "config.toml"
    file.write_text('[hatch]\nmemory = "40M"\npids = 9\ncpu = -1\n')
    try:
        done = procchi("hatch", "moka", "--pids", "8")
    finally:
        file.unlink()
    [line] = done.stderr.splitlines()[:1]
    assert line.startswith(f"procchi: {file}: hatch.cpu = -1: CPU limit -1 cannot be enforced")
    [pet] = procchi.json("pets")
    asked = {name: pet["limits"][name] for name in ("memory", "cpu", "pids")}
    assert asked == {"memory": 40 << 20, "cpu": 0.5, "pids": 8}

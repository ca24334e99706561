"""A pet's life from the command line: hatched, fed, looked at, asleep, dead, released."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from .conftest import PROCCHI, Procchi

NAMESPACES = ("user", "mnt", "pid", "uts", "ipc", "net", "cgroup")


def until(true: Callable[[], bool]) -> None:
    """Wait for it, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_first_minute(procchi: Procchi) -> None:
    assert procchi.says("hatch", "moka") == "moka"
    assert procchi.says("feed", "moka", "--", "hostname") == "moka"
    assert procchi.says("feed", "moka", "--", "id", "-u") == "0"
    assert procchi("feed", "moka", "--", "sh", "-c", "exit 7", status=7).stderr == ""
    assert procchi.says("release", "moka") == "moka"
    assert procchi.json("pets") == []


def test_a_pet_sees_its_own_processes_only(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    own, *listed = procchi.says("feed", "moka", "--", "sh", "-c", "echo $$; ls /proc").split("\n")
    pids = {name for name in listed if name.isdecimal()}
    assert {"1", own} <= pids
    assert len(pids) <= 3  # PID 1, the shell, and ls


def test_every_namespace_is_its_own(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    for kind in NAMESPACES:
        inside = procchi.says("feed", "moka", "--", "readlink", f"/proc/self/ns/{kind}")
        assert re.fullmatch(rf"{kind}:\[\d+\]", inside)
        assert inside != os.readlink(f"/proc/self/ns/{kind}")
        pid = procchi.json("look", "moka")["pid"]
        assert inside == os.readlink(f"/proc/{pid}/ns/{kind}")  # the meal's is the pet's


def test_its_root_is_nobody_on_the_host(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    pid = procchi.json("look", "moka")["pid"]
    assert os.stat(f"/proc/{pid}").st_uid != 0


def test_explain_prints_every_step_that_was_made(procchi: Procchi) -> None:
    said = procchi.says("hatch", "moka", "--explain").split("\n")
    assert said[-1] == "moka"
    steps = [line for line in said[:-1] if not line.startswith("      ")]
    calls = [line.strip() for line in said[:-1] if line.startswith("      ")]
    assert [int(line.split()[0]) for line in steps] == list(range(1, len(steps) + 1))
    made = " ".join(call.partition("(")[0] for call in calls)
    order = "mkdir clone3 mount pivot_root umount2 chroot sethostname capset execve"
    places = [f" {made} ".index(f" {name} ") for name in order.split()]
    assert places == sorted(places)
    assert all(re.search(r"\) = .+  \d+ µs$", call) for call in calls)


def test_what_is_piped_in_is_eaten_and_what_is_said_stays_apart(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    done = procchi("feed", "moka", "sh", "-c", "cat; echo aside >&2", stdin="some\x00data\n")
    assert done.stdout == "some\x00data\n"
    assert done.stderr == "aside\n"


def test_a_command_is_told_apart_from_our_own_words(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    assert procchi.says("exec", "moka", "echo", "-n", "--", "--help") == "-- --help"


def test_signals_to_us_reach_the_meal(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    script = "trap 'exit 42' INT TERM; echo ready; while :; do sleep 0.05; done"
    for number in (signal.SIGINT, signal.SIGTERM):
        with procchi.begin("feed", "moka", "--", "sh", "-c", script) as meal:
            assert meal.stdout
            assert meal.stdout.readline() == "ready\n"
            meal.send_signal(number)
            assert meal.wait(30) == 42


def test_a_command_that_a_signal_ends_has_its_status(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("feed", "moka", "--", "sh", "-c", "kill -9 $$", status=137)


def test_the_mouth_and_the_log(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("feed", "moka", "--write", "echo hello from $$")
    until(lambda: procchi.says("logs", "moka") == "hello from 1")


def test_a_log_is_followed_until_the_end(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    with procchi.begin("logs", "-f", "moka") as follower:
        assert follower.stdout
        procchi("feed", "moka", "--write", "echo one")
        assert follower.stdout.readline() == "one\n"
        procchi("feed", "moka", "--write", "echo two; exit 3")
        assert follower.stdout.read() == "two\n"
        assert follower.wait(30) == 0


def test_a_log_is_followed_until_its_pet_is_released(procchi: Procchi) -> None:
    script = "trap 'echo goodbye; exit' TERM; echo hello; while :; do sleep 0.1; done"
    procchi("hatch", "moka", "--", "sh", "-c", script)
    with procchi.begin("logs", "-f", "moka", stderr=subprocess.PIPE) as follower:
        assert follower.stdout and follower.stderr
        assert follower.stdout.readline() == "hello\n"
        procchi("release", "moka")
        assert follower.stdout.read() == "goodbye\n"
        assert follower.stderr.read() == ""
        assert follower.wait(30) == 0


def test_a_signal_to_its_pid_1(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("feed", "moka", "--signal", "KILL")
    until(lambda: procchi.json("look", "moka")["status"] == "ghost")
    assert procchi.json("look", "moka")["epitaph"]["exit_code"] == 137


def test_a_real_time_signal_to_its_pid_1(procchi: Procchi) -> None:
    """Few of them have names: a number, or one that is so far from the first or the last."""
    script = "trap 'echo heard' 37; echo listens; while :; do sleep 0.1; done"
    procchi("hatch", "moka", "--", "sh", "-c", script)
    said = ["listens"]
    for word in ("37", "RTMIN+3", "sigrtmin+3"):
        until(lambda: procchi.says("logs", "moka").split() == said)
        procchi("feed", "moka", "--signal", word)
        said.append("heard")
    until(lambda: procchi.says("logs", "moka").split() == said)
    for word in ("99", "RTMIN+99", "35+x"):
        assert word in procchi.refused("feed", "moka", "--signal", word, status=2)


def test_sleep_and_wake(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    assert procchi.says("pause", "moka") == "moka"
    pet = procchi.json("look", "moka")
    assert (pet["status"], pet["mood"]) == ("asleep", "asleep")
    assert "what to do     wake it: procchi wake moka" in procchi.says("look", "moka")
    procchi("wake", "moka")
    assert procchi.json("look", "moka")["status"] == "alive"
    assert procchi.says("feed", "moka", "echo", "awake") == "awake"


def test_the_documents_have_their_keys(procchi: Procchi) -> None:
    procchi("hatch", "moka", "--memory", "40M", "--pids", "unlimited")
    (pet,) = procchi.json("ps")
    assert procchi.json("pets", "--all")[0]["pid"] == pet["pid"]
    assert (pet["name"], pet["status"], pet["egg"]) == ("moka", "alive", "home")
    assert pet["limits"] == {
        "memory": 40 << 20,
        "cpu": 0.5,
        "pids": None,
        "memory_high": None,
        "swap": 0,
        "cpu_period": 100_000,
        "in_place": pet["limits"]["in_place"],
        "enforced": pet["limits"]["enforced"],
    }
    assert pet["mood"]
    assert pet["reason"]
    assert pet["readings"]["pids"] == 1
    assert {"created_at", "stage", "command", "hostname", "network"} <= pet.keys()
    looked = procchi.json("look", "moka")
    assert looked.keys() >= pet.keys()
    assert looked["epitaph"] is None
    (egg,) = procchi.json("eggs")
    assert egg["name"] == "home"
    assert egg["digest"].startswith("sha256:")
    (stats,) = procchi.json("stats", "moka")
    assert stats["readings"].keys() == pet["readings"].keys()


def test_ghosts_are_shown_when_asked_for(procchi: Procchi) -> None:
    procchi("hatch", "moka", "--", "sh", "-c", "exit 3")
    until(lambda: procchi.json("look", "moka")["status"] == "ghost")
    plain = procchi("pets")
    assert plain.stdout == ""
    assert plain.stderr == "(1 ghost; --all shows it)\n"
    header, row = procchi.says("pets", "--all").split("\n")
    assert header.split()[:2] == ["NAME", "MOOD"]
    assert row.split()[:3] == ["moka", "ghost", "-"]
    (pet,) = procchi.json("pets")
    assert (pet["pid"], pet["status"]) == (None, "ghost")
    assert pet["epitaph"]["exit_code"] == 3
    assert "epitaph" in procchi.says("look", "moka")


def test_pets_is_answered_without_what_it_does_not_need(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROCCHI, "pets"],
        check=True,
        env=procchi.environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[1].startswith("moka ")
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "engine.wire" in modules
    assert not {"click", "rich", "psutil", "dataclasses", "subprocess", "engine.model"} & modules


def test_release_goes_on_after_a_stranger(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("hatch", "nori")
    done = procchi("rm", "moka", "stranger", "nori", status=1)
    assert done.stdout == "moka\nnori\n"
    (line,) = done.stderr.splitlines()
    assert "stranger" in line


def test_events_as_they_happen(procchi: Procchi) -> None:
    with procchi.begin("events", "--json", stderr=subprocess.PIPE) as watcher:
        assert watcher.stdout
        assert watcher.stderr
        while not select.select([watcher.stdout], [], [], 0)[0]:  # it may not be there yet
            procchi("hatch", "early")
            procchi("release", "early")
        procchi("hatch", "early")
        procchi("release", "early")
        kinds: list[str] = []
        while "hatched" not in kinds or kinds[-1] != "released":
            event = json.loads(watcher.stdout.readline())
            kinds.append(event["kind"])
            assert event["pet"] == "early"
            assert event.keys() == {"kind", "pet", "at", "detail"}
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(30) == 130
        assert watcher.stderr.read() == ""


def test_events_are_told_in_the_words_of_the_screen(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    with procchi.begin("events") as watcher:
        assert watcher.stdout
        eat = ("feed", "moka", "--", "sh", "-c", "exit 3")
        while not select.select([watcher.stdout], [], [], 0)[0]:  # it may not be there yet
            procchi(*eat, status=3)
        procchi(*eat, status=3)
        procchi("release", "moka")
        told: list[str] = []
        while not told or not told[-1].endswith("released"):
            told.append(watcher.stdout.readline().rstrip("\n"))
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(30) == 130
    assert all(re.match(r"\d\d:\d\d:\d\d  moka [a-z]", line) for line in told)
    assert told[-1].endswith("  moka was released")
    assert any(line.endswith("  moka has eaten exit 3: exit status 3") for line in told)


def test_stats_again_and_again(procchi: Procchi) -> None:
    procchi("hatch", "spinner", "--cpu", "0.3", "--", "sh", "-c", "while :; do :; done")
    with procchi.begin("stats", "--watch", "--json") as watcher:
        assert watcher.stdout
        first, second = (json.loads(watcher.stdout.readline()) for _ in range(2))
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(30) == 130
    assert first[0]["cores"] is None
    assert 0 < second[0]["cores"] <= 0.5


def test_the_nest_ends_and_its_pets_live_on(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    pid = procchi.json("look", "moka")["pid"]
    procchi("nest", "stop")
    assert procchi.says("nest").startswith("not running")
    assert procchi.json("look", "moka")["pid"] == pid
    assert "pets       1" in procchi.says("nest", "status")


def test_eggs_come_and_go(procchi: Procchi) -> None:
    names = procchi.says("eggs").split("\n")
    assert names[0].split() == ["NAME", "SIZE", "AGE", "DIGEST", "FROM"]
    assert names[1].startswith("home ")
    procchi("hatch", "moka")
    assert "moka" in procchi.refused("eggs", "rm", "home", status=1)


def test_shells_complete_the_pets_names(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("hatch", "nori")
    environment = procchi.environment | {
        "_PROCCHI_COMPLETE": "bash_complete",
        "COMP_WORDS": "procchi feed m",
        "COMP_CWORD": "2",
    }
    done = subprocess.run([PROCCHI], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,moka"]


def shell(procchi: Procchi, line: str) -> subprocess.CompletedProcess[str]:
    """A line of sh(1), in which $0 is the command."""
    return subprocess.run(
        ["sh", "-c", line, PROCCHI],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=procchi.environment,
        check=False,
    )


def test_streams_that_the_caller_has_closed_are_empty(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    pulled = shell(procchi, '"$0" pull home 2>&-')
    assert (pulled.returncode, pulled.stdout.split()[0]) == (0, "home")
    refused = shell(procchi, '"$0" look nobody 2>&-')
    assert (refused.returncode, refused.stdout) == (1, "")
    fed = shell(procchi, "\"$0\" feed moka -- sh -c 'cat && echo fed >&2' <&- >&-")
    assert (fed.returncode, fed.stdout, fed.stderr) == (0, "", "fed\n")
    silent = shell(procchi, "\"$0\" feed moka -- sh -c 'cat; echo a; echo b >&2' <&- >&- 2>&-")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")

"""What an X-ray says of a pet, held against the kernel and against what the pet itself sees."""

from __future__ import annotations

import json
import os
import pathlib
import signal
from typing import Any

import pytest

import engine
from engine import anatomy
from tests.conftest import eventually, said
from tests.users import UID, Student, student

__all__ = ["student"]
BOUNDING = 14
"""How many capabilities a pet keeps: those that docker and podman leave."""


def test_the_walls_are_the_kernels(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    seen = engine.xray("moka")
    assert seen.pid == pet.pid
    for wall in seen.namespaces:
        assert os.readlink(f"/proc/{pet.pid}/ns/{wall.kind}") == f"{wall.kind}:[{wall.inode}]"
        assert os.readlink(f"/proc/self/ns/{wall.kind}") == f"{wall.kind}:[{wall.host}]"
    own = {wall.kind for wall in seen.namespaces if wall.own}
    assert own == {"user", "mnt", "pid", "uts", "ipc", "net", "cgroup"}
    assert said("moka", "cat /proc/self/uid_map").split()[1:] != ["0", "0"]
    [ids] = seen.uid_map
    assert [str(number) for number in ids[1:]] == _map(pet.pid)[1:]
    assert seen.unread == {}


def _map(pid: int | None) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/uid_map").read_text().split()


def test_mounts_and_privileges_are_what_the_pet_sees(home: pathlib.Path) -> None:
    engine.hatch("moka")
    seen = engine.xray("moka")
    inside = [line.split()[4] for line in said("moka", "cat /proc/1/mountinfo").splitlines()]
    assert [mount.target for mount in seen.mounts] == inside
    assert seen.mounts[0][:2] == ("/", "overlay")
    assert {mount.options.split(",")[0] for mount in seen.mounts if mount.target == "/sys"} == {
        "ro"
    }
    mask = int(said("moka", "grep CapBnd /proc/1/status").split()[1], 16)
    assert mask.bit_count() == len(seen.capabilities["bounding"]) == BOUNDING
    assert "CHOWN" in seen.capabilities["effective"]
    assert "SYS_ADMIN" not in seen.capabilities["bounding"]
    assert seen.capabilities["ambient"] == ()
    assert (seen.no_new_privs, seen.oom_score_adj) == (True, 0)


def test_processes_files_and_sockets(home: pathlib.Path) -> None:
    engine.hatch("moka", command=["sh", "-c", "sleep 1000 < /etc/os-release & wait"])
    eventually(lambda: len(engine.xray("moka").processes) == 2, "it sleeps")
    eventually(lambda: engine.xray("moka").processes[1].command == "sleep 1000", "so it is called")
    seen = engine.xray("moka")
    first, second = seen.processes
    assert (first.pid, first.inside, second.inside) == (seen.pid, 1, 2)
    assert (second.parent, second.state) == (first.pid, "S")
    stdin = anatomy.OpenFile(second.pid, 0, "/etc/os-release")
    assert any(file[:2] == stdin[:2] and "os-release" in file.target for file in seen.files)
    assert [port.name for port in seen.interfaces] == ["lo"]
    assert seen.listeners == ()


def test_zombies_are_seen_for_they_count(home: pathlib.Path) -> None:
    # They end once PID 1 is a program that waits for nobody: a shell would bury them.
    orphan = "(until read name < /proc/1/comm && [ $name = sleep ]; do sleep 0.01; done) &"
    script = f"sh -c '{orphan} {orphan}'; exec sleep 1000"
    engine.hatch("moka", command=["sh", "-c", script])

    def states() -> list[str]:
        return [process.state for process in engine.xray("moka").processes]

    eventually(lambda: states() == ["S", "Z", "Z"], "two have ended, and nobody waits for them")
    seen = engine.xray("moka").processes
    assert {zombie.parent for zombie in seen[1:]} == {seen[0].pid}
    readings = engine.look("moka").readings
    assert readings and readings.pids == 3


def test_the_groups_files_are_live(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(pids=20))
    settings = {setting.file: setting for setting in engine.xray("moka").cgroup}
    assert settings["pids.max"].value == "20"
    assert pathlib.Path(settings["pids.max"].path).read_text() == "20\n"
    engine.diet("moka", pids=30)
    assert {s.value for s in engine.xray("moka").cgroup if s.file == "pids.max"} == {"30"}


def test_a_ghost_and_a_stranger_are_not_seen_through(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    record = home / "pets" / "moka" / "pet.json"
    told = json.loads(record.read_text())
    # Now another process has that number, as far as the record goes.
    record.write_text(json.dumps(told | {"start_time": told["start_time"] - 1}))
    with pytest.raises(engine.NotAwake, match="just ended"):
        engine.xray("moka")
    assert pet.pid is not None
    os.kill(pet.pid, signal.SIGKILL)
    eventually(lambda: engine.look("moka").status == "ghost", "it is dead")
    with pytest.raises(engine.NotAwake, match="ghost"):
        engine.xray("moka")
    with pytest.raises(engine.NoSuchPet):
        engine.xray("nobody")


def test_names_that_a_pet_made_up_do_no_harm(home: pathlib.Path) -> None:
    script = "cp /bin/sleep \"$(printf '/tmp/\\377\\033[31m')\"; exec /tmp/?* 1000"
    engine.hatch("moka", command=["sh", "-c", script])
    eventually(lambda: "1000" in engine.xray("moka").processes[0].command, "it runs")
    json.dumps(engine.xray("moka").to_json()).encode()


def test_an_ordinary_user_sees_their_own(student: Student) -> None:
    student.procchi("hatch", "moka", "--", "sh", "-c", "sleep 1000 & wait")

    def xray() -> Any:
        return json.loads(student.procchi("look", "moka", "--xray", "--json").stdout)["xray"]

    eventually(lambda: len(xray()["processes"]) == 2, "it sleeps")
    seen = xray()
    assert {wall["kind"] for wall in seen["namespaces"] if wall["inode"] != wall["host"]} >= {
        *("user", "mnt", "pid", "net")
    }
    assert seen["uid_map"][0] == {"inside": 0, "outside": UID, "length": 1}
    assert [process["inside"] for process in seen["processes"]] == [1, 2]
    assert "control group" in seen["unread"]["cgroup"] and seen["cgroup"] == []
    assert "NET_BIND_SERVICE" in student.procchi("look", "moka", "--xray").stdout

"""Everything works without sudo, and what cannot be had is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from tests.conftest import eventually
from tests.users import SUBORDINATE, UID, Student, student

__all__ = ["student"]


def processes_of(*uids: int) -> list[str]:
    """Those that run; one that has ended is its reaper's business."""
    command = ["ps", "-o", "stat,pid,args", *(f"-u{uid}" for uid in uids)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines()[1:] if not line.startswith("Z")]


def test_pull_hatch_feed_and_release(student: Student) -> None:
    student.procchi("pull", "home")
    hatched = student.procchi("hatch", "moka")
    assert hatched.stdout == "moka\n"
    assert student.procchi("feed", "moka", "--", "hostname").stdout == "moka\n"
    assert student.procchi("feed", "moka", "--", "id", "-u").stdout == "0\n"
    assert student.procchi("feed", "moka", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    with open(f"/proc/{pet['pid']}/status") as status:
        (uids,) = [line.split()[1:] for line in status if line.startswith("Uid:")]
    assert set(uids) == {str(UID)}
    for kind in ("user", "mnt", "pid", "uts", "ipc", "net", "cgroup"):
        mine, its = (os.readlink(f"/proc/{who}/ns/{kind}") for who in ("self", pet["pid"]))
        assert mine != its
    student.procchi("release", "moka")
    assert json.loads(student.procchi("pets", "--json").stdout) == []


def test_what_cannot_be_enforced_is_said_everywhere(student: Student) -> None:
    hatched = student.procchi("hatch", "moka")
    assert "memory, cpu, pids" in hatched.stderr and "procchi doctor" in hatched.stderr
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["limits"]["enforced"] == []
    assert "not enforced" in student.procchi("look", "moka").stdout
    checks = json.loads(student.procchi("doctor", "--json", check=False).stdout)
    (limits,) = [check for check in checks if check["name"] == "limits"]
    assert not limits["ok"] and limits["remedy"]


def test_readings_come_from_the_processes(student: Student) -> None:
    student.procchi("hatch", "moka", "--", "sh", "-c", "sleep 100 & sleep 100")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["readings"]["pids"] >= 2
    assert pet["readings"]["memory"] > 0


def test_release_removes_what_the_pets_other_users_wrote(student: Student) -> None:
    student.procchi("hatch", "moka")
    wish = "mkdir -p /root/a/b; touch /root/a/b/c; chown -R 7:7 /root/a; chmod 0 /root/a; ls /root"
    assert "a" in student.procchi("feed", "moka", "--", "sh", "-c", wish).stdout
    data = student.home / ".local/share/procchi"
    owner = (data / "pets/moka/upper/root/a").stat().st_uid
    assert owner == (SUBORDINATE + 6 if student.subordinate_ids else UID)
    student.procchi("release", "moka")
    assert list((data / "pets").iterdir()) == []
    assert list((data / "trash").iterdir()) == []
    student.python("import engine; engine.stop_nest()")
    assert processes_of(UID, SUBORDINATE + 6) == []


def test_sleep_and_wake_without_a_freezer(student: Student) -> None:
    student.procchi("hatch", "moka", "--", "sh", "-c", "while :; do sleep 0.01; done")
    student.procchi("sleep", "moka")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert (pet["status"], pet["mood"]) == ("asleep", "asleep")
    with open(f"/proc/{pet['pid']}/status") as status:
        assert "State:\tT (stopped)\n" in status.readlines()
    student.procchi("wake", "moka")
    assert student.procchi("feed", "moka", "--", "echo", "hi").stdout == "hi\n"


def test_a_killed_nest_is_replaced_and_adopts(student: Student) -> None:
    student.procchi("hatch", "moka")
    nest = int(student.python("import engine; print(engine.nest_status()['pid'])").stdout)
    os.kill(nest, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{nest}"), "the nest is gone")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["status"] == "alive"
    assert student.procchi("feed", "moka", "--", "hostname").stdout == "moka\n"

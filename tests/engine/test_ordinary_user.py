"""Everything works without sudo, and what cannot be had is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

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


def test_whoever_has_no_home_is_told_so_in_one_line(student: Student) -> None:
    """As in a container that runs as a number: no HOME, and nobody of that number in passwd(5)."""
    (student.home.parent / "passwd").write_text("")
    homeless = (
        "import os; del os.environ['HOME']; from procchi_tui.main import main; sys.exit(main())"
    )
    for words, status in ((["pets"], 1), (["nest", "status"], 1), (["hatch", "moka"], 125)):
        told = student.python(homeless, *words, check=False)
        assert told.returncode == status
        (line,) = told.stderr.splitlines()
        assert line.startswith("procchi: you have no home directory: set HOME")


def test_readings_come_from_the_processes(student: Student) -> None:
    student.procchi("hatch", "moka", "--", "sh", "-c", "sleep 100 & sleep 100")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["readings"]["pids"] >= 2
    assert pet["readings"]["memory"] > 0
    os.kill(pet["pid"], signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pet['pid']}"), "it is dead")
    (ghost,) = json.loads(student.procchi("pets", "--all", "--json").stdout)
    assert ghost["epitaph"]["last_readings"], "its last are those before its end"


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


@pytest.mark.parametrize("student", [True], indirect=True)
def test_doctor_says_why_systemd_hands_nothing_over_and_that_no_nest_starts(
    student: Student,
) -> None:
    """A manager listens, and refuses; then the nest's own place cannot be made either."""
    tools, bus = student.home / "tools", student.home / "runtime" / "bus"
    for directory in (tools, bus.parent):
        directory.mkdir()
    bus.touch()
    refuser = tools / "systemd-run"
    refuser.write_text("#!/bin/sh\necho 'Failed to start transient scope: no' >&2; exit 1\n")
    refuser.chmod(0o755)
    doctor = (
        f"import os; os.environ['PATH'] = '{tools}:' + os.environ['PATH']; "
        f"os.environ['XDG_RUNTIME_DIR'] = '{bus.parent}'; "
        "os.environ.update([pair.split('=') for pair in sys.argv[3:]]); del sys.argv[3:]; "
        "from procchi_tui.main import main; sys.exit(main())"
    )
    checks = json.loads(student.python(doctor, "doctor", "--json", check=False).stdout)
    (limits,) = [check for check in checks if check["name"] == "limits"]
    assert "Failed to start transient scope: no" in limits["found"]
    nowhere = f"PROCCHI_HOME={bus}/home"
    told = student.python(doctor, "doctor", "--json", nowhere, check=False)
    (limits,) = [check for check in json.loads(told.stdout) if check["name"] == "limits"]
    assert not limits["ok"] and "Not a directory" in limits["found"]


def test_sleep_and_wake_without_a_freezer(student: Student) -> None:
    student.procchi("hatch", "moka", "--", "sh", "-c", "while :; do sleep 0.01; done")
    student.procchi("sleep", "moka")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert (pet["status"], pet["mood"]) == ("asleep", "asleep")
    # D where it waits in vfork(2) for a child that was stopped before it executed anything.
    assert states_in(pet["pid"])[pet["pid"]] in {"T", "D"}
    student.procchi("wake", "moka")
    assert student.procchi("feed", "moka", "--", "echo", "hi").stdout == "hi\n"


def states_in(pid: int) -> dict[int, str]:
    """By process of the pid namespace of `pid`: its state (proc_pid_stat(5))."""
    namespace, found = os.readlink(f"/proc/{pid}/ns/pid"), {}
    for other in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{other}/ns/pid") == namespace:
                with open(f"/proc/{other}/stat") as stat:
                    found[int(other)] = stat.read().rpartition(")")[2].split()[0]
        except OSError:
            continue
    return found


@pytest.mark.parametrize("student", [True], indirect=True)
def test_who_is_forked_while_the_pet_falls_asleep_sleeps_too(student: Student) -> None:
    forks = "for i in 1 2 3 4; do (while :; do (sleep 0.02); done) & done; wait"
    student.procchi("hatch", "moka", "--", "sh", "-c", forks)
    student.procchi("sleep", "moka")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    states = states_in(pet["pid"])
    assert len(states) >= 5 and set(states.values()) <= {"T", "D", "Z"}
    nest = int(student.python("import engine; print(engine.nest_status()['pid'])").stdout)
    os.kill(nest, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{nest}"), "the nest is gone")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert (pet["status"], pet["mood"]) == ("asleep", "asleep")
    assert states_in(pet["pid"]) == states
    student.procchi("wake", "moka")
    assert set(states_in(pet["pid"]).values()) != {"T"}
    eventually(lambda: set(states_in(pet["pid"])) - set(states), "it forks again")


@pytest.mark.parametrize("student", [True], indirect=True)
def test_what_each_process_may_is_limited_in_place_of_all_of_them(student: Student) -> None:
    hatched = student.procchi("hatch", "moka", "--memory", "50M", "--pids", "10")
    assert "each of its users has 10 tasks at most (RLIMIT_NPROC)" in hatched.stderr
    assert "each process has 200M of data at most (RLIMIT_DATA)" in hatched.stderr
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["limits"]["enforced"] == [] and set(pet["limits"]["in_place"]) == {"memory", "pids"}
    assert "RLIMIT_NPROC" in student.procchi("look", "moka").stdout
    bomb = "for i in $(seq 30); do sleep 1 > /dev/null 2>&1 & done; echo 30"
    meal = student.procchi("feed", "moka", "--", "sh", "-c", bomb, check=False)
    assert "30" not in meal.stdout and "fork" in meal.stderr
    student.procchi("hatch", "pico", "--memory", "50M")
    hog = student.procchi(
        "feed", "pico", "--", "sh", "-c", "head -c 300M /dev/zero | tail -c 300M", check=False
    )
    assert hog.returncode != 0 and "memory" in hog.stderr
    fine = "head -c 100M /dev/zero | tail -c 100M | wc -c"
    assert student.procchi("feed", "pico", "--", "sh", "-c", fine).stdout == "104857600\n"
    student.procchi("release", "pico")
    raised = student.procchi("diet", "moka", "--memory", "100M", check=False)
    assert raised.returncode == 1 and "only root may raise" in raised.stderr
    student.procchi("diet", "moka", "--memory", "20M")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["limits"]["memory"] == 20 << 20
    with open(f"/proc/{pet['pid']}/limits") as limits:
        (data,) = [line.split()[3] for line in limits if line.startswith("Max data size")]
    assert int(data) == 80 << 20


@pytest.mark.parametrize("student", [True], indirect=True)
def test_strict_limits_are_refused_where_nobody_enforces_them(student: Student) -> None:
    refused = student.procchi("hatch", "moka", "--strict-limits", check=False)
    assert refused.returncode == 125
    assert "does not enforce its limits on memory, cpu, pids" in refused.stderr
    assert json.loads(student.procchi("pets", "--json").stdout) == []
    loose = ["--memory", "unlimited", "--cpu", "unlimited", "--pids", "unlimited"]
    student.procchi("hatch", "moka", "--strict-limits", *loose)


def test_a_pet_that_leases_its_log_keeps_nobody_waiting(student: Student) -> None:
    """Its root is the user, and so the log's owner, who may take a lease on it: fcntl(2)."""
    tree = student.home.parent / "egg"
    (tree / "bin").mkdir(parents=True)
    source = tree / "leaser.c"
    source.write_text(LEASER)
    subprocess.run(["cc", "-static", "-o", str(tree / "bin/leaser"), str(source)], check=True)
    student.procchi("pull", str(tree))
    student.procchi("hatch", "moka", "egg", "--", "/bin/leaser")
    data = student.home / ".local/share/procchi"
    eventually((data / "pets/moka/upper/leased").exists, "it has its lease")
    eventually(lambda: "could not be cut" in (data / "nest.log").read_text(), "the nest goes on")
    assert "log" in student.procchi("logs", "moka", check=False).stderr
    assert student.procchi("release", "moka").stdout == "moka\n"


LEASER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
int main(void)
{
    static char line[1 << 10];
    signal(SIGIO, SIG_IGN);
    for (;; usleep(500)) {
        write(1, line, sizeof line);
        if (fcntl(1, F_SETLEASE, F_WRLCK) == 0)
            close(open("/leased", O_CREAT | O_WRONLY, 0600));
    }
}
"""


def test_a_killed_nest_is_replaced_and_adopts(student: Student) -> None:
    student.procchi("hatch", "moka")
    nest = int(student.python("import engine; print(engine.nest_status()['pid'])").stdout)
    os.kill(nest, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{nest}"), "the nest is gone")
    (pet,) = json.loads(student.procchi("pets", "--json").stdout)
    assert pet["status"] == "alive"
    assert student.procchi("feed", "moka", "--", "hostname").stdout == "moka\n"


@pytest.mark.parametrize("student", [True], indirect=True)
def test_a_record_that_names_a_stranger_harms_nobody(student: Student) -> None:
    """As after a restart of the machine, when the pid has become somebody else's."""
    for name in ("moka", "pico"):
        student.procchi("hatch", name)
    pids = {pet["name"]: pet["pid"] for pet in json.loads(student.procchi("pets", "--json").stdout)}
    student.python("import engine; engine.stop_nest()")
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    setpriv = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    stranger = subprocess.Popen([*setpriv, "sleep", "1000"])
    try:
        for name, changes in {
            "moka": {"phase": "hatching", "start_time": 1},
            "pico": {"boot_id": "another"},
        }.items():
            record = student.home / ".local/share/procchi/pets" / name / "pet.json"
            told = json.loads(record.read_text())
            record.write_text(json.dumps(told | {"pid": stranger.pid} | changes))
        (ghost,) = json.loads(student.procchi("pets", "--all", "--json").stdout)
        assert (ghost["name"], ghost["status"]) == ("pico", "ghost")
        assert ghost["epitaph"]["last_readings"] is None, "those of the whole host"
        assert stranger.poll() is None, "it was killed as what is left of a pet"
    finally:
        stranger.kill()
        stranger.wait()

"""The nest may die, and so may the machine: no pet is lost, and nobody else is harmed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import select
import signal
import subprocess
import sys
import threading

import pytest

import engine
from engine import wire
from engine.cgroups.detection import mounted
from tests.conftest import eventually, fork_server, kill_nest, nest_pid, said

PROCCHI = str(pathlib.Path(sys.executable).with_name("procchi"))


def test_ten_pets_outlive_a_killed_nest_and_are_adopted(home: pathlib.Path) -> None:
    names = [f"pet{number}" for number in range(10)]
    for name in names:
        engine.hatch(name, limits=engine.Limits(memory="40M", pids=30))
    before = {pet.name: (pet.pid, pet.limits, pet.created_at) for pet in engine.pets()}
    kill_nest()
    assert all(os.path.exists(f"/proc/{pid}") for pid, _, _ in before.values())
    after = {pet.name: (pet.pid, pet.limits, pet.created_at) for pet in engine.pets()}
    assert after == before
    assert all(pet.status == "alive" for pet in engine.pets())
    assert said("pet3", "hostname") == "pet3"
    engine.signal("pet4", signal.SIGKILL)
    eventually(lambda: engine.look("pet4").status == "ghost", "the death is seen")
    assert sum(pet.status == "alive" for pet in engine.pets()) == 9


def test_a_sleeper_still_sleeps_under_the_next_nest(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.sleep("moka")
    kill_nest()
    rewrite(home, "moka", asleep=False)  # as if it had died before it could put it down
    assert engine.look("moka").status == "asleep"
    assert json.loads((home / "pets/moka/pet.json").read_text())["asleep"] is True
    assert engine.wake("moka").status == "alive"
    assert said("moka", "echo hi") == "hi"


def test_a_pet_that_died_meanwhile_is_a_ghost(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    for _ in range(2):
        said("moka", "true")
    kill_nest()
    pidfd = os.pidfd_open(pet.pid or 0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    eventually(lambda: not os.path.exists(f"/proc/{pet.pid}"), "it is dead")
    ghost = engine.look("moka")
    assert ghost.status == "ghost" and ghost.epitaph is not None
    assert "while no nest was there" in ghost.epitaph.cause
    assert ghost.meals == len(engine.meals("moka")) == 2


def test_how_an_adopted_pet_ended_is_told_though_another_reaps_it(home: pathlib.Path) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15):
        return  # none before tells once it is reaped, which init may do before the nest has looked
    engine.hatch("moka", command=["sh", "-c", "read word; exit 7"])
    engine.hatch("pico")
    kill_nest()
    engine.start_nest()
    engine.write("moka", "go\n")
    engine.signal("pico", signal.SIGKILL)
    eventually(lambda: all(pet.epitaph for pet in engine.pets()), "both deaths are seen")
    told = {
        pet.name: (pet.epitaph.cause, pet.epitaph.exit_code) for pet in engine.pets() if pet.epitaph
    }
    assert told == {"moka": ("exited with status 7", 7), "pico": ("killed by SIGKILL", 137)}


def test_stopping_the_nest_leaves_the_pets(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    engine.stop_nest()
    assert engine.nest_status()["running"] is False
    assert os.path.exists(f"/proc/{pet.pid}")
    assert engine.look("moka").pid == pet.pid


def test_a_stopped_nest_is_gone(empty_home: pathlib.Path) -> None:
    """So that its directory can be unmounted: the kernel closes an ended process's files late."""
    for _ in range(8):
        engine.start_nest()
        pid = nest_pid()
        engine.stop_nest()
        assert not os.path.exists(f"/proc/{pid}") or state_of(pid) == "Z"


def test_pets_are_adopted_by_a_nest_with_another_kind_of_control_group(
    home: pathlib.Path,
) -> None:
    """As when systemd hands over today what it did not yesterday, or the other way round."""
    script = pathlib.Path(__file__).with_name("groupless_nest.py")
    groupless = [sys.executable, str(script), str(home), str(home / "run")]
    grouped = engine.hatch("grouped", limits=engine.Limits(memory="40M", pids=30))
    kind = engine.nest_status()["cgroup"]["kind"]
    engine.stop_nest()
    subprocess.run(groupless, check=True)
    assert engine.nest_status()["cgroup"]["kind"] == "none"
    loose = engine.hatch("loose", limits=engine.Limits(memory="40M", pids=30))
    assert (loose.enforced, set(loose.in_place)) == ((), {"memory", "pids"})
    whys = {step.name: step.why for step in engine.care_log("loose")}
    assert "no control groups" in whys["cgroup"] and "joins no group" in whys["join"]
    for _ in range(2):
        for before in (grouped, loose):
            pet = engine.look(before.name)
            assert (pet.pid, pet.enforced) == (before.pid, before.enforced)
            assert pet.in_place == before.in_place
            assert pet.readings is not None and (pet.readings.memory or 0) > 0
            assert engine.sleep(pet.name).status == "asleep"
            assert (state_of(pet.pid or 0) == "T") == (before is loose)
            engine.wake(pet.name)
            assert said(pet.name, "hostname") == pet.name
        assert engine.diet("grouped", pids=20).enforced == grouped.enforced
        assert engine.details("grouped").facts["pids_limit"].value == 20
        engine.stop_nest()
        assert engine.start_nest()["cgroup"]["kind"] == kind
    engine.release("grouped")
    engine.stop_nest()
    subprocess.run(groupless, check=True)
    engine.release("loose")


def test_without_groups_a_pet_is_not_taken_for_one_before_it(home: pathlib.Path) -> None:
    """The kernel gives a pid namespace's number to the next one as soon as it is free."""
    script = pathlib.Path(__file__).with_name("groupless_nest.py")
    subprocess.run([sys.executable, str(script), str(home), str(home / "run")], check=True)
    for _ in range(20):
        engine.hatch("moka")
        readings = engine.look("moka").readings
        assert readings is not None and readings.pids == 1
        engine.release("moka")
    engine.stop_nest()


@pytest.mark.parametrize("name", [r"Threads:\t999999", r"\rnameless"])
def test_without_groups_a_pets_name_is_none_of_its_numbers(home: pathlib.Path, name: str) -> None:
    """It stands in the same file as they do, proc_pid_status(5), and before them."""
    script = pathlib.Path(__file__).with_name("groupless_nest.py")
    subprocess.run([sys.executable, str(script), str(home), str(home / "run")], check=True)
    pet = engine.hatch("moka")
    before = pathlib.Path(f"/proc/{pet.pid}/comm").read_bytes()
    engine.write("moka", f"printf '{name}' > /proc/1/comm\n")
    comm = pathlib.Path(f"/proc/{pet.pid}/comm")
    eventually(lambda: comm.read_bytes() != before, "it has another name")
    readings = engine.look("moka").readings
    assert readings is not None and readings.pids == 1
    facts = engine.details("moka").facts
    assert (facts["pids"].value, facts["pids"].file.split()[0]) == (1, "/proc/PID/status")
    assert (facts["memory_anonymous"].value or 0) > 0
    engine.release("moka")
    engine.stop_nest()


def test_without_a_freezer_pets_sleep_by_signals(home: pathlib.Path) -> None:
    """cgroup v1 has the freezer in a hierarchy of its own, which a kernel may lack."""
    if engine.start_nest()["cgroup"]["kind"] != "v1":
        return  # freezing is of the groups themselves there
    engine.stop_nest()
    script = pathlib.Path(__file__).with_name("groupless_nest.py")
    lacking = [sys.executable, str(script), str(home), str(home / "run"), "freezer"]
    subprocess.run(lacking, check=True)
    restless = "(while :; do :; done) & (while :; do :; done) & while :; do sleep 0.01; done"
    pet = engine.hatch("moka", limits=engine.Limits(cpu="1%"), command=["sh", "-c", restless])
    for _ in range(5):  # one that its limit holds back takes no signal for a second
        sleeper = engine.sleep("moka")
        assert (sleeper.status, sleeper.reason) == ("asleep", "frozen; State T (stopped)")
        engine.wake("moka")
    engine.sleep("moka")
    # D where it waits in vfork(2) for a child that was stopped before it executed anything.
    eventually(lambda: state_of(pet.pid or 0) in {"T", "D"}, "it is stopped")
    engine.diet("moka", cpu="unlimited")
    kill_nest()
    subprocess.run(lacking, check=True)
    assert engine.look("moka").status == "asleep"
    assert engine.wake("moka").status == "alive"
    assert said("moka", "echo hi") == "hi"
    engine.sleep("moka")
    engine.release("moka")


def state_of(pid: int) -> str:
    """proc_pid_stat(5)."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def rewrite(home: pathlib.Path, name: str, **changes: object) -> None:
    record = home / "pets" / name / "pet.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


def test_after_a_restart_of_the_machine_pets_are_ghosts(home: pathlib.Path) -> None:
    """Simulated: the record speaks of another boot, and of a pid that is now a stranger's."""
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        pet = engine.hatch("moka")
        engine.hatch("pico")
        kill_nest()
        rewrite(home, "moka", boot_id="another", pid=stranger.pid)
        rewrite(home, "pico", pid=stranger.pid)  # this boot, but not its start time
        assert [p.status for p in engine.pets()] == ["ghost", "ghost"]
        epitaph = engine.look("moka").epitaph
        assert epitaph is not None and epitaph.cause == "the host was restarted"
        engine.release("moka")
        engine.release("pico")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    del pet


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": "moka"}', "\x00" * 4096])
def test_a_torn_record_is_set_aside_and_said(home: pathlib.Path, content: str) -> None:
    engine.hatch("moka")
    engine.hatch("pico")
    kill_nest()
    (home / "pets" / "moka" / "pet.json").write_text(content)
    assert [pet.name for pet in engine.pets()] == ["pico"]
    assert "set aside" in (home / "nest.log").read_text()
    assert len(list((home / "broken").iterdir())) == 1
    engine.hatch("moka")  # the name is free, and so is its group


@pytest.mark.parametrize("pid", [0, -1, 1 << 70, "thread", float("inf")])
def test_no_record_keeps_the_nest_from_starting(home: pathlib.Path, pid: int | float | str) -> None:
    """A number that is no process's is one more way in which a pet is not there."""
    moka, pico = engine.hatch("moka").pid or 0, engine.hatch("pico").pid or 0
    kill_nest()
    os.kill(moka, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{moka}"), "it is dead")
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    try:
        rewrite(home, "moka", pid=thread.native_id if pid == "thread" else pid)
        found = {pet.name: pet.status for pet in engine.pets()}
    finally:
        waiting.set()
        thread.join()
    assert found.pop("moka", "ghost") == "ghost"
    assert found == {"pico": "alive"} and engine.look("pico").pid == pico


def test_of_what_was_set_aside_the_newest_are_kept(home: pathlib.Path) -> None:
    engine.start_nest()
    kill_nest()
    for number in range(14):
        (home / "pets" / f"torn{number}" / "upper").mkdir(parents=True)
    assert engine.pets() == []
    eventually(lambda: len(os.listdir(home / "broken")) == 10, "the oldest are gone")


def test_the_nests_own_log_stays_bounded_while_it_runs(home: pathlib.Path) -> None:
    engine.hatch("moka")
    log, directory = home / "nest.log", home / "pets" / "moka"
    os.truncate(log, 3 << 19)
    directory.rename(home / "elsewhere")  # a record that finds no place is complained of
    engine.sleep("moka")
    (home / "elsewhere").rename(directory)
    assert "moka: its record is not written yet" in log.read_text()
    assert log.stat().st_size < 1 << 20
    assert (home / "nest.log.old").stat().st_size == 3 << 19
    eventually(lambda: '"asleep": true' in (directory / "pet.json").read_text(), "it is written")


def test_what_cannot_be_set_aside_stays_and_the_nest_starts(home: pathlib.Path) -> None:
    engine.hatch("moka")
    kill_nest()
    (home / "pets" / "torn").mkdir()
    (home / "broken").write_text("a file where the directory should be")
    assert [pet.name for pet in engine.pets()] == ["moka"]
    assert "torn" in (home / "nest.log").read_text()
    (home / "pets" / "torn").rmdir()


def test_a_nest_whose_socket_was_taken_away_ends(home: pathlib.Path) -> None:
    engine.hatch("moka")
    pid = nest_pid()
    (home / "run" / "nest.sock").unlink()
    eventually(lambda: ended(pid), "it has ended")
    assert engine.look("moka").status == "alive"
    assert nest_pid() != pid


def ended(pid: int) -> bool:
    try:
        return state_of(pid) == "Z"
    except OSError:
        return True


def test_two_clients_at_once_start_one_nest(home: pathlib.Path) -> None:
    script = "import engine; print(engine.start_nest()['pid'])"
    clients = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(6)
    ]
    pids = {client.communicate()[0] for client in clients}
    assert len(pids) == 1 and pids != {b""}


def test_what_whoever_starts_the_nest_does_with_signals_is_theirs_alone(
    home: pathlib.Path,
) -> None:
    """A shell ignores some for what it runs in the background, and a supervisor SIGCHLD perhaps."""
    script = (
        "import engine, signal as s;"
        "[s.signal(one, s.SIG_IGN) for one in (s.SIGCHLD, s.SIGQUIT, s.SIGUSR1, s.SIGTSTP)];"
        "s.pthread_sigmask(s.SIG_BLOCK, {s.SIGTERM, s.SIGALRM, s.SIGUSR2});"
        "engine.start_nest()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    pet = engine.hatch("moka", command=["sleep", "1000"])
    meal = "import engine; print(engine.feed('moka', ['sh', '-c', 'exit 3']).exit_code)"
    fed = subprocess.run(
        [sys.executable, "-c", meal], capture_output=True, text=True, timeout=30, check=True
    )
    assert fed.stdout == "3\n"
    for status in (
        pathlib.Path(f"/proc/{pet.pid}/status").read_text(),
        said("moka", "exec cat /proc/self/status"),
    ):
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert int(fields["SigIgn"], 16) == int(fields["SigBlk"], 16) == 0


@pytest.mark.parametrize("nests", [500, 900])
def test_a_meal_is_more_expendable_than_its_pet(nests: int, home: pathlib.Path) -> None:
    """Also where whoever starts the nest is expendable: a desktop's programs, a pod of best effort.

    Only a privilege on the host leads below what one was given, 300 included.
    """
    script = (
        "import engine, sys; open('/proc/self/oom_score_adj', 'w').write(sys.argv[1]);"
        "engine.start_nest()"
    )
    subprocess.run([sys.executable, "-c", script, str(nests)], check=True)
    engine.hatch("moka")
    told = said("moka", "cat /proc/1/oom_score_adj /proc/self/oom_score_adj").split()
    assert told == [str(nests), str(min(nests + 300, 1000))]


def test_many_clients_hatch_and_feed_at_once(home: pathlib.Path) -> None:
    engine.start_nest()
    said_by: dict[str, str] = {}

    def care(name: str) -> None:
        engine.hatch(name)
        said_by[name] = said(name, "hostname")
        engine.release(name)

    names = [f"pet{number}" for number in range(16)]
    threads = [threading.Thread(target=care, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said_by == {name: name for name in names}
    assert engine.pets() == []


def test_a_client_that_dies_in_the_middle_harms_nobody(home: pathlib.Path) -> None:
    engine.hatch("moka")
    script = "import engine; engine.feed('moka', ['sleep', '1000'])"
    client = subprocess.Popen([sys.executable, "-c", script])
    eventually(lambda: engine.look("moka").meals == 1, "the meal has begun")
    client.kill()
    client.wait()
    assert said("moka", "echo fine") == "fine"
    assert nest_pid()


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"not json\n",
        b"[1]\n",
        b'{"protocol": 1, "op": "dance"}\n',
        b'{"protocol": 1, "op": "hatch"}\n',
        b'{"protocol": 1, "op": "hatch", "name": 5, "limits": 7}\n',
        b'{"protocol": 1, "op": "hatch", "name": "a", "egg": "home", "command": 5}\n',
        b'{"protocol": 1, "op": "hatch", "name": "a", "egg": "home", "environment": {"A=B": "c"}}\n',  # noqa: E501
        b'{"protocol": 1, "op": "feed", "name": "moka", "command": ["ls"]}\n',
        b'{"protocol": 1, "op": "feed", "name": "moka", "command": ["a\\u0000b"]}\n',
        b'{"protocol": 1, "op": "signal", "name": "moka", "number": "x"}\n',
        b'{"protocol": 1, "op": "signal", "name": "moka", "number": 1e999}\n',
        b'{"protocol": 1, "op": "signal", "name": "moka", "number": 1099511627776}\n',
        b'{"protocol": 1, "op": "watch", "readings": "often"}\n',
        b'{"protocol": 1, "op": "watch", "readings": 1e999}\n',
        b'{"protocol": 1, "op": "watch", "readings": -1}\n',
        b"x" * (wire.LONGEST_REQUEST + (1 << 17)),
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda request_: request_[:40].decode("latin-1").strip(),
)
def test_a_request_that_makes_no_sense_is_refused_in_one_line(
    home: pathlib.Path, request_: bytes
) -> None:
    engine.hatch("moka")
    with wire.connect() as connection:
        try:
            connection.sock.sendall(request_)
        except (BrokenPipeError, ConnectionResetError):
            pass
        with pytest.raises(engine.ProcchiError) as refused:
            connection.receive()
    assert "\n" not in str(refused.value)
    assert [pet.name for pet in engine.pets()] == ["moka"]
    assert "Traceback" not in (home / "nest.log").read_text()


def test_a_nest_of_another_version_says_so(home: pathlib.Path) -> None:
    engine.start_nest()
    with wire.connect() as connection:
        connection.sock.sendall(b'{"protocol": 1, "op": "pets", "protocol": 0}\n')
        with pytest.raises(engine.NestUnreachable, match=r"another version.*procchi nest stop"):
            connection.receive()


def test_snapshots_hold_everything_first_and_then_what_changed(home: pathlib.Path) -> None:
    engine.hatch("moka")
    with engine.watch(readings=20) as stream:
        snapshots = (item for item in stream if isinstance(item, engine.Snapshot))
        first = next(snapshots)
        assert [pet.name for pet in first.pets] == ["moka"]
        engine.hatch("pico")
        assert "pico" in next(pet.name for s in snapshots for pet in s.pets)
        engine.release("moka")
        assert next(name for s in snapshots for name in s.gone) == "moka"


def test_a_watch_ends_when_it_is_closed_elsewhere(home: pathlib.Path) -> None:
    watch = engine.watch(readings=1)
    threading.Timer(0.2, watch.close).start()
    assert all(isinstance(item, engine.Snapshot) for item in watch)


def test_a_watcher_is_told_that_the_nest_has_ended(home: pathlib.Path) -> None:
    with engine.watch(readings=5) as watch:
        kill_nest()
        with pytest.raises(engine.NestUnreachable, match="pets live on"):
            for _ in watch:
                pass


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_another_user_is_turned_away(home: pathlib.Path) -> None:
    engine.start_nest()
    os.chmod(home, 0o755)
    os.chmod(home / "run", 0o755)
    os.chmod(home / "run" / "nest.sock", 0o777)
    script = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "print(s.recv(999).decode())"
    )
    command = ["setpriv", "--reuid=12345", "--clear-groups", "/usr/bin/python3", "-c", script]
    told = subprocess.run(
        [*command, str(home / "run" / "nest.sock")], capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout)["error"] == "this nest belongs to user 0"


def test_a_pet_named_badly_is_refused(home: pathlib.Path) -> None:
    for name in ("..", ".", "a/b", "", "x" * 300, "new\nline", "-dash", "späti", "nul\0"):
        with pytest.raises(engine.BadRequest, match="pet name"):
            engine.hatch(name)
    engine.hatch("moka")
    with pytest.raises(engine.NameTaken, match="moka is taken"):
        engine.hatch("moka")
    assert [path.name for path in (home / "pets").iterdir()] == ["moka"]


def test_a_nest_with_few_descriptors_says_so_and_pets_can_be_released(
    home: pathlib.Path,
) -> None:
    engine.hatch("moka")
    pid = nest_pid()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (120, before[1]))
    with pytest.raises(engine.ProcchiError, match="may have 120 files open"):
        for number in range(60):
            engine.hatch(f"pet{number}")
    names = {pet.name for pet in engine.pets()}
    assert "moka" in names and len(names) > 1
    crowd = [wire.connect(start=False) for _ in range(100)]  # more than it can let in
    for one in crowd:
        one.close()
    for name in sorted(names - {"moka"}):
        engine.release(name)
    assert said("moka", "echo hi") == "hi"
    assert "Traceback" not in (home / "nest.log").read_text()


def test_a_nest_that_is_told_to_end_does_so_at_once(home: pathlib.Path) -> None:
    """Idle, it waits for ever: the signal alone must wake it."""
    engine.start_nest()
    fork_server()  # once it is the only child, nothing else wakes the nest
    nest = nest_pid()
    eventually(lambda: state_of(nest) == "S", "it waits")
    pidfd = os.pidfd_open(nest)
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    assert select.select([pidfd], [], [], 30)[0], "it goes on waiting"
    os.close(pidfd)


def test_a_dead_nests_child_that_cannot_end_keeps_no_other_from_starting(
    home: pathlib.Path,
) -> None:
    """One that is frozen on its way into a pet holds on to whatever it has inherited."""
    pid = engine.hatch("moka").pid
    with open(f"/proc/{pid}/cgroup") as file:
        groups = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    found = mounted()
    if "freezer" in found.hierarchies:
        group = found.hierarchies["freezer"] + groups["freezer"]
        file_name, states = "freezer.state", {True: "FROZEN", False: "THAWED"}
    else:
        group = str(found.unified) + groups[""]
        file_name, states = "cgroup.freeze", {True: "1", False: "0"}

    def freeze(frozen: bool) -> None:
        with open(f"{group}/{file_name}", "w") as file:
            file.write(states[frozen])

    def fed_in_vain(name: str) -> None:
        with contextlib.suppress(engine.ProcchiError):
            engine.feed(name, ["true"])

    def members() -> int:
        with open(f"{group}/cgroup.procs") as file:
            return len(file.read().split())

    freeze(True)  # behind the nest's back, as it would be in the very moment of a meal
    try:
        meal = threading.Thread(target=fed_in_vain, args=("moka",))
        meal.start()
        eventually(lambda: members() == 2, "the meal is frozen before it is one")
        before = nest_pid()
        kill_nest()
        assert [pet.name for pet in engine.pets()] == ["moka"]
        assert nest_pid() != before
    finally:
        freeze(False)
    meal.join()

"""The nest may die, and so may the machine: no pet is lost, and nobody else is harmed."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

import engine
from engine import wire
from tests.conftest import eventually, kill_nest, nest_pid, said


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
    assert engine.look("moka").status == "asleep"
    assert engine.wake("moka").status == "alive"
    assert said("moka", "echo hi") == "hi"


def test_a_pet_that_died_meanwhile_is_a_ghost(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    kill_nest()
    pidfd = os.pidfd_open(pet.pid or 0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    eventually(lambda: not os.path.exists(f"/proc/{pet.pid}"), "it is dead")
    ghost = engine.look("moka")
    assert ghost.status == "ghost" and ghost.epitaph is not None
    assert "while no nest was there" in ghost.epitaph.cause


def test_stopping_the_nest_leaves_the_pets(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    engine.stop_nest()
    assert engine.nest_status()["running"] is False
    assert os.path.exists(f"/proc/{pet.pid}")
    assert engine.look("moka").pid == pet.pid


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


def test_a_nest_whose_socket_was_taken_away_ends(home: pathlib.Path) -> None:
    engine.hatch("moka")
    pid = nest_pid()
    (home / "run" / "nest.sock").unlink()
    eventually(lambda: ended(pid), "it has ended")
    assert engine.look("moka").status == "alive"
    assert nest_pid() != pid


def ended(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_two_clients_at_once_start_one_nest(home: pathlib.Path) -> None:
    script = "import engine; print(engine.start_nest()['pid'])"
    clients = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(6)
    ]
    pids = {client.communicate()[0] for client in clients}
    assert len(pids) == 1 and pids != {b""}


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
        b'{"protocol": 1, "op": "watch", "readings": "often"}\n',
        b'{"protocol": 1, "op": "watch", "readings": 1e999}\n',
        b'{"protocol": 1, "op": "watch", "readings": -1}\n',
        b"x" * (wire.LONGEST_REQUEST + (1 << 17)),
        b"\xff\xfe\n",
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
    assert "Traceback" not in (home / "nest.log").read_text()
    assert [pet.name for pet in engine.pets()] == ["moka"]


def test_a_nest_of_another_version_says_so(home: pathlib.Path) -> None:
    engine.start_nest()
    with wire.connect() as connection:
        connection.sock.sendall(b'{"protocol": 1, "op": "pets", "protocol": 0}\n')
        with pytest.raises(engine.NestUnreachable, match=r"another version.*procchi nest stop"):
            connection.receive()


def test_watching_tells_what_happens(home: pathlib.Path) -> None:
    engine.start_nest()
    kinds = []
    with engine.watch() as events:
        engine.hatch("moka", limits=engine.Limits(memory="30M"))
        engine.feed("moka", ["true"])
        engine.sleep("moka")
        engine.wake("moka")
        engine.release("moka")
        for event in events:
            assert isinstance(event, engine.Event)
            kinds.append(event.kind)
            if event.kind == "released":
                break
    expected = ["hatched", "fed", "meal-over", "asleep", "awake", "died", "released"]
    assert [kind for kind in kinds if kind != "mood"] == expected


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


def test_a_log_stays_bounded_and_keeps_the_latest(home: pathlib.Path) -> None:
    engine.hatch("chatty", command=["sh", "-c", "yes line; sleep 1000"])
    log = engine.log_path("chatty")
    eventually(lambda: log.stat().st_size > 1 << 20, "it has said a lot")
    eventually(lambda: log.stat().st_size < 1 << 20, "the log was cut", seconds=30)
    eventually(lambda: log.read_bytes()[:5] == b"line\n", "it begins with a whole line")

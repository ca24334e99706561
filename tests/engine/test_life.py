"""A pet's life, from egg to release, on the real kernel."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import engine
from tests.conftest import eventually, leftovers, said

NAMESPACES = ["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"]


def namespaces_of(pid: int | str) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


def test_a_pet_lives_in_namespaces_of_its_own(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    mine, its = namespaces_of("self"), namespaces_of(pet.pid or 0)
    assert [name for name in NAMESPACES if mine[name] == its[name]] == []


def test_a_meal_joins_every_namespace_the_group_and_the_root(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    its = namespaces_of(pet.pid or 0)
    for name in NAMESPACES:
        assert said("moka", f"readlink /proc/self/ns/{name}") == its[name]
    assert said("moka", "hostname") == "moka"
    assert said("moka", "cat /etc/os-release").count("\n") > 0
    assert set(said("moka", "cut -d: -f3 /proc/self/cgroup").split()) >= {"/"}
    assert (
        said("moka", "cat /proc/1/cgroup").splitlines()[1:]
        == said("moka", "cat /proc/self/cgroup").splitlines()[1:]
    )


def test_only_its_own_processes_are_in_sight(home: pathlib.Path) -> None:
    engine.hatch("moka")
    pids = said("moka", "cd /proc; echo [0-9]*").split()
    assert len(pids) == 2 and pids[0] == "1"


def test_root_inside_is_nobody_outside(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    assert said("moka", "id -u") == "0"
    with open(f"/proc/{pet.pid}/status") as status:
        (uids,) = [line.split()[1:] for line in status if line.startswith("Uid:")]
    assert set(uids) == {"1900000000"} or os.geteuid() != 0
    assert "0" not in uids


def test_an_exit_status_is_exact(home: pathlib.Path) -> None:
    engine.hatch("moka")
    for code in (0, 1, 7, 125, 126, 127, 200, 255):
        assert engine.feed("moka", ["sh", "-c", f"exit {code}"]).exit_code == code
    assert engine.feed("moka", ["sh", "-c", "kill -TERM $$"]).exit_code == 128 + signal.SIGTERM


def test_a_signal_reaches_all_of_the_command(home: pathlib.Path) -> None:
    engine.hatch("moka")
    null = os.open("/dev/null", os.O_RDWR)
    with engine.open_meal("moka", ["sh", "-c", "sleep 1000; :"], stdio=(null, null, null)) as meal:
        eventually(lambda: "sleep" in said("moka", "cat /proc/[0-9]*/comm"), "it sleeps")
        meal.signal(signal.SIGINT)
        assert meal.wait().exit_code == 128 + signal.SIGINT
    os.close(null)
    # PID 1 buries it, whom the command left as an orphan.
    eventually(lambda: "sleep" not in said("moka", "cat /proc/[0-9]*/comm"), "it is gone")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda one: engine.feed("moka", one), r"a command is a list of words: \["),
        (lambda one: engine.open_meal("moka", one), r"a command is a list of words: \["),
        (lambda one: engine.hatch("moka", command=one), r"a command is a list of words: \["),
        (lambda one: engine.hatch("moka", entrypoint=one), r"a command is a list of words: \["),
        (lambda one: engine.hatch("moka", limits=one), r"limits are engine\.Limits\("),
        (lambda one: engine.signal("moka", one), "is no signal: give its number"),
    ],
    ids=["feed", "open_meal", "command", "entrypoint", "limits", "signal"],
)
def test_what_is_of_another_kind_is_refused_in_one_line(
    ask: Callable[[Any], object], said: str, empty_home: pathlib.Path
) -> None:
    for one in ("ls -l" * 99, b"ls", ["ls", 5], {"memory": "5M"}):
        with pytest.raises(engine.BadRequest, match=said) as refused:
            ask(one)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 120
    assert engine.pets() == []


def test_a_meal_goes_on_after_a_signal_that_is_none(home: pathlib.Path) -> None:
    engine.hatch("moka")
    nothing = os.open("/dev/null", os.O_RDWR)
    with engine.open_meal("moka", ["sleep", "1000"], stdio=(nothing,) * 3) as meal:
        with pytest.raises(engine.BadRequest, match="'NOPE' is no signal"):
            meal.signal("NOPE")  # type: ignore[arg-type]
        meal.signal(signal.SIGTERM)
        assert meal.wait().exit_code == 128 + signal.SIGTERM
    os.close(nothing)


def test_output_input_and_environment(home: pathlib.Path) -> None:
    engine.hatch("moka")
    meal = engine.feed(
        "moka",
        ["sh", "-c", "cat; echo $SNACK; echo oops >&2; exit 3"],
        stdin=b"x" * 300_000,
        environment={"SNACK": "rice"},
    )
    assert meal.stdout == b"x" * 300_000 + b"rice\n"
    assert (meal.stderr, meal.exit_code) == (b"oops\n", 3)


def test_writes_are_the_pets_own_and_the_egg_stays_as_it_was(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.hatch("pico")
    said("moka", "echo mine > /root/note; rm /etc/os-release")
    assert said("moka", "cat /root/note") == "mine"
    assert said("pico", "ls /root; ls /etc/os-release") == "/etc/os-release"


def test_without_a_command_it_lives_and_eats_from_its_mouth(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.write("moka", "echo yum; echo plate > /tmp/plate\n")
    log = engine.log_path("moka")
    eventually(lambda: log.read_text() == "yum\n", "the shell said yum")
    assert said("moka", "cat /tmp/plate") == "plate"


def test_a_command_that_ends_leaves_a_ghost_with_an_epitaph(home: pathlib.Path) -> None:
    engine.hatch("brief", command=["sh", "-c", "echo last words; exit 3"])
    eventually(lambda: engine.look("brief").status == "ghost", "it is a ghost")
    ghost = engine.look("brief")
    assert (ghost.pid, ghost.mood) == (None, "ghost")
    assert ghost.epitaph is not None
    assert (ghost.epitaph.exit_code, ghost.epitaph.cause) == (3, "exited with status 3")
    assert engine.log_path("brief").read_text() == "last words\n"
    with pytest.raises(engine.NotAwake, match=r"ghost.*exited with status 3"):
        engine.feed("brief", ["true"])


def test_a_shell_that_is_there_and_cannot_be_executed_is_not_said_to_be_missing(
    home: pathlib.Path,
) -> None:
    """E2BIG: execve(2) takes no variable of more than 128 KiB."""
    with pytest.raises(engine.CommandNotExecutable, match=r"its egg's shell .*: Argument list too"):
        engine.hatch("moka", environment={"LONG": "x" * 200_000})
    assert engine.pets() == []


def test_a_killed_pet_says_by_what(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.signal("moka", signal.SIGKILL)
    eventually(lambda: engine.look("moka").status == "ghost", "it is a ghost")
    epitaph = engine.look("moka").epitaph
    assert epitaph is not None
    assert (epitaph.cause, epitaph.exit_code) == ("killed by SIGKILL", 137)


def test_sleep_stops_it_and_wake_lets_it_go_on(home: pathlib.Path) -> None:
    engine.hatch("moka", command=["sh", "-c", "while :; do echo tick; sleep 0.01; done"])
    log = engine.log_path("moka")
    eventually(log.read_text, "it ticks")
    assert engine.sleep("moka").status == "asleep"
    assert engine.sleep("moka").mood == "asleep"
    before = log.stat().st_size
    with pytest.raises(engine.NotAwake, match="procchi wake moka"):
        engine.feed("moka", ["true"])
    assert log.stat().st_size == before
    assert engine.wake("moka").status == "alive"
    eventually(lambda: log.stat().st_size > before, "it ticks again")


def test_a_sleeping_pet_can_be_released(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.sleep("moka")
    engine.release("moka")
    assert engine.pets() == []


def test_a_pet_that_somebody_else_froze_or_woke_is_as_the_kernel_says(home: pathlib.Path) -> None:
    kind = engine.start_nest()["cgroup"]["kind"]
    if kind == "none":
        return  # there is no file that anybody could write to
    file = "cgroup.freeze" if kind == "v2" else "freezer.state"
    words = ("1", "0") if kind == "v2" else ("FROZEN", "THAWED")
    pet = engine.hatch("moka")
    path = next(one.path for one in engine.xray("moka").cgroup if one.file == file)
    engine.sleep("moka")
    with engine.watch(readings=5) as watch:
        told = iter(watch)
        next(told)  # from here on it is watched
        pathlib.Path(path).write_text(words[1])
        woken = next(item for item in told if isinstance(item, engine.Event))
    assert (woken.kind, engine.look("moka").status) == ("awake", "alive")
    assert said("moka", "echo hi") == "hi"
    pathlib.Path(path).write_text(words[0])
    engine.release("moka")
    assert not os.path.exists(f"/proc/{pet.pid}")


def test_release_lets_a_pid_1_that_handles_sigterm_say_goodbye(home: pathlib.Path) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    engine.hatch("moka", command=["sh", "-c", script])
    log = engine.log_path("moka")
    eventually(lambda: "up" in log.read_text(), "it is up")
    with engine.watch() as events:
        engine.release("moka")
        (death,) = [e for e in _until(events, "released") if e.kind == "died"]
    assert death.detail["exit_code"] == 0


def _until(events: engine.Watch, kind: str) -> list[engine.Event]:
    seen = []
    for event in events:
        if isinstance(event, engine.Event):
            seen.append(event)
            if event.kind == kind:
                break
    return seen


def test_release_leaves_nothing(home: pathlib.Path) -> None:
    for name in ("moka", "pico", "momo"):
        engine.hatch(name)
    said("moka", "mkdir -p /root/a/b && touch /root/a/b/c && chmod 000 /root/a")
    said("pico", "sleep 1000 >/dev/null 2>&1 & sleep 2000 >/dev/null 2>&1 &")
    for name in ("moka", "pico", "momo"):
        engine.release(name)
    assert leftovers(str(home)) == []


def test_a_ghost_released_while_somebody_is_in_its_group_goes_once(home: pathlib.Path) -> None:
    """Its group is being taken away already, again and again until it is empty."""
    pet = engine.hatch("moka")
    path = engine.details("moka").facts["pids"].path
    stray = subprocess.Popen(["sleep", "1000"])
    (pathlib.Path(path).parent / "cgroup.procs").write_text(str(stray.pid))
    try:
        engine.signal("moka", signal.SIGKILL)
        eventually(lambda: not os.path.exists(f"/proc/{pet.pid}"), "it is dead")
        with engine.watch() as watch:
            engine.release("moka")
            assert engine.hatch("moka").pid != pet.pid
            for _ in range(4):  # longer than it takes to find the group empty
                assert said("moka", "sleep 0.1; hostname") == "moka"
            engine.sleep("moka")
            told = []
            for item in watch:
                told.append(item.kind if isinstance(item, engine.Event) else "")
                if told[-1] == "asleep":
                    break
    finally:
        stray.wait()  # killed as what is left of a pet
    assert told.count("released") == 1


def test_groups_made_below_a_pets_go_with_it(home: pathlib.Path) -> None:
    """As a pet may make them where its group was handed over to its user."""
    engine.hatch("moka")
    group = pathlib.Path(engine.details("moka").facts["pids"].path).parent
    (group / "below" / "further").mkdir(parents=True)
    stray = subprocess.Popen(["sleep", "1000"])
    (group / "below" / "further" / "cgroup.procs").write_text(str(stray.pid))
    try:
        engine.release("moka")
    finally:
        stray.kill()
        assert stray.wait() == -signal.SIGKILL
    assert not group.exists()


def test_a_read_only_pet_writes_only_to_memory(home: pathlib.Path) -> None:
    engine.hatch("moka", read_only=True)
    assert engine.feed("moka", ["touch", "/root/x"]).exit_code != 0
    assert said("moka", "echo ok > /tmp/x && cat /tmp/x") == "ok"


def test_network_none_is_a_loopback_of_its_own_and_host_is_the_hosts(home: pathlib.Path) -> None:
    engine.hatch("lonely")
    engine.hatch("social", network="host")
    assert said("lonely", "ls /sys/class/net") == "lo"
    assert "lo" in said("lonely", "cat /proc/net/dev")
    assert said("social", "readlink /proc/self/ns/net") == os.readlink("/proc/self/ns/net")


def test_chroot_alone_leaves_the_hosts_root_mounted_and_pivot_root_does_not(
    home: pathlib.Path,
) -> None:
    engine.hatch("walled")
    engine.hatch("shown", chroot_only=True)
    (done,) = (step for step in engine.care_log("shown") if step.name == "change root")
    assert [call.name for call in done.calls] == ["chroot"]
    assert "pivot_root was left out" in done.why
    assert root_of_mount_namespace("shown") == os.stat("/").st_ino
    assert root_of_mount_namespace("walled") != os.stat("/").st_ino
    assert said("shown", "hostname") == "shown"


def root_of_mount_namespace(name: str) -> int:
    """Where a process lands that enters the namespace and asks for no other root."""
    command = ["nsenter", "-t", str(engine.look(name).pid), "--mount", "stat", "-c", "%i", "/"]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_care_log_tells_the_steps_in_their_order(home: pathlib.Path) -> None:
    from engine.hatching import STEPS

    engine.hatch("moka")
    reports = engine.care_log("moka")
    assert [report.name for report in reports] == [step.name for step in STEPS]
    assert all(report.why for report in reports)
    assert [call.name for call in reports[-1].calls] == ["execve"]


def test_pets_are_listed_with_what_the_design_promises(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="30M", cpu=0.2, pids=20))
    (pet,) = [pet.to_json() for pet in engine.pets()]
    assert pet["limits"]["memory"] == 30 << 20
    assert (pet["limits"]["cpu"], pet["limits"]["pids"]) == (0.2, 20)
    assert pet["status"] == "alive" and pet["egg"] == "home" and pet["pid"] > 1
    assert pet["readings"]["pids"] == 1 or "pids" not in pet["limits"]["enforced"]

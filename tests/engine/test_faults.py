"""Whichever step fails, one line says so and nothing is left."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import engine
from engine.hatching import STEPS
from tests.conftest import children_of, eventually, fork_server, leftovers, nest_pid, said

FAULTS = [(step.name, when) for step in STEPS for when in ("before", "after")]


@pytest.mark.parametrize(("step", "when"), [fault for fault in FAULTS if fault[0] != "execve"])
def test_a_step_that_fails_leaves_nothing(home: pathlib.Path, step: str, when: str) -> None:
    engine.hatch("bystander")
    engine.stop_nest()
    before = leftovers(str(home))
    script = pathlib.Path(__file__).with_name("faulty_nest.py")
    nest = [sys.executable, str(script), str(home), str(home / "run"), step, when]
    subprocess.run(nest, check=True)
    with pytest.raises(engine.HatchFailed) as refused:
        engine.hatch("moka")
    assert step in str(refused.value) and "\n" not in str(refused.value)
    assert leftovers(str(home)) == before
    assert [pet.name for pet in engine.pets()] == ["bystander"]
    engine.stop_nest()
    engine.hatch("moka")  # the name is free
    assert said("bystander", "hostname") == "bystander"


@pytest.mark.parametrize("step", ["directories", "cgroup", "join", "dev", "recorded"])
def test_a_house_that_was_laid_ahead_fails_as_cleanly(home: pathlib.Path, step: str) -> None:
    """The second pet moves into a house whose process was there before it."""
    script = pathlib.Path(__file__).with_name("faulty_nest.py")
    nest = [sys.executable, str(script), str(home), str(home / "run"), step, "after", "moka"]
    subprocess.run(nest, check=True)
    engine.hatch("first")
    time.sleep(0.2)  # an idle nest lays the next house
    with pytest.raises(engine.HatchFailed, match=step):
        engine.hatch("moka")
    engine.hatch("third")
    assert said("third", "hostname; id -u") == "third\n0"
    assert [pet.name for pet in engine.pets()] == ["first", "third"]


def test_a_waiting_house_whose_process_is_gone_is_not_used(home: pathlib.Path) -> None:
    first, nest = engine.hatch("first").pid, nest_pid()
    known = {fork_server(), first}
    eventually(lambda: len(set(children_of(nest)) - known) == 1, "the next house is laid")
    engine.look("first")  # the nest answers once it is laid whole
    (waiting,) = set(children_of(nest)) - known
    os.kill(waiting, signal.SIGKILL)
    state = pathlib.Path(f"/proc/{waiting}/stat")
    eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z", "it is dead")
    engine.hatch("moka")
    assert said("moka", "hostname") == "moka"


def test_a_command_that_is_not_there_leaves_nothing(home: pathlib.Path) -> None:
    with pytest.raises(engine.CommandNotFound, match=r"moka did not hatch.*'nosuch'"):
        engine.hatch("moka", command=["nosuch"])
    with pytest.raises(engine.CommandNotExecutable, match="'/etc/passwd'"):
        engine.hatch("moka", command=["/etc/passwd"])
    assert leftovers(str(home)) == []


def test_an_egg_that_is_not_there(home: pathlib.Path) -> None:
    with pytest.raises(engine.NoSuchEgg, match="nosuch"):
        engine.hatch("moka", "nosuch")
    assert leftovers(str(home)) == []


def test_a_full_disk_leaves_nothing(empty_home: pathlib.Path, home_egg: pathlib.Path) -> None:
    disk = ["mount", "-t", "tmpfs", "-o", "size=80M", "tmpfs", str(empty_home)]
    subprocess.run(disk, check=True)
    try:
        subprocess.run(["cp", "-a", home_egg, empty_home / "eggs"], check=True)
        engine.hatch("bystander")
        fill = ["dd", "if=/dev/zero", f"of={empty_home}/ballast"]
        assert subprocess.run(fill, capture_output=True, check=False).returncode == 1
        with pytest.raises(engine.HatchFailed, match="No space left on device"):
            engine.hatch("moka")
        assert [path.name for path in (empty_home / "pets").iterdir()] == ["bystander"]
        assert [pet.name for pet in engine.pets()] == ["bystander"]
        with pytest.raises(engine.ProcchiError, match=r"diet stays as it is.*No space left"):
            engine.diet("bystander", pids=30)
        assert engine.look("bystander").limits.pids == 64
        assert engine.details("bystander").facts["pids_limit"].value == 64
        engine.signal("bystander", signal.SIGKILL)
        eventually(lambda: engine.look("bystander").status == "ghost", "it is dead")
        (empty_home / "ballast").unlink()
        record = empty_home / "pets" / "bystander" / "pet.json"
        eventually(lambda: '"ghost"' in record.read_text(), "its death is written down after all")
        engine.release("bystander")
        engine.hatch("moka")
        engine.release("moka")
    finally:
        engine.stop_nest()
        subprocess.run(["umount", str(empty_home)], check=True)


def test_a_disk_that_has_become_read_only_is_said_to_be(empty_home: pathlib.Path) -> None:
    """As after an error of its file system."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(empty_home)], check=True)
    try:
        engine.start_nest()
        engine.stop_nest()
        subprocess.run(["mount", "-o", "remount,ro", str(empty_home)], check=True)
        with pytest.raises(engine.NestUnreachable) as refused:
            engine.pets()
        assert f"{empty_home}/run/nest.lock: Read-only file system" in str(refused.value)
        assert "Error" not in str(refused.value), "a word of Python's"
    finally:
        subprocess.run(["umount", str(empty_home)], check=True)


def test_a_disk_that_gets_full_at_any_moment_of_a_hatching(
    empty_home: pathlib.Path, home_egg: pathlib.Path
) -> None:
    """One file more may be made each time, until there is room for all of them."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(empty_home)], check=True)
    try:
        subprocess.run(["cp", "-a", home_egg, empty_home / "eggs"], check=True)
        engine.start_nest()
        used = os.statvfs(empty_home)
        for more in range(1, 60):
            files = used.f_files - used.f_ffree + more
            resize = ["mount", "-o", f"remount,nr_inodes={files}", str(empty_home)]
            subprocess.run(resize, check=True)
            try:
                engine.hatch("moka")
            except engine.HatchFailed as refused:
                assert "No space left" in str(refused) and "\n" not in str(refused)
                assert [one for one in leftovers(str(empty_home)) if " - tmpfs " not in one] == []
                assert engine.pets() == []
            else:
                break
        else:
            raise AssertionError("it never hatched")
        assert more > 5
        assert said("moka", "hostname") == "moka"
        engine.release("moka")
        assert "Traceback" not in (empty_home / "nest.log").read_text()
    finally:
        engine.stop_nest()
        subprocess.run(["umount", str(empty_home)], check=True)

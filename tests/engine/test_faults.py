"""Whichever step fails, one line says so and nothing is left."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import engine
from engine.hatching import STEPS
from tests.conftest import leftovers, said

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
        engine.release("bystander")
        (empty_home / "ballast").unlink()
        engine.hatch("moka")
        engine.release("moka")
    finally:
        engine.stop_nest()
        subprocess.run(["umount", str(empty_home)], check=True)

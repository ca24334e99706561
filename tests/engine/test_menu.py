"""What a pet can be fed, as its own files say."""

from __future__ import annotations

import os
import pathlib

import pytest

import engine
from engine.menu import MOST_ENTRIES
from tests.conftest import eventually, said
from tests.users import Student, student

__all__ = ["student"]


def test_every_command_that_is_offered_can_be_run(home: pathlib.Path) -> None:
    engine.hatch("moka")
    offered = engine.commands("moka")
    assert offered == sorted(set(offered))
    assert {"sh", "ls", "ps", "sleep", "timeout", "["} <= set(offered)
    lost = f"for name in {' '.join(offered)}; do command -v $name >/dev/null || echo $name; done"
    assert said("moka", lost) == ""


def test_what_the_pet_installs_and_removes_is_known(home: pathlib.Path) -> None:
    engine.hatch("moka", environment={"PATH": "/opt/own:/usr/bin:/bin:/nowhere"})
    said("moka", "mkdir -p /opt/own; cd /opt/own; echo '#!/bin/sh' > mine; chmod +x mine")
    said("moka", "cd /opt/own; touch text 'odd name'; chmod +x odd*; mkdir dir; mkfifo pipe")
    offered = engine.commands("moka")
    assert "mine" in offered
    assert not {"text", "odd name", "dir", "pipe"} & set(offered)
    said("moka", "rm $(command -v sleep)")
    assert "sleep" not in engine.commands("moka")


def test_no_link_of_the_pets_leads_to_the_hosts_files(
    home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    secret = tmp_path / "secret-tool"
    secret.write_text("")
    secret.chmod(0o755)
    tmp_path.chmod(0o755)
    places = ["/evil", "/up", "/magic", "/circle", "/proc/1/root" + str(tmp_path), str(tmp_path)]
    engine.hatch("moka", environment={"PATH": "/usr/bin:/bin:" + ":".join(places)})
    up = "../" * 40 + str(tmp_path).lstrip("/")
    said("moka", f"ln -s {tmp_path} /evil; ln -s {up} /up; ln -s circle /circle")
    said("moka", f"ln -s /proc/1/root{tmp_path} /magic")
    offered = engine.commands("moka")
    assert "sh" in offered and "secret-tool" not in offered


def test_no_directory_is_read_without_end(home: pathlib.Path) -> None:
    engine.hatch("moka", environment={"PATH": "/many:/usr/bin:/bin"}, limits=engine.Limits("200M"))
    said("moka", "mkdir /many; cd /many; seq 21000 | xargs touch; seq 21000 | xargs chmod +x")
    offered = engine.commands("moka")
    assert "sh" in offered
    assert 0 < sum(name.isdecimal() for name in offered) <= MOST_ENTRIES


def test_asleep_it_can_be_read_too_dead_it_cannot(home: pathlib.Path) -> None:
    pid = engine.hatch("moka").pid
    assert pid is not None
    engine.sleep("moka")
    assert "sh" in engine.commands("moka")
    engine.wake("moka")
    os.kill(pid, 9)
    eventually(lambda: engine.look("moka").status == "ghost", "it is a ghost")
    with pytest.raises(engine.NotAwake, match="ghost"):
        engine.commands("moka")
    with pytest.raises(engine.NoSuchPet):
        engine.commands("nobody")


def test_an_ordinary_users_pets_can_be_read(student: Student) -> None:
    student.procchi("hatch", "moka")
    offered = student.python("import engine; print(*engine.commands('moka'))").stdout.split()
    assert {"sh", "ls", "sleep"} <= set(offered)
    student.procchi("release", "moka")

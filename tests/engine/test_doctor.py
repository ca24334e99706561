"""The doctor on this machine as it is, and on one where something is forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.checkup import SWITCHES, doctor
from engine.places import Places

EXAMINE = """
import dataclasses, json, engine
print(json.dumps([dataclasses.asdict(check) for check in engine.doctor()]))
"""

FORBIDDEN = """
import os, sys
from engine.idmap import Extent, IdMap, clone_mapped
from engine.syswrap import CLONE
everybody = (Extent(0, 0, 4294967294),)
child = clone_mapped(CLONE(0), IdMap(everybody, everybody))
if child.pid == 0:
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
os.waitpid(child.pid, 0)
"""
"""Runs what it is given in a user namespace that allows no further one (namespaces(7))."""


def examined(home: Path, *command: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", *command],
        env={**os.environ, "PROCCHI_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {check["name"]: check for check in json.loads(done.stdout)}


def test_it_finds_what_pets_need_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    checks = examined(home, EXAMINE)
    for name in ("kernel", "python", "user namespaces", "mounts", "room", "home egg"):
        assert checks[name]["ok"], checks[name]
    assert list(tmp_path.iterdir()) == []
    for path in Path("/sys/fs/cgroup").glob("*/procchi*"):
        assert path.name != Places(str(home), "").group


def test_whatever_is_wrong_has_a_remedy(tmp_path: Path) -> None:
    for check in examined(tmp_path, EXAMINE).values():
        assert check["found"]
        assert check["ok"] == (not check["remedy"])


def test_a_caller_with_threads_may_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCCHI_HOME", str(tmp_path))
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert {check.name: check.ok for check in doctor()}["user namespaces"]
    finally:
        done.set()
        thread.join()


def test_forbidden_user_namespaces_are_named_with_the_switch(tmp_path: Path) -> None:
    checks = examined(tmp_path, FORBIDDEN, EXAMINE)
    switch = checks["user.max_user_namespaces"]
    assert not switch["ok"]
    assert switch["found"].startswith("0 ")
    assert switch["remedy"].startswith("sudo sysctl -w user.max_user_namespaces=15000")
    namespaces = checks["user namespaces"]
    assert not namespaces["ok"]
    assert "clone3(" in namespaces["found"]
    assert not checks["mounts"]["ok"]


def test_each_switch_says_what_it_should_be() -> None:
    for fine, meaning, wanted in SWITCHES.values():
        assert fine(int(wanted))
        assert not fine(0) or not fine(1)
        assert meaning

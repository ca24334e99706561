"""The same acceptance of limits, sleep and readings in every place there is (tests/acceptance.py).

Those that this machine is: as root, and as an ordinary user. The virtual-machine lane runs it in
the others.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from engine.cgroups.detection import mounted
from tests import acceptance
from tests.users import Student, student

__all__ = ["student"]

AS_ROOT = "root-v1" if mounted().hierarchies.get("memory") else "root-v2"


def test_as_root(home: pathlib.Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("as root it is another place")
    run = [sys.executable, "-m", "tests.acceptance", AS_ROOT]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("student", [True], indirect=True)
def test_as_an_ordinary_user(student: Student) -> None:
    script = "from tests.acceptance import main; sys.exit(main())"
    done = student.python(script, AS_ROOT.replace("root", "user"), check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_says_it() -> None:
    readme = pathlib.Path(__file__).parents[2] / "README.md"
    assert acceptance.table() in readme.read_text()

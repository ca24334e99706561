"""Being an ordinary user, for tests that run as root.

The user exists only in a mount namespace of the test's own, where /etc/passwd, /etc/subuid and
/etc/subgid are other files: nothing of the machine's is changed.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.conftest import at_work, eventually

UID = 54321
SUBORDINATE = 700_000


class Student:
    """An ordinary user with a home directory, and the project in reach."""

    def __init__(self, root: pathlib.Path, subordinate_ids: bool) -> None:
        self.subordinate_ids = subordinate_ids
        self.home = root / "home"
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self._passwd, self._subids = root / "passwd", root / "subids"
        self._passwd.write_text(f"student:x:{UID}:{UID}::{self.home}:/bin/sh\n")
        self._subids.write_text(f"student:{SUBORDINATE}:65536\n" if subordinate_ids else "")
        self._library = root / "library"
        self._interpreter = _copy_project(self._library)

    def procchi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `procchi` command as this user."""
        return self.python(
            "from procchi_tui.main import main; sys.exit(main())", *arguments, check=check
        )

    def python(
        self, script: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python script as this user."""
        binds = [
            f"mount --bind {self._passwd} /etc/passwd",
            f"mount --bind {self._subids} /etc/subuid",
            f"mount --bind {self._subids} /etc/subgid",
        ]
        become = f'exec setpriv --reuid={UID} --regid={UID} --clear-groups -- "$@"'
        done = subprocess.run(
            [
                *["unshare", "--mount", "sh", "-ec", "; ".join([*binds, become]), "sh"],
                *[self._interpreter, "-P", "-c", f"import sys; sys.argv[0] = 'procchi'; {script}"],
                *arguments,
            ],
            env={
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": str(self.home),
                "PYTHONPATH": str(self._library),
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done


def _copy_project(library: pathlib.Path) -> str:
    """Put what the engine and the command line import where everybody can read it.

    The checkout and this interpreter may lie under a directory that only root can enter.
    """
    project = pathlib.Path(__file__).parents[1]
    library.mkdir()
    for name in ("engine", "procchi_tui", "assets", "tests"):
        shutil.copytree(project / name, library / name)
    packages = pathlib.Path(next(p for p in site.getsitepackages() if "site-packages" in p))
    for path in packages.iterdir():
        if path.name not in {"engine", "procchi_tui", "assets", "tests", "__pycache__"}:
            (library / path.name).symlink_to(path) if _open(path) else _copy(path, library)
    if _open(pathlib.Path(sys.executable).resolve()):
        return str(pathlib.Path(sys.executable).resolve())
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    assert os.path.exists(system), f"{system} is needed: an ordinary user cannot reach ours"
    return system


def _open(path: pathlib.Path) -> bool:
    """Whether everybody may go there."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _copy(path: pathlib.Path, library: pathlib.Path) -> None:
    if path.is_dir():
        shutil.copytree(path, library / path.name, symlinks=True)
    else:
        shutil.copy(path, library)


@pytest.fixture(params=[True, False], ids=["with subuid", "one id only"])
def student(request: pytest.FixtureRequest) -> Iterator[Student]:
    """An ordinary user, once with subordinate ids and once without."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    root = pathlib.Path(tempfile.mkdtemp(prefix="procchi-student-"))
    root.chmod(0o755)
    student = Student(root, subordinate_ids=request.param)
    yield student
    student.python(
        "import engine; [engine.release(pet.name) for pet in engine.pets()]; engine.stop_nest()"
    )
    data = str(student.home / ".local/share/procchi")
    eventually(lambda: not at_work(data), "nobody of the nest works on its files")
    shutil.rmtree(root)

"""The real `procchi` command, run as a learner runs it, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROCCHI = str(Path(sys.executable).with_name("procchi"))


class Procchi:
    """Runs `procchi WORDS…`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "PROCCHI_HOME": str(home)}

    def __call__(
        self, *words: str, status: int | None = 0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; its status must be `status`, unless that is None."""
        done = subprocess.run(
            [PROCCHI, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        if status is not None:
            assert done.returncode == status, done.stderr
        return done

    def says(self, *words: str) -> str:
        """What it prints, without the last line's end."""
        return self(*words).stdout.removesuffix("\n")

    def json(self, *words: str) -> Any:
        """The document that it prints with --json."""
        return json.loads(self(*words, "--json").stdout)

    def refused(self, *words: str, status: int) -> str:
        """The one line on stderr with which it ends."""
        done = self(*words, status=status)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("procchi: ")
        return line

    def begin(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start it, with its output in a pipe."""
        return subprocess.Popen(
            [PROCCHI, *words], stdout=subprocess.PIPE, text=True, env=self.environment, **options
        )


@pytest.fixture(scope="session")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Procchi]:
    """A nest with the `home` egg, ended and emptied afterwards."""
    procchi = Procchi(tmp_path_factory.mktemp("home"))
    procchi("pull", "home")
    yield procchi
    _release_all(procchi)
    procchi("nest", "stop")


@pytest.fixture
def procchi(nest: Procchi) -> Iterator[Procchi]:
    """The command, with nobody in the nest before and after."""
    _release_all(nest)
    yield nest
    _release_all(nest)


def _release_all(procchi: Procchi) -> None:
    if names := [pet["name"] for pet in procchi.json("pets")]:
        procchi("release", *names)

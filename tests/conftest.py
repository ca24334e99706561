"""A nest of its own for each test that needs one, and a look at what it leaves behind."""

from __future__ import annotations

import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

import engine
from engine.places import Places


def leftovers(home: str) -> list[str]:
    """Processes, groups, mounts and files of pets of the nest at `home`."""
    found = []
    group = Places(home, "").group
    for pattern in ("/sys/fs/cgroup/*/", "/sys/fs/cgroup/"):
        found += glob.glob(f"{pattern}{group}*")
    with open("/proc/self/mountinfo") as file:
        found += [line for line in file if home in line]
    for cwd in glob.glob("/proc/[0-9]*/root"):
        pid = cwd.split("/")[2]
        try:
            with open(f"/proc/{pid}/mountinfo") as file:
                first = file.readline()
            with open(f"/proc/{pid}/cgroup") as file:
                groups = file.read()
        except OSError:
            continue
        if group in groups or home in first:
            found.append(f"process {pid}")
    found += glob.glob(f"{home}/pets/*") + glob.glob(f"{home}/trash/*")
    return found


def at_work(home: str) -> list[str]:
    """Processes of the nest at `home`, and of those before it."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = pathlib.Path(path).read_bytes().split(b"\0")
        except OSError:
            continue
        if b"engine.nest" in words and home.encode() in words:
            found.append(path)
    return found


def eventually(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until `condition()` is true. A bound for a hang, not a measure of speed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never came to be that {what}"
        time.sleep(0.01)


def nest_pid() -> int:
    """The running nest's pid."""
    return int(engine.nest_status()["pid"])


def children_of(pid: int) -> list[int]:
    """Its children."""
    return list(map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def fork_server() -> int:
    """The pid of the process that clones for the running nest: its one child with its users.

    Others with its users come and go: each nest has one that clears the store when it starts.
    """
    nest = nest_pid()
    users = users_of(nest)
    found: list[int] = []

    def is_alone() -> bool:
        found[:] = [pid for pid in children_of(nest) if users_of(pid) == users]
        return len(found) == 1

    eventually(is_alone, "the nest has one lasting child with its users")
    return found[0]


def users_of(pid: int) -> str:
    """Its user namespace; empty once it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/user")
    except OSError:
        return ""


def kill_nest() -> None:
    """SIGKILL to the nest, and wait until it is gone."""
    pid = nest_pid()
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the nest is gone")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything can run, so a test that was skipped there is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def home_egg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A store that holds the egg `home`, to be copied rather than cooked each time."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="procchi-egg-"))
    before = os.environ.get("PROCCHI_HOME")
    os.environ["PROCCHI_HOME"] = str(directory)
    engine.pull("home")
    engine.stop_nest()
    if before is None:
        del os.environ["PROCCHI_HOME"]
    else:
        os.environ["PROCCHI_HOME"] = before
    yield directory / "eggs"
    shutil.rmtree(directory)


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """PROCCHI_HOME without an egg; afterwards nothing of its pets may be left anywhere."""
    # Short, and not under pytest's own directory, whose path a socket's name cannot hold.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="procchi-"))
    monkeypatch.setenv("PROCCHI_HOME", str(directory))
    yield directory
    for pet in engine.pets():
        engine.release(pet.name)
    engine.stop_nest()
    # One that has just started clears its store in a child, which may outlive it for a moment.
    eventually(lambda: not at_work(str(directory)), "nobody of the nest works on its files")
    assert leftovers(str(directory)) == []
    shutil.rmtree(directory)


@pytest.fixture
def home(empty_home: pathlib.Path, home_egg: pathlib.Path) -> pathlib.Path:
    """PROCCHI_HOME with the egg `home` in its store."""
    subprocess.run(["cp", "-a", home_egg, empty_home / "eggs"], check=True)
    return empty_home


def said(name: str, script: str) -> str:
    """What a shell script in a pet writes to its standard output."""
    meal = engine.feed(name, ["sh", "-c", script])
    assert meal.exit_code == 0, meal.stderr.decode()
    return meal.stdout.decode().strip()

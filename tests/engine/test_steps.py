"""The steps as the kernel saw them, and as they are told."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import time

import engine
from engine.hatching import STEPS
from tests.conftest import eventually, fork_server, nest_pid

PROCCHI = [sys.executable, "-c", "from procchi_tui.main import main; main()"]

NEST = [
    r"mkdir.*/upper",
    r"mkdir.*moka",
    r"write\(.*\"52428800\"",
    r"write\(.*0 1900000000 65536",
]
FORK_SERVER = [r"clone3\(.*CLONE_NEWUSER.*CLONE_PARENT|clone3\(.*CLONE_PARENT.*CLONE_NEWUSER"]
PET = [
    r"mount\(.*MS_REC\|MS_PRIVATE",
    r"SIOCSIFFLAGS",
    r"write\(.*\"0\"",
    r"unshare\(CLONE_NEWCGROUP",
    r"setresuid\(0, 0, 0",
    r"mount\(\"overlay\"",
    r"mount\(\"proc\"",
    r"mount\(\"tmpfs\"",
    r"mount\(\"devpts\"",
    r"mount\(\"sysfs\"",
    r"pivot_root\(\"\.\", \"\.\"",
    r"umount2\(\"\.\", MNT_DETACH",
    r"chroot\(\"\.\"",
    r"sethostname\(\"moka\"",
    r"setsid\(",
    r"close_range\(",
    r"PR_CAPBSET_DROP",
    r"capset\(",
    r"PR_SET_NO_NEW_PRIVS, 1",
    r"PR_SET_SECCOMP, SECCOMP_MODE_FILTER",
    r"execve\(\"/.*sh\"",
]
"""What docs/DESIGN.md promises, as strace prints it, by who does it.

Private mounts and the loopback come early: they are the same for every pet.
"""

JOINED = {
    ("v2", FORK_SERVER[0]): r"clone3\(.*CLONE_NEWUSER.*CLONE_INTO_CGROUP",
    ("v2", r"write\(.*\"0\""): r"read\(",
}
"""On cgroup v2 nobody joins: the pet is born in its group."""


def test_strace_sees_the_steps_in_the_designs_order(
    home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert shutil.which("strace"), "strace is needed: apt-get install strace"
    engine.start_nest()
    trace = tmp_path / "trace"
    strace = subprocess.Popen(
        ["strace", "-f", "-s", "200", "-o", str(trace), "-p", f"{nest_pid()},{fork_server()}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    for _ in range(2):
        assert "attached" in strace.stderr.readline()
    try:
        engine.hatch("moka")
        eventually(lambda: "execve(" in trace.read_text(), "the trace is written")
        time.sleep(0.2)
    finally:
        strace.terminate()
        strace.communicate()
    told = [line.split(maxsplit=1) for line in trace.read_text().splitlines()]
    nest, forks, pet = (
        [line for pid, line in told if int(pid) == wanted]
        for wanted in (nest_pid(), fork_server(), engine.look("moka").pid)
    )
    kind = engine.nest_status()["cgroup"]["kind"]
    for order, whose in ((NEST, nest), (FORK_SERVER, forks), (PET, pet)):
        lines = iter(whose)
        for pattern in (JOINED.get((kind, pattern), pattern) for pattern in order):
            assert any(re.search(pattern, line) for line in lines), f"{pattern}: out of order"


def test_explain_prints_the_same_steps(home: pathlib.Path) -> None:
    explained = subprocess.run(
        [*PROCCHI, "hatch", "moka", "--explain"], capture_output=True, text=True, check=True
    ).stdout
    told = re.findall(r"^ *\d+ +(\S.*?)  ", explained, re.MULTILINE)
    assert told == [step.name for step in STEPS]
    for word in ("clone3(", "pivot_root(", "setresuid(0, 0, 0)", "capset(", "execve("):
        assert word in explained
    assert "µs" in explained


def test_every_step_describes_itself_before_it_runs() -> None:
    for step in STEPS:
        assert step.name in step.describe() and step.why in step.describe()
        assert step.why.endswith(".")

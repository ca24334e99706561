"""A session over living pets, beside other monitors of the same machine in the same run.

    python -m tests.bench.bench_nest_view [SECONDS [N...]]

For each N: so many pets are really hatched, most on `sleep` and a few of them busy, and the
session runs on a pty of 200x50 at 4 readings a second, for the largest N also at 1. Then btop,
htop and systemd-cgtop (the Debian packages btop, htop and systemd) each run for as long on a pty
of the same size: btop looks every two seconds, as it usually does, the others once a second.
Printed for each: percent of one core; for the session also the nest's own, frames asked and made,
seconds from the end of the imports to the first frame and the first card, resident memory, and how
long typing and scrolling take to be seen meanwhile (95th percentile, and the median).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pty
import re
import select
import shutil
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

import engine

ROWS, COLUMNS = 50, 200
WARM_UP_SECONDS = 5.0
BUSY = {12: 2, 100: 4, 1000: 8}
BUSY_CPU = 0.05
PRESSES = 60
PEERS = {
    "btop": ["btop"],
    "htop -d 10": ["htop", "-d", "10"],
    "systemd-cgtop": ["systemd-cgtop"],
}
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78M])")


class Program:
    """Something that runs on a pty of our own."""

    def __init__(self, command: list[str], extra: dict[str, str] | None = None) -> None:
        reports, reported = os.pipe()
        os.set_inheritable(reported, True)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
            os.environ |= {"REPORT_FD": str(reported), **(extra or {})}
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execvp(command[0], command)
        os.close(reported)
        self.reports = os.fdopen(reports)

    def read(self, seconds: float, until: bytes | None = None) -> float | None:
        """Take what it writes for so long, or until it has written something; when that was."""
        deadline, told = time.monotonic() + seconds, b""
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    told = (told + os.read(self.terminal, 1 << 16))[-(1 << 18) :]
                except OSError:
                    last = ESCAPES.sub(b"", told)[-2000:].decode(errors="replace")
                    raise SystemExit(f"it ended by itself:\n{last}") from None
                if until is not None and until in ESCAPES.sub(b"", told):
                    return time.monotonic()
        return None

    def press(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def cpu(self) -> float:
        return cpu_of(self.pid)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
        self.reports.close()


def cpu_of(pid: int) -> float:
    """Seconds of CPU time used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> tuple[int, int]:
    """Bytes in memory now and at most (proc_pid_status(5))."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(told[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return now, peak


def session() -> None:
    """In the child: the session, which reports on itself when it is asked to by a signal."""
    import signal

    from procchi_tui.app import ProcchiApp, run
    from procchi_tui.config import Config

    imported = time.monotonic()
    report = os.fdopen(int(os.environ["REPORT_FD"]), "w", buffering=1)
    counted = {"asked": 0, "made": 0, "first": 0.0}

    def count(name: str, method: str) -> None:
        counted_one = getattr(ProcchiApp, method)

        def counting(self: ProcchiApp, *arguments: Any) -> Any:
            counted[name] += 1
            counted["first"] = counted["first"] or time.monotonic() * (name == "made")
            return counted_one(self, *arguments)

        setattr(ProcchiApp, method, counting)

    count("asked", "tick")
    count("made", "_display")
    report.write(json.dumps({"imported": imported}) + "\n")
    signal.signal(signal.SIGUSR1, lambda *_: report.write(json.dumps(counted) + "\n"))
    run(Config(readings=float(os.environ["READINGS"])))


def measure_session(number: int, readings: float, seconds: float) -> None:
    """Run the session over `number` pets, and print what it cost."""
    program = Program(
        [sys.executable, "-m", "tests.bench.bench_nest_view", "--session"],
        {"READINGS": str(readings)},
    )
    try:
        first = program.read(30, b"pet-0")
        imported = json.loads(program.reports.readline())["imported"]
        program.read(WARM_UP_SECONDS)
        nest = int(engine.nest_status()["pid"])
        before, nest_before, frames = program.cpu(), cpu_of(nest), counted(program)
        began = time.monotonic()
        program.read(seconds)
        took = time.monotonic() - began
        face, nests = program.cpu() - before, cpu_of(nest) - nest_before
        after = counted(program)
        now, peak = resident(program.pid)
        scrolling, typing = latencies(program, number)
    finally:
        program.close()
    asked, made = (int(after[key] - frames[key]) for key in ("asked", "made"))
    first_frame = frames["first"] - imported
    first_card = math.nan if first is None else first - imported
    print(
        f"{number:>5} {readings:>4g} Hz  face {face / took:>6.1%}  nest {nests / took:>6.1%}"
        f"  frames {made:>4} of {asked:>4} asked"
        f"  first frame {first_frame:.2f} s, card {first_card:.2f} s"
        f"  memory {now >> 20} M, {peak >> 20} M at most"
        f"  p95 scroll {p95(scrolling)}, type {p95(typing)}",
        flush=True,
    )


def counted(program: Program) -> dict[str, float]:
    os.kill(program.pid, 10)
    program.read(0.3)
    told: dict[str, float] = json.loads(program.reports.readline())
    return told


def latencies(program: Program, number: int) -> tuple[list[float], list[float]]:
    """Seconds from a key to its effect on the screen: moving about, and typing."""
    scrolling, typing = [], []
    for press in range(PRESSES):  # the cursor goes to and fro between the first and the last card
        name = b"pet-%d " % (0 if press % 2 else number - 1)
        scrolling.append(
            _answered(program, b"\x1b[H" if press % 2 else b"\x1b[F", "▸ ".encode() + name)
        )
    program.press(b"f")
    program.read(1.0)
    typed = b""
    for press in range(PRESSES):
        letter = b"qwxyzkvj"[press % 8 :][:1]
        typed += letter
        typing.append(_answered(program, letter, typed))
    return scrolling, typing


def _answered(program: Program, keys: bytes, seen: bytes) -> float:
    program.read(0.07 + (time.monotonic_ns() % 100) / 1000)  # not in step with the ticks
    began = time.monotonic()
    program.press(keys)
    ended = program.read(3.0, seen)
    return math.inf if ended is None else ended - began


def p95(times: list[float]) -> str:
    middle, most = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    return f"{most * 1e3:.0f} ms ({middle * 1e3:.0f})"


def measure_peer(name: str, seconds: float) -> None:
    """Run another monitor as long, and print what it cost."""
    if shutil.which(PEERS[name][0]) is None:
        print(f"      {name}: not installed here")
        return
    program = Program(PEERS[name])
    try:
        program.read(WARM_UP_SECONDS)
        before, began = program.cpu(), time.monotonic()
        program.read(seconds)
        share = (program.cpu() - before) / (time.monotonic() - began)
        now, peak = resident(program.pid)
    finally:
        program.close()
    print(
        f"      {name:>14} {share:>6.1%}  memory {now >> 20} M, {peak >> 20} M at most", flush=True
    )


def hatch(number: int) -> None:
    """Hatch so many pets beside those there are."""
    living = len(engine.pets())
    busy = BUSY.get(number, number // 25)
    for index in range(living, number):
        loop = ("sh", "-c", "while :; do :; done")
        engine.hatch(
            f"pet-{index}",
            command=loop if index < busy else ("sleep", "infinity"),
            limits=engine.Limits("50M", BUSY_CPU, 64),
        )


def main() -> None:
    """Measure each number of pets in turn."""
    if sys.argv[1:] == ["--session"]:
        session()
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    numbers = [int(number) for number in sys.argv[2:]] or [12, 100, 1000]
    with tempfile.TemporaryDirectory(prefix="procchi-") as home:
        os.environ["PROCCHI_HOME"] = home
        try:
            engine.pull("home")
            for number in numbers:
                hatch(number)
                measure_session(number, 4, seconds)
                if number == numbers[-1]:
                    measure_session(number, 1, seconds)
                for name in PEERS:
                    measure_peer(name, seconds)
        finally:
            for pet in engine.pets():
                engine.release(pet.name)
            engine.stop_nest()


if __name__ == "__main__":
    main()

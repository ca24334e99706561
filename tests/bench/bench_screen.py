"""What the screen costs: N cards, all changing four times a second, in a real terminal.

    python tests/bench/bench_screen.py [N...]

The session runs in a child on a pty of 200x50, on readings that were made before, so that the
figures are those of taking news, drawing and writing alone. Prints per N: percent of one core
over the seconds measured, seconds from the start of the imports to the first frame with cards,
and peak resident memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS, COLUMNS = 50, 200
WARM_UP, MEASURED = 4.0, 15.0
HZ = 4
ROUND = 32
"""Snapshots made beforehand; they come again and again, with counters that go on growing."""


def child(number: int) -> None:
    """Run the session on `number` pets that never sit still."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from engine import Event, Limits, Pet, Readings, Snapshot
    from engine.model import now
    from procchi_tui.app import ProcchiApp
    from tests.tui.fixed_nest import FixedNest

    moods = ("happy", "busy", "full", "tired", "queasy", "crowded")
    stages = ("egg", "baby", "child", "grown", "elder")

    def readings(index: int, step: int) -> Readings:
        wave = 0.5 + 0.45 * math.sin(index + step / 5)
        return Readings(
            float(step),
            memory=int(wave * 50 * 1024 * 1024),
            cpu_usec=int(step * 1e6 / HZ * 0.25 * (1 + wave)),
            pids=1 + int(wave * 60),
        )

    def pet(index: int) -> Pet:
        return Pet(
            name=f"pet-{index}",
            pid=1000 + index,
            status="alive",
            egg="home",
            created_at=now(),
            mood=moods[index % len(moods)],
            reason=f"memory.current {index} of 50M",
            stage=stages[index % len(stages)],
            limits=Limits(),
            enforced=("memory", "cpu", "pids"),
            readings=readings(index, 0),
        )

    pets = tuple(pet(index) for index in range(number))
    steps = [
        {one.name: readings(index, step) for index, one in enumerate(pets)}
        for step in range(1, ROUND)
    ]

    class Restless:
        def __enter__(self) -> Restless:
            return self

        def __exit__(self, *_: object) -> None: ...

        def close(self) -> None: ...

        def __iter__(self) -> Iterator[Event | Snapshot]:
            yield Snapshot(0.0, pets, {}, {}, ())
            at = 0.0
            while True:
                for shown in steps:
                    at += 1 / HZ
                    time.sleep(1 / HZ)
                    yield Snapshot(at, (), shown, {}, ())

    class Nest(FixedNest):
        def watch(self, readings: float | None = None) -> Any:
            return Restless()

    ProcchiApp(Nest()).run()


def measure(number: int) -> tuple[float, float, int]:
    """CPU share, seconds to the first card, and peak resident bytes with `number` pets."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.environ["PROCCHI_HOME"] = "/nonexistent"
        os.execv(sys.executable, [sys.executable, __file__, "--child", str(number)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    first = math.nan
    begun: tuple[float, float] | None = None
    try:
        while True:
            elapsed = time.monotonic() - began
            if begun is None and elapsed >= WARM_UP:
                begun = elapsed, _cpu(pid)
            if begun and elapsed >= begun[0] + MEASURED:
                share = (_cpu(pid) - begun[1]) / (elapsed - begun[0])
                return share, first, _peak(pid)
            if select.select([terminal], [], [], 0.05)[0]:
                output = os.read(terminal, 1 << 20)
                if math.isnan(first) and b"pet-0" in output:
                    first = time.monotonic() - began
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def _cpu(pid: int) -> float:
    """Seconds of CPU time used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Measure each number of pets in turn."""
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]))
        return
    print(f"{'pets':>6} {'% of a core':>12} {'first card':>11} {'peak memory':>12}")
    for number in map(int, sys.argv[1:] or ("12", "24", "100", "1000")):
        share, first, peak = measure(number)
        print(f"{number:>6} {share:>12.1%} {first:>9.2f} s {peak / 2**20:>10.0f} M", flush=True)


if __name__ == "__main__":
    main()

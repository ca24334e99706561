"""How soon an event reaches who watches, beside inotifywait(1) on the same file.

    python -m tests.bench.bench_events [ROUNDS]

The cause is what the pet itself does last before the kernel acts: its PID 1's death, or, where the
kernel rings for it (cgroup v2), a fork that is refused.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial

import engine

WANTED_MS = 50


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="procchi-bench-") as home:
        os.environ["PROCCHI_HOME"] = home
        engine.pull("home")
        arrived: queue.Queue[tuple[float, str]] = queue.Queue()
        with engine.watch() as watch:

            def listen() -> None:
                for item in watch:
                    if isinstance(item, engine.Event):
                        arrived.put((time.perf_counter(), item.kind))

            thread = threading.Thread(target=listen)
            thread.start()
            try:
                report(rounds, arrived)
            finally:
                watch.close()
                thread.join()
                for pet in engine.pets():
                    engine.release(pet.name)
                engine.stop_nest()


def report(rounds: int, arrived: queue.Queue[tuple[float, str]]) -> None:
    print(f"from the cause to the watcher, {rounds} rounds; {WANTED_MS} ms median wanted")
    pets = [engine.hatch(f"pet{n}", command=["sleep", "1000000"]).pid for n in range(rounds)]
    times = []
    for pid in pets:
        pidfd = os.pidfd_open(pid or 0)
        times.append(until("died", arrived, partial(kill, pidfd)))
        os.close(pidfd)
    show("died: SIGKILL to PID 1, until told", times)
    engine.hatch("sleeper")
    show("asleep: the call, until told", cycle(rounds, arrived, "asleep"))
    times, peers = [], []
    for _ in range(max(1, rounds // 4)):
        engine.hatch("hog", limits=engine.Limits(memory="20M"))
        ours, peer = oom(arrived)
        times.append(ours)
        if peer is not None:
            peers.append(peer)
        engine.release("hog")
    show("oom: the kernel's count, until told", times)
    if shutil.which("inotifywait"):
        show("  inotifywait on memory.events", peers)
    else:
        print("  inotifywait                                  not installed (inotify-tools)")


def until(kind: str, arrived: queue.Queue[tuple[float, str]], cause: Callable[[], object]) -> float:
    start = time.perf_counter()
    cause()
    while True:
        at, what = arrived.get(timeout=10)
        if what == kind:
            return at - start


def kill(pidfd: int) -> None:
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def cycle(rounds: int, arrived: queue.Queue[tuple[float, str]], kind: str) -> list[float]:
    times = []
    for _ in range(rounds):
        times.append(until(kind, arrived, lambda: engine.sleep("sleeper")))
        engine.wake("sleeper")
    return times


def oom(arrived: queue.Queue[tuple[float, str]]) -> tuple[float, float | None]:
    """Seconds from the kernel's count to the event, and to inotifywait's notice of the same."""
    facts = engine.details("hog").facts
    path = facts["oom_kills"].path
    told: list[float] = []
    waiter = None
    if path.endswith("memory.events") and shutil.which("inotifywait"):
        command = ["inotifywait", "-e", "modify", path]
        waiter = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiter.stdout and waiter.stderr
        while "established" not in waiter.stderr.readline():
            pass
        output = waiter.stdout

        def wait() -> None:
            output.readline()
            told.append(time.perf_counter())

        waiting = threading.Thread(target=wait)
        waiting.start()
    counted: list[float] = []

    def look() -> None:
        with open(path, "rb") as file:
            while True:
                file.seek(0)
                if b"oom_kill 0" not in file.read():
                    counted.append(time.perf_counter())
                    return
                time.sleep(0.0005)

    looking = threading.Thread(target=look)
    looking.start()
    with engine.open_meal("hog", ["sh", "-c", "exec tail /dev/zero"]) as meal:
        while arrived.get(timeout=20)[1] != "oom":
            pass
        at = time.perf_counter()
        meal.wait()
    looking.join()
    if waiter:
        waiting.join()
        waiter.wait()
    return at - counted[0], told[0] - counted[0] if told else None


def show(what: str, times: list[float]) -> None:
    if not times:
        print(f"  {what:44} this kernel does not tell of that file (cgroup v1)")
        return
    ordered = sorted(times)
    worst = ordered[int(len(ordered) * 0.95)]
    print(
        f"  {what:44} {statistics.median(times) * 1e3:7.2f} ms median, {worst * 1e3:7.2f} at 95 %",
        flush=True,
    )


if __name__ == "__main__":
    main()

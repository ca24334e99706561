"""Eight clients, and somebody who breaks things: what is left must be in order.

    ./run python -m tests.chaos [--seed N] [--minutes M]

As root. The nest lives on a small disk of its own. From the seed follow what each client wishes
and what is broken when; which of them comes first is up to the kernel. Status 1 with any finding.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import engine
from engine.nest.server import RESERVED
from tests.chaos.judge import Journals, findings, left
from tests.conftest import eventually

CLIENTS = 8
DISK = "160M"
PATIENCE_SECONDS = 10
SPARE_DESCRIPTORS = (-4, 24, RESERVED + 2, RESERVED + 12)
"""More than the nest has open, while there are few: too few for whoever is under way; for whoever
comes; and for several who were let in together."""


class Breaker:
    """Kills, fills and narrows, as its dice say."""

    def __init__(self, seed: int, home: str, journals: Path) -> None:
        self._dice = random.Random(seed)
        self._seeds = iter(range(seed * 1000, seed * 1000 + 1_000_000))
        self._home, self._journals = home, journals
        self._clients = [self._client(number) for number in range(CLIENTS)]
        self.killed: set[str] = set()
        self.broken: Counter[str] = Counter()

    def _client(self, number: int) -> subprocess.Popen[bytes]:
        seed = next(self._seeds)
        command = [sys.executable, "-m", "tests.chaos.client", str(number), str(seed)]
        return subprocess.Popen(
            [*command, str(self._journals / f"{number}-{seed}")], stdin=subprocess.PIPE
        )

    def run(self, seconds: float) -> None:
        """Break something now and then, for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self._dice.uniform(0.2, 1.5))
            ways = [self._kill_nest, self._kill_pet, self._kill_client, self._fill, self._narrow]
            way = self._dice.choices(ways, [2, 4, 3, 2, 2])[0]
            with suppress(engine.ProcchiError, ProcessLookupError):
                way()
                self.broken[way.__name__.strip("_")] += 1

    def end(self) -> None:
        """Let the clients go."""
        for client in self._clients:
            assert client.stdin
            client.stdin.close()
        for client in self._clients:
            try:
                client.wait(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:  # a meal in a sleeping pet may last for ever
                client.kill()
                client.wait()
                self.broken["client that waits for a meal, killed"] += 1

    def _kill_nest(self) -> None:
        os.kill(int(engine.nest_status().get("pid") or 0) or 1 << 30, signal.SIGKILL)

    def _kill_pet(self) -> None:
        living = [pet for pet in engine.pets() if pet.pid]
        if living:
            pet = self._dice.choice(living)
            pidfd = os.pidfd_open(pet.pid or 0)
            try:
                if engine.look(pet.name).pid == pet.pid:
                    self.killed.add(pet.name)
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)

    def _kill_client(self) -> None:
        number = self._dice.randrange(CLIENTS)
        self._clients[number].kill()
        self._clients[number].wait()
        self._clients[number] = self._client(number)

    def _fill(self) -> None:
        path = f"{self._home}/filler"
        with open(path, "wb", 0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        time.sleep(self._dice.uniform(0.1, 0.8))
        os.unlink(path)

    def _narrow(self) -> None:
        pid = int(engine.nest_status().get("pid") or 0) or 1 << 30
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(
            pid, resource.RLIMIT_NOFILE, (used + self._dice.choice(SPARE_DESCRIPTORS), before[1])
        )
        time.sleep(self._dice.uniform(0.1, 1))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def small_disk(path: str) -> Iterator[None]:
    options = f"size={DISK},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", path], check=True)
    try:
        yield
    finally:
        for pet in engine.pets():
            engine.release(pet.name)
        engine.stop_nest()
        subprocess.run(["umount", "--lazy", path], check=True)


@contextmanager
def bystanding() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who has nothing to do with it."""
    with subprocess.Popen(["sleep", "1000000"]) as somebody:
        try:
            yield somebody
        finally:
            somebody.kill()


def main() -> int:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--seed", type=int, default=random.randrange(10_000))
    words.add_argument("--minutes", type=float, default=1.0)
    asked = words.parse_args()
    print(f"seed {asked.seed}, {asked.minutes:g} minutes, {CLIENTS} clients", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was over"))
    with (
        bystanding() as bystander,
        tempfile.TemporaryDirectory(prefix="procchi-chaos-") as home,
        tempfile.TemporaryDirectory(prefix="procchi-journals-") as journals,
        small_disk(home),
    ):
        os.environ["PROCCHI_HOME"] = home
        engine.pull("home")
        breaker = Breaker(asked.seed, home, Path(journals))
        try:
            breaker.run(asked.minutes * 60)
        finally:
            breaker.end()
        eventually(lambda: not os.listdir(f"{home}/trash"), "the trash is empty", seconds=60)
        engine.start_nest()
        said = Journals(Path(journals))
        wrong = list(findings(home, said, breaker.killed))
        pets = len(engine.pets())
        wrong += [f"left behind: {thing}" for thing in left(home)]
        if bystander.poll() is not None:
            wrong.append("somebody who had nothing to do with it was killed")
    for title, counted in (
        ("done", said.done), ("refused", said.refused), ("broken", breaker.broken)
    ):  # fmt: skip
        print(f"{title}: " + ", ".join(f"{key} {count}" for key, count in counted.most_common()))
    print(f"pets at the end: {pets}; killed on purpose: {len(breaker.killed)}")
    for finding in wrong:
        print(f"WRONG: {finding}")
    print(f"{len(wrong)} findings")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

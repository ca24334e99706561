"""Processes that pull, and are killed at it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.images.store import Store

PULL = """
import sys
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.store import Store

def progress(step):
    print(step.stage, step.done, flush=True)
    if sys.argv[4:]:
        sys.stdin.readline()

pull(
    sys.argv[2],
    store=Store(sys.argv[1], for_this_user()),
    name=sys.argv[3],
    progress=progress,
)
"""


def puller(store: Store, reference: str, name: str = "egg") -> list[str]:
    """The command of a process that pulls."""
    return [sys.executable, "-c", PULL, store.directory, reference, name]


@contextmanager
def killed_when(store: Store, reference: str, moment: str) -> Iterator[None]:
    """A pull, killed when it has said that it is so far: a stage, and how much of it is done."""
    stage, _, least = moment.partition(" ")
    command = [*puller(store, reference), "step by step"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        for line in process.stdout:
            said, done = line.split()
            if said == stage and int(done) >= int(least):
                break
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            raise AssertionError(f"it never came to {moment}")
        process.kill()
    yield

"""Several layers fetched at once, each by a process of its own.

No threads: whoever pulls forks confined children, which only a process with one thread may do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from engine.errors import BY_KIND, ProcchiError, PullFailed
from engine.model import LayerProgress, Progress
from engine.syswrap import PR, prctl

MOST = 3
"""At once, as docker fetches them: more would only share the same line."""
_TICK = 0.1
"""Seconds between two reports of a layer in the same state, and at most between two of all."""

Tell = Callable[[str, int], None]
"""Says a layer's state and how many of its bytes are there."""


class Job(NamedTuple):
    """One layer to fetch."""

    digest: str
    size: int
    fetch: Callable[[Tell], None]
    """Does it. Raises ProcchiError or OSError."""


def fetch_abreast(
    jobs: Sequence[Job], progress: Callable[[Progress], None]
) -> Generator[str, None, None]:
    """Do all `jobs`, and say the digest of each layer that is there.

    Raises what the first one that fails raised; the others are ended then, and when the iterator
    is closed.
    """
    states = {job.digest: LayerProgress(job.digest, "waiting", 0, job.size) for job in jobs}
    total = sum(job.size for job in jobs)
    waiting = list(jobs)[::-1]
    with _children() as children:
        while waiting or children:
            while waiting and len(children) < MOST:
                children.append(_start(waiting.pop()))
            for child in _ready(children):
                messages = child.hear()
                if messages is None:
                    children.remove(child)
                    _check_ending(child)
                for message in messages or ():
                    _check(message)
                    digest = child.job.digest
                    state, have = message["at"]
                    states[digest] = LayerProgress(digest, state, have, child.job.size)
                if messages is None:
                    yield child.job.digest
            done = sum(state.done for state in states.values())
            progress(Progress("downloading", done, total, tuple(states.values())))


class _Child:
    """The process that does a job."""

    def __init__(self, job: Job, pid: int, pipe: int) -> None:
        self.job = job
        self.pid = pid
        self.pipe = pipe
        self._begun = b""

    def hear(self) -> list[dict[str, Any]] | None:
        """What it says now; None once it has said all."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self._begun = (self._begun + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def end(self) -> int:
        """Its wait status; it is killed if it runs."""
        os.kill(self.pid, signal.SIGKILL)  # ours, and not reaped: nobody else has that pid
        os.close(self.pipe)
        return os.waitpid(self.pid, 0)[1]


@contextmanager
def _children() -> Iterator[list[_Child]]:
    """Those at work; none of them outlives the block."""
    children: list[_Child] = []
    try:
        yield children
    finally:
        for child in children:
            child.end()


def _ready(children: Sequence[_Child]) -> list[_Child]:
    """Those that have something to say, or nobody after a while."""
    waiting = select.poll()
    for child in children:
        waiting.register(child.pipe, select.POLLIN)
    heard = {fd for fd, _ in waiting.poll(_TICK * 1000)}
    return [child for child in children if child.pipe in heard]


def _check(message: dict[str, Any]) -> None:
    if "errno" in message:
        raise OSError(message["errno"], os.strerror(message["errno"]))
    if "error" in message:
        raise BY_KIND.get(message["kind"], ProcchiError)(message["error"])


def _check_ending(child: _Child) -> None:
    os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    if status:
        raise PullFailed(f"fetching layer {child.job.digest} ended with status {status}")


def _start(job: Job) -> _Child:
    hearing, telling = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hearing)
            prctl(PR.SET_PDEATHSIG, signal.SIGKILL)  # a killed pull takes its helpers along
            if os.getppid() == parent:
                _do(job, telling)
        finally:
            os._exit(1)
    os.close(telling)
    return _Child(job, pid, hearing)


def _do(job: Job, telling: int) -> None:
    """In the child: fetch, tell how it goes, and end."""
    last = ("", 0.0)

    def say(message: dict[str, Any]) -> None:
        os.write(telling, json.dumps(message).encode() + b"\n")

    def tell(state: str, done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if state != last[0] or now - last[1] >= _TICK:
            last = (state, now)
            say({"at": [state, done]})

    try:
        job.fetch(tell)
        say({"at": ["here", job.size]})
    except ProcchiError as error:
        say({"error": str(error), "kind": error.kind})
    except OSError as error:
        say({"errno": error.errno})
    os._exit(0)
